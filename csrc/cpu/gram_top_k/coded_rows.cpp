#include "gram_top_k/coded_rows.hpp"

#include <limits>

namespace gpurec::cpu {
namespace {

// Rows of the first tile whose sums say where to begin: enough to say something, few enough to cost little.
constexpr std::int64_t kSampleRows = 4096;

}  // namespace

CodedRows::CodedRows(const GramCall& call, const CodedColumns& codes)
    : call_(call),
      codes_(codes),
      sums_(std::size_t(std::min(codes.tile_rows, call.x.n_rows)), 0.0f),
      dense_(std::size_t(call.x.n_columns), 0.0),
      may_sample_(codes.has_no_signs && call.filters.mask == nullptr && call.filters.allow == nullptr &&
                  call.filters.deny.empty()) {}

void CodedRows::add_tile(std::int64_t tile, std::int64_t a) {
  const SparseRowsView& x = call_.x;
  Sum* const sums = reinterpret_cast<Sum*>(sums_.data());
  const std::int64_t last = x.indptr[a + 1];
  for (std::int64_t e = x.indptr[a]; e < last; ++e) {
    const std::uint32_t* b = codes_.begin(tile, x.columns[e]);
    const std::uint32_t* const end = codes_.end(tile, x.columns[e]);
    if (e + 1 < last) prefetch(codes_.begin(tile, x.columns[e + 1]), codes_.end(tile, x.columns[e + 1]));
    const std::int32_t code = codes_.asking.code(a, x.values[e]);
#pragma GCC unroll 4
    for (; b != end; ++b) sums[*b & 0xffffu] += code * (std::int32_t(*b) >> 16);
  }
}

// Leaves those that may be among the best k, and raises the limit to what tells them apart.
void CodedRows::thin(std::int64_t k, double window) {
  if (std::int64_t(found_.size()) < k) return;
  const auto kth = found_.begin() + std::ptrdiff_t(k - 1);
  std::nth_element(found_.begin(), kth, found_.end(), [](Candidate a, Candidate b) { return a.sum > b.sum; });
  const double least = double(kth->sum) - window - 1.0;
  if (!(least > double(limit_))) return;
  limit_ = std::int32_t(least);
  const auto is_below = [this](Candidate c) { return c.sum <= limit_; };
  found_.erase(std::remove_if(found_.begin(), found_.end(), is_below), found_.end());
}

bool CodedRows::search(std::int64_t i, std::int64_t a, std::int64_t k, BestKeys& best) {
  const SparseRowsView& x = call_.x;
  const double window = code_sum_window(codes_.asking.error(a), codes_.answering.largest_error(), x.length(a));
  const std::int32_t lowest = std::int32_t(window) + 1;
  found_.clear();
  limit_ = lowest;
  std::size_t most = 2 * std::size_t(k) + 64;
  for (std::int64_t tile = 0; tile < codes_.n_tiles; ++tile) {
    add_tile(tile, a);
    const std::int64_t first = tile * codes_.tile_rows;
    const std::int64_t n = std::min(codes_.tile_rows, x.n_rows - first);
    if (tile == 0) raise_by_sample(std::min(n, kSampleRows), k, window);
    for (std::int64_t at = 0;; ++at) {
      float limit;
      std::memcpy(&limit, &limit_, sizeof limit);
      at = call_.kernels.find_above(sums_.data(), at, n, limit);
      if (at >= n) break;
      const std::int64_t b = first + at;
      if ((b == a && !call_.include_self) || !allows(call_.filters, i, b)) continue;
      found_.push_back({reinterpret_cast<const Sum*>(sums_.data())[at], std::uint32_t(b)});
      if (found_.size() < most) continue;
      thin(k, window);
      most = std::max(most, 2 * found_.size());
    }
    std::fill(sums_.begin(), sums_.begin() + n, 0.0f);
  }
  thin(k, window);
  if (limit_ <= lowest) return false;
  score(a, best);
  return true;
}

// Begins with what the first rows prove, where all of them may be given, the row itself perhaps not.
void CodedRows::raise_by_sample(std::int64_t n, std::int64_t k, double window) {
  if (!may_sample_ || n <= k) return;
  const float reached = call_.kernels.near_kth_largest(sums_.data(), n, k + 1);
  std::int32_t sum;
  std::memcpy(&sum, &reached, sizeof sum);
  limit_ = std::max(limit_, std::int32_t(std::max(0.0, double(sum) - window - 1.0)));
}

// The sum of products of the row asked about and N others, each in its own order.
template <int N>
void CodedRows::sums_of(const Candidate* candidates, double* sums) const {
  const std::int64_t* const indptr = call_.x.indptr;
  const RowEntry* entries[N];
  std::int64_t lengths[N], shortest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < N; ++i) {
    const std::uint32_t b = candidates[i].row;
    entries[i] = codes_.by_rows.data() + indptr[b];
    lengths[i] = indptr[b + 1] - indptr[b];
    shortest = std::min(shortest, lengths[i]);
    sums[i] = 0.0;
  }
  // A column that the row has not adds +0 or -0, which changes no sum that began with +0.
  const auto term = [this](const RowEntry& b) { return dense_[std::size_t(b.column)] * double(b.value); };
  double together[N] = {};
  for (std::int64_t e = 0; e < shortest; ++e) {
    for (int i = 0; i < N; ++i) together[i] += term(entries[i][e]);
  }
  for (int i = 0; i < N; ++i) {
    for (std::int64_t e = shortest; e < lengths[i]; ++e) together[i] += term(entries[i][e]);
    sums[i] = together[i];
  }
}

void CodedRows::score(std::int64_t a, BestKeys& best) {
  constexpr std::size_t kAtOnce = 4;
  const SparseRowsView& x = call_.x;
  for (std::int64_t e = x.indptr[a]; e < x.indptr[a + 1]; ++e) dense_[std::size_t(x.columns[e])] = double(x.values[e]);
  const auto offer = [&](Candidate c, double sum) {
    PairSums pair;
    pair.ab = sum;
    const float score = round32(gram_score(call_.how, pair, a, c.row, 0.0, 0.0));
    if (is_finite(score)) best.offer(order_key(score, c.row));
  };
  const RowEntry* const entries = codes_.by_rows.data();
  double sums[kAtOnce];
  std::size_t c = 0;
  for (; c + kAtOnce <= found_.size(); c += kAtOnce) {
    for (std::size_t later = c + kAtOnce; later < std::min(c + 2 * kAtOnce, found_.size()); ++later) {
      const std::uint32_t b = found_[later].row;
      prefetch(entries + x.indptr[b], entries + x.indptr[b + 1]);
    }
    sums_of<kAtOnce>(found_.data() + c, sums);
    for (std::size_t i = 0; i < kAtOnce; ++i) offer(found_[c + i], sums[i]);
  }
  for (; c < found_.size(); ++c) {
    sums_of<1>(found_.data() + c, sums);
    offer(found_[c], sums[0]);
  }
  for (std::int64_t e = x.indptr[a]; e < x.indptr[a + 1]; ++e) dense_[std::size_t(x.columns[e])] = 0.0;
}

}  // namespace gpurec::cpu
