#include <algorithm>
#include <cmath>
#include <vector>

#include "bpr/blocks.hpp"
#include "bpr/bpr.hpp"
#include "dispatch.hpp"
#include "gpurec/planted.hpp"
#include "threads.hpp"

namespace gpurec::cpu {

void settle_product(RankingSums& sums) {
  sums.logs += std::log(sums.product);
  sums.product = 1;
}

namespace {

// Draws of a call of the kernel, about: few enough to stay in the first cache.
constexpr std::int64_t kDrawsAtOnce = 1024;
// So many positives of a user in a block are gone through one by one.
constexpr std::size_t kFewTaken = 8;
// Blocks of users where items stay as they are, so that tasks share nothing anyway; fixed, as sums go by tasks.
constexpr std::int64_t kBlocksOfFixedItems = 64;

// Places are numbers of 31 bits.
constexpr std::int64_t kMostPlaces = std::int64_t(1) << 31;

// One block of users meets one block of items.
class Meeting {
 public:
  Meeting(const PositivesView& positives, const RankingFactors& factors, const RankingSteps& steps,
          const ItemOrder& items, const VisitOrder& order, float* biases, std::uint64_t key, const Kernels& kernels)
      : positives_(positives), factors_(factors), steps_(steps), items_(items), order_(order), biases_(biases),
        key_(key), visit_(kernels.bpr_visits), draws_(kernels.bpr_draws), n_draws_(steps.n_negatives * steps.n_candidates),
        most_(std::max<std::int64_t>(kDrawsAtOnce / n_draws_, 1)) {
    users_.resize(std::size_t(most_));
    chosen_.resize(std::size_t(most_));
    negatives_.resize(std::size_t(most_ * n_draws_));
    scratch_.resize(std::size_t(4 * steps.n_negatives + steps.n_candidates));
  }

  void run(std::int64_t begin, std::int64_t end, std::int64_t item_block) {
    first_ = items_.first[std::size_t(item_block)];
    n_drawable_ = items_.n_drawable[std::size_t(item_block)];
    for (std::int64_t t = begin; t < end;) {
      const std::int32_t user = order_.users[std::size_t(t)];
      std::int64_t next = t + 1;
      while (next < end && order_.users[std::size_t(next)] == user) ++next;
      visit_user(user, t, next, item_block);
      t = next;
    }
    flush();
    settle_product(sums_);
  }

  RankingTotals totals() const {
    RankingTotals all;
    const double terms = steps_.aim.loss == RankingLoss::bpr ? double(steps_.n_negatives) : 1.0;
    all.loss = (sums_.shift + sums_.logs) / terms;
    all.n_visits = n_visits_;
    all.n_pairs_right = sums_.n_pairs_right;
    all.n_skipped = n_skipped_;
    return all;
  }

 private:
  void visit_user(std::int32_t user, std::int64_t begin, std::int64_t end, std::int64_t item_block) {
    taken_.clear();
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int32_t place = order_.places[std::size_t(t)] & ~VisitOrder::kNotVisited;
      if (place < first_ + n_drawable_) taken_.push_back(place);
    }
    std::uint64_t left = std::uint64_t(n_drawable_) - taken_.size();
    if (!items_.alike()) {
      left = items_.total[std::size_t(item_block)];
      for (const std::int32_t place : taken_) left -= items_.weight_at(place);
    }
    const std::uint64_t user_key = positives_.keys == nullptr ? std::uint64_t(user) : std::uint64_t(positives_.keys[user]);
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int32_t place = order_.places[std::size_t(t)];
      if ((place & VisitOrder::kNotVisited) != 0) continue;
      if (left == 0) {
        ++n_skipped_;
        continue;
      }
      users_[std::size_t(n_)] = user;
      chosen_[std::size_t(n_)] = place;
      const std::uint64_t pair = (user_key << 32) + std::uint64_t(items_.item_of[std::size_t(place)]);
      draw(mix64(key_ + kGolden * pair), left, negatives_.data() + n_ * n_draws_);
      if (++n_ == most_) flush();
    }
  }

  void draw(std::uint64_t stream, std::uint64_t left, std::int32_t* negatives) const {
    if (!items_.alike()) {
      for (std::int64_t i = 0; i < n_draws_; ++i) {
        negatives[i] = place_by_weight(part_of(mix64(stream + kGolden * std::uint64_t(i + 1)), left));
      }
      return;
    }
    draws_(stream, first_, left, n_draws_, negatives);
    if (GPUREC_PLANTED(bpr_positives_drawn)) return;
    // Number n of the places that the user does not have: one more for each of theirs that stands before it.
    if (taken_.size() <= kFewTaken) {
      for (const std::int32_t taken : taken_) {
        for (std::int64_t i = 0; i < n_draws_; ++i) negatives[i] += negatives[i] >= taken ? 1 : 0;
      }
    } else {
      for (std::int64_t i = 0; i < n_draws_; ++i) negatives[i] += n_taken_before(negatives[i]);
    }
  }

  // How many of the user's places stand before a number of those that are left.
  std::int32_t n_taken_before(std::int32_t number) const {
    std::size_t low = 0;
    for (std::size_t n = taken_.size(); n > 0;) {
      const std::size_t half = n / 2;
      if (taken_[low + half] <= number + std::int32_t(low + half)) {
        low += half + 1;
        n -= half + 1;
      } else {
        n = half;
      }
    }
    return std::int32_t(low);
  }

