#include "bpr/blocks.hpp"

#include <algorithm>
#include <numeric>

namespace gpurec::cpu {

std::vector<std::int64_t> user_blocks(const PositivesView& positives, std::int64_t n_blocks) {
  std::vector<std::int64_t> first(std::size_t(n_blocks) + 1, positives.n_users);
  const std::int64_t* const indptr = positives.indptr;
  const std::int64_t n = indptr[positives.n_users];
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    // Not n * block, which may not fit.
    const std::int64_t start = n / n_blocks * block + std::min(n % n_blocks, block);
    first[std::size_t(block)] = std::lower_bound(indptr, indptr + positives.n_users, start) - indptr;
  }
  first[0] = 0;
  return first;
}

void ItemOrder::arrange(std::int64_t n_items, std::int64_t n_blocks, const std::uint32_t* weights,
                        std::uint64_t key) {
  item_of.resize(std::size_t(n_items));
  place_of.resize(std::size_t(n_items));
  // Places of drawable items of block b are counted at 2 b, of others at 2 b + 1.
  std::vector<std::int64_t> at(std::size_t(2 * n_blocks) + 1, 0);
  const auto kind = [&](std::int64_t item) {
    const bool drawable = weights == nullptr || weights[item] != 0;
    return std::size_t(2 * place_of[std::size_t(item)].block + (drawable ? 0 : 1));
  };
  for (std::int64_t item = 0; item < n_items; ++item) {
    const std::uint64_t block =
        n_blocks == 1 ? 0 : part_of(mix64(key + kGolden * std::uint64_t(item)), std::uint64_t(n_blocks));
    place_of[std::size_t(item)].block = std::int32_t(block);
    ++at[kind(item) + 1];
  }
  for (std::size_t i = 1; i < at.size(); ++i) at[i] += at[i - 1];
  first.resize(std::size_t(n_blocks) + 1);
  n_drawable.resize(std::size_t(n_blocks));
  for (std::size_t b = 0; b < n_drawable.size(); ++b) {
    first[b] = at[2 * b];
    n_drawable[b] = at[2 * b + 1] - at[2 * b];
  }
  first[std::size_t(n_blocks)] = n_items;
  for (std::int64_t item = 0; item < n_items; ++item) {
    const std::int64_t place = at[kind(item)]++;
    place_of[std::size_t(item)].place = std::int32_t(place);
    item_of[std::size_t(place)] = std::int32_t(item);
  }
  this->weights = weights;
  add_up(n_blocks);
}

void ItemOrder::arrange_fixed(std::int64_t n_items, const NegativeDraws& draws, const PositivesView& positives) {
  const std::int64_t n = draws.among == nullptr ? n_items : draws.n_among;
  item_of.resize(std::size_t(n));
  if (draws.among == nullptr) {
    std::iota(item_of.begin(), item_of.end(), 0);
  } else {
    std::copy(draws.among, draws.among + n, item_of.begin());
  }
  weights = draws.weights;
  if (weights != nullptr) {
    const auto never = [&](std::int32_t item) { return weights[item] == 0; };
    item_of.erase(std::remove_if(item_of.begin(), item_of.end(), never), item_of.end());
  }
  n_drawable = {std::int64_t(item_of.size())};
  if (n_drawable[0] < n_items) {
    item_of.insert(item_of.end(), positives.items, positives.items + positives.indptr[positives.n_users]);
  }
  first = {0, std::int64_t(item_of.size())};
  add_up(1);
}

ItemOrder::Place ItemOrder::place(std::int64_t e, std::int32_t item) const {
  if (!place_of.empty()) return place_of[std::size_t(item)];
  const auto end = item_of.begin() + n_drawable[0];
  const bool are_all = end == item_of.end();
  const auto at = are_all ? item_of.begin() + item : std::lower_bound(item_of.begin(), end, item);
  const bool drawable = at != end && *at == item;
  return {drawable ? std::int32_t(at - item_of.begin()) : std::int32_t(n_drawable[0] + e), 0};
}

// Weights before each place, where some weigh more than others.
void ItemOrder::add_up(std::int64_t n_blocks) {
  before.clear();
  const auto heavy = [&](std::int32_t item) { return weights[item] > 1; };
  if (weights == nullptr || std::none_of(item_of.begin(), item_of.end(), heavy)) return;
  before.resize(item_of.size());
  total.assign(std::size_t(n_blocks), 0);
  for (std::size_t b = 0; b < total.size(); ++b) {
    for (std::int64_t place = first[b]; place < first[b] + n_drawable[b]; ++place) {
      before[std::size_t(place)] = total[b];
      total[b] += weights[item_of[std::size_t(place)]];
    }
  }
}

void VisitOrder::arrange(const PositivesView& positives, std::int64_t first_user, std::int64_t end_user,
                         std::int64_t block, std::int64_t n_item_blocks, const ItemOrder& items) {
  std::int64_t* const starts = first.data() + block * (n_item_blocks + 1);
  std::vector<std::int64_t> at(std::size_t(n_item_blocks) + 1, 0);
  const std::int64_t begin = positives.indptr[first_user], end = positives.indptr[end_user];
  for (std::int64_t e = begin; e < end; ++e) ++at[std::size_t(items.place(e, positives.items[e]).block) + 1];
  at[0] = begin;
  for (std::size_t b = 1; b < at.size(); ++b) at[b] += at[b - 1];
  std::copy(at.begin(), at.end(), starts);
  for (std::int64_t user = first_user; user < end_user; ++user) {
    for (std::int64_t e = positives.indptr[user]; e < positives.indptr[user + 1]; ++e) {
      const ItemOrder::Place to = items.place(e, positives.items[e]);
      const bool visited = positives.visited == nullptr || positives.visited[e] != 0;
      const std::size_t t = std::size_t(at[std::size_t(to.block)]++);
      users[t] = std::int32_t(user);
      places[t] = visited ? to.place : to.place + kNotVisited;
    }
  }
}

}  // namespace gpurec::cpu
