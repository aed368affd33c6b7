// One row's answer by canonical sums with every row that shares a column.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/bounds.hpp"
#include "gram_top_k/best_keys.hpp"
#include "gram_top_k/gram_top_k.hpp"
#include "gram_top_k/pair_sums.hpp"

namespace gpurec::cpu {

// Entries of the columns that row `a` has.
inline std::int64_t entries_met(const GramCall& call, std::int64_t a) {
  std::int64_t n = 0;
  for (std::int64_t e = call.x.indptr[a]; e < call.x.indptr[a + 1]; ++e) {
    n += call.columns.end(call.x.columns[e]) - call.columns.begin(call.x.columns[e]);
  }
  return n;
}

// Entries met for each row of the matrix from which on a row is dense.
constexpr std::int64_t kDenseRow = 4;

template <class Sums>
class ExactRows {
 public:
  explicit ExactRows(const GramCall& call)
      : call_(call), sums_(call.x), met_(std::size_t(call.x.n_rows) + 1), scores_(std::size_t(call.x.n_rows) + 1) {}

  // Offers what row `a`, which is query i, may be given.
  void search(std::int64_t i, std::int64_t a, BestKeys& best) {
    const std::int64_t n = score_all(a, sum_all(a));
    if (call_.filters.mask != nullptr || call_.filters.allow != nullptr || !call_.filters.deny.empty()) {
      for (std::int64_t m = 0; m < n; ++m) {
        const std::uint64_t key = order_key(scores_[std::size_t(m)], met_[std::size_t(m)]);
        if (best.may_take(key) && allows(call_.filters, i, met_[std::size_t(m)])) best.offer(key);
      }
      return;
    }
    std::int64_t n_kept = n;
    if (n > call_.k) {
      const float reached = call_.kernels.near_kth_largest(scores_.data(), n, call_.k);
      const float below = GPUREC_PLANTED(gram_ties_dropped) ? reached : next_down32(reached);
      n_kept = call_.kernels.keep_above(scores_.data(), met_.data(), n, below);
    }
    for (std::int64_t m = 0; m < n_kept; ++m) best.offer(order_key(scores_[std::size_t(m)], met_[std::size_t(m)]));
  }

  // Rows of which most others were met.
  std::int64_t n_dense() const { return n_dense_; }

 private:
  // Sums with every row that shares a column, of which there are as many as it returns.
  std::size_t sum_all(std::int64_t a) {
    const SparseRowsView& x = call_.x;
    std::size_t n_met = 0;
    sums_.begin(x, a);
    if (entries_met(call_, a) >= kDenseRow * x.n_rows) return sum_dense(a);
    for (std::int64_t e = x.indptr[a]; e < x.indptr[a + 1]; ++e) {
      const double value = double(x.values[e]);
      const ColumnEntry* const last = call_.columns.end(x.columns[e]);
      if (e + 1 < x.indptr[a + 1]) prefetch(call_.columns.begin(x.columns[e + 1]), call_.columns.end(x.columns[e + 1]));
      for (const ColumnEntry* b = call_.columns.begin(x.columns[e]); b != last; ++b) {
        met_[n_met] = b->row;  // kept where it is new
        n_met += sums_.add(b->row, value, b->value) ? 1 : 0;
      }
    }
    return n_met;
  }

  // As `sum_all` where most rows are met, each several times: what is met is asked once a row, not with every product.
  std::size_t sum_dense(std::int64_t a) {
    ++n_dense_;
    const SparseRowsView& x = call_.x;
    for (std::int64_t e = x.indptr[a]; e < x.indptr[a + 1]; ++e) {
      const double value = double(x.values[e]);
      const ColumnEntry* const last = call_.columns.end(x.columns[e]);
      for (const ColumnEntry* b = call_.columns.begin(x.columns[e]); b != last; ++b) sums_.add(b->row, value, b->value);
    }
    std::size_t n_met = 0;
    for (std::int64_t b = 0; b < x.n_rows; ++b) {
      met_[n_met] = std::uint32_t(b);
      n_met += sums_.is_met(std::uint32_t(b)) ? 1 : 0;
    }
    return n_met;
  }

  // Leaves the rows that are pairs, and their scores; returns how many. No branch depends on a score: which rows are good
  // no processor could foresee, and a division is cheaper than a wrong guess.
  std::int64_t score_all(std::int64_t a, std::size_t n_met) {
    const SparseRowsView& x = call_.x;
    const GramScoring how = call_.how;
    const double n_a = double(x.length(a));
    const double least_overlap = GPUREC_PLANTED(gram_overlap_ignored) ? 1.0 : double(how.min_overlap);
    const std::int64_t self = call_.include_self ? -1 : a;
    std::size_t n = 0;
    for (std::size_t m = 0; m < n_met; ++m) {
      const std::uint32_t b = met_[m];
      const PairSums pair = sums_.take(b);
      const double n_b = how.form == GramForm::sets ? double(x.length(b)) : 0.0;
      const float score = round32(gram_score(how, pair, a, b, n_a, n_b));
      met_[n] = b;
      scores_[n] = score;
      bool is_pair = is_finite(score) & (std::int64_t(b) != self);
      if (Sums::kCounts) is_pair &= pair.n >= least_overlap;
      if (GPUREC_PLANTED(gram_zero_is_no_pair)) is_pair &= score != 0.0f;
      n += is_pair ? 1 : 0;
    }
    return std::int64_t(n);
  }

  const GramCall& call_;
  Sums sums_;
  std::int64_t n_dense_ = 0;
  std::vector<std::uint32_t> met_;  // rows that share a column, and room for one that does not count
  std::vector<float> scores_;       // of these
};

}  // namespace gpurec::cpu