  // The same where each place is as wide as its weight.
  std::int32_t place_by_weight(std::uint64_t at) const {
    for (const std::int32_t taken : taken_) {
      if (at >= items_.before[std::size_t(taken)]) at += items_.weight_at(taken);
    }
    const auto begin = items_.before.begin() + first_;
    return std::int32_t(first_ + (std::upper_bound(begin, begin + n_drawable_, at) - begin) - 1);
  }

  void flush() {
    RankingVisits visits;
    visits.n = n_;
    visits.users = users_.data();
    visits.positives = chosen_.data();
    visits.negatives = negatives_.data();
    visits.item_of = items_.item_of.data();
    visits.biases = biases_;
    visit_(visits, factors_, steps_, scratch_.data(), sums_);
    n_visits_ += n_;
    n_ = 0;
  }

  const PositivesView& positives_;
  const RankingFactors& factors_;
  const RankingSteps& steps_;
  const ItemOrder& items_;
  const VisitOrder& order_;
  float* const biases_;
  const std::uint64_t key_;
  const RankingVisit visit_;
  const PlaceDraws draws_;
  const std::int64_t n_draws_, most_;
  std::int64_t first_ = 0, n_drawable_ = 0, n_visits_ = 0, n_skipped_ = 0;
  std::int64_t n_ = 0;  // visits that wait
  RankingSums sums_;
  std::vector<std::int32_t> taken_;  // places of the user's drawable positives of the block, rising
  std::vector<std::int32_t> users_, chosen_, negatives_;
  std::vector<float> scratch_;
};

}  // namespace

RankingTotals bpr_epochs(const PositivesView& positives, const RankingFactors& factors, const RankingAim& aim,
                         const NegativeDraws& draws, const RankingRates& rates, std::uint64_t seed,
                         std::uint64_t first_epoch, std::int64_t n_epochs, std::int64_t n_blocks,
                         const Kernels& kernels, int n_threads, const std::function<void()>& between_rounds) {
  const bool items_move = rates.move_positives || rates.move_negatives;
  const std::int64_t n_user_blocks = items_move ? n_blocks : kBlocksOfFixedItems;
  const std::int64_t n_item_blocks = items_move ? n_blocks : 1;
  const std::int64_t n_positives = positives.indptr[positives.n_users];
  const RankingSteps steps{aim, draws.n, draws.n_candidates, rates};
  const std::vector<std::int64_t> users = user_blocks(positives, n_user_blocks);
  ItemOrder items;
  VisitOrder order;
  order.users.resize(std::size_t(n_positives));
  order.places.resize(std::size_t(n_positives));
  order.first.resize(std::size_t(n_user_blocks * (n_item_blocks + 1)));
  std::vector<float> biases;
  std::vector<RankingTotals> of_tasks(std::size_t(n_user_blocks * n_item_blocks));
  RankingTotals all;
  for (std::int64_t epoch = 0; epoch < n_epochs; ++epoch) {
    const std::uint64_t number = first_epoch + std::uint64_t(epoch);
    if (epoch == 0 || n_item_blocks > 1) {
      if (items_move || n_positives > kMostPlaces - positives.n_items) {
        items.arrange(positives.n_items, n_item_blocks, draws.weights, epoch_key(seed, number, Purpose::blocks));
      } else {
        items.arrange_fixed(positives.n_items, draws, positives);
      }
      parallel_for(n_threads, n_user_blocks, [&](std::int64_t block) {
        order.arrange(positives, users[std::size_t(block)], users[std::size_t(block) + 1], block, n_item_blocks, items);
      });
    }
    if (epoch == 0 || items_move) {
      biases.resize(items.item_of.size());
      for (std::size_t place = 0; place < biases.size(); ++place) biases[place] = factors.biases[items.item_of[place]];
    }
    const std::uint64_t key = epoch_key(seed, number, Purpose::draws);
    for (std::int64_t round = 0; round < n_item_blocks; ++round) {
      parallel_for(n_threads, n_user_blocks, [&](std::int64_t block) {
        const std::int64_t item_block = (block + round) % n_item_blocks;
        const std::int64_t* const first = order.first.data() + block * (n_item_blocks + 1) + item_block;
        RankingTotals& of_task = of_tasks[std::size_t(round * n_user_blocks + block)];
        of_task = RankingTotals{};
        if (first[0] == first[1]) return;  // of newcomers few tasks are not empty
        Meeting meeting(positives, factors, steps, items, order, biases.data(), key, kernels);
        meeting.run(first[0], first[1], item_block);
        of_task = meeting.totals();
      });
      between_rounds();
    }
    if (items_move) {
      for (std::int64_t place = 0; place < positives.n_items; ++place) {
        factors.biases[items.item_of[std::size_t(place)]] = biases[std::size_t(place)];
      }
    }
    for (const RankingTotals& task : of_tasks) {
      all.loss += task.loss;
      all.n_visits += task.n_visits;
      all.n_pairs_right += task.n_pairs_right;
      all.n_skipped += task.n_skipped;
    }
  }
  return all;
}

}  // namespace gpurec::cpu
