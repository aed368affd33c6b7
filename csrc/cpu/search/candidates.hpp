// The candidates of one query, and the threshold tau that they prove.
//
// Most items that the scan lets through never come near the answer, so they are kept as they come: a scan value
// and a position. When the list is full its k-th largest value proves a threshold, and what lies below is dropped.
// Only where that leaves too many are intervals, and then canonical scores, asked for.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"
#include "gpurec/score_top_k.hpp"
#include "search/sort_keys.hpp"
#include "table/item_source.hpp"

namespace gpurec::cpu {

class Candidates {
 public:
  // `n_items` is how many items may be offered at most; positions are of `items`.
  Candidates(const ItemSource& items, std::int64_t n_items, CanonicalSum canonical, const Kernels& kernels,
             const float* query, std::int64_t k)
      : items_(&items),
        canonical_(canonical),
        kernels_(&kernels),
        query_(query),
        k_(k),
        limit_(list_limit(k, n_items)) {
    bound_ = Float32Bound(items.metric(), items.d(), kernels.dot64(query, query, items.d()));
  }

  // Entries at which a list is thinned: eight bytes each, and as much again for known scores.
  static std::int64_t list_limit(std::int64_t k, std::int64_t n_items) {
    const std::int64_t most = std::min(k, n_items);
    return most + std::max<std::int64_t>(most, kRoom);
  }

  // Queries whose lists, n_lists each at a time and 16 bytes an entry or less, together take no more than 48 MB or
  // 16 bytes for each place of the result.
  static std::int64_t queries_in_memory(std::int64_t k, std::int64_t n_items, std::int64_t n_queries,
                                        std::int64_t n_lists) {
    const std::int64_t list_bytes = list_limit(k, n_items) * 16 * n_lists;
    const std::int64_t most_bytes = std::max(std::int64_t(48) << 20, n_queries * std::min(k, n_items) * 16);
    return std::max<std::int64_t>(1, most_bytes / list_bytes);
  }

  const Float32Bound& bound() const { return bound_; }
  float tau() const { return tau_; }
  SearchStats& stats() { return stats_; }
  std::int64_t n_scanned() const { return n_scanned_; }
  const std::uint32_t* positions() const { return positions_.data(); }

  void raise_to(float tau) { tau_ = std::max(tau_, tau); }

  // The scan values at or below this are of no use, for items of at most that norm.
  float reject_at(double largest_norm) const { return bound_.reject_at(tau_, largest_norm); }

  // Scan values of items that passed the filters, as bits of a tile whose first position is given; no item's norm
  // is above `largest_norm`. True where the threshold rose.
  bool offer(const float* scores, std::uint32_t first, std::uint64_t bits, double largest_norm) {
    if (n_scanned_ + kTileItems > std::int64_t(values_.size())) grow();
    largest_norm_ = std::max(largest_norm_, largest_norm);
    const int count =
        kernels_->append_hits(scores, first, bits, values_.data() + n_scanned_, positions_.data() + n_scanned_);
    n_scanned_ += count;
    stats_.candidates += count;
    if (n_scanned_ < limit_) return false;
    const float before = tau_;
    compress();
    return tau_ > before;
  }

  // An item that passed the filters and whose canonical score is known; NaN and infinity are never returned.
  void offer_exact(std::int64_t row, float score) {
    if (!is_finite(score) && !GPUREC_PLANTED(rescore_keeps_infinite)) return;
    if (score < tau_ || (GPUREC_PLANTED(scan_keep_strict) && score <= tau_)) return;
    ++stats_.candidates;
    exact_.push_back(order_key(score, row));
    if (std::int64_t(exact_.size()) >= limit_) {
      ++stats_.compressions;
      cut_exact();
    }
  }

  float score(const float* item) {
    ++stats_.rescored;
    return round32(canonical_(query_, item, items_->d()));
  }

  void take_all_of(const Candidates& other) {
    values_.resize(std::size_t(n_scanned_));
    positions_.resize(std::size_t(n_scanned_));
    values_.insert(values_.end(), other.values_.begin(), other.values_.begin() + other.n_scanned_);
    positions_.insert(positions_.end(), other.positions_.begin(), other.positions_.begin() + other.n_scanned_);
    n_scanned_ += other.n_scanned_;
    exact_.insert(exact_.end(), other.exact_.begin(), other.exact_.end());
    largest_norm_ = std::max(largest_norm_, other.largest_norm_);
    raise_to(other.tau_);
    stats_.add(other.stats_);
  }

  // Drops what the final threshold rules out; the scan list then holds what is left to score canonically.
  void settle() {
    thin();
    if (n_scanned_ > k_ + k_ / 8 + 8) thin_by_intervals();
  }

  // The scan list in the order in which items lie. It mostly is: only lists of several threads or segments are not.
  void sort_by_position() {
    const auto first = positions_.begin();
    if (std::is_sorted(first, first + n_scanned_)) return;
    std::vector<std::pair<std::uint32_t, float>> entries(static_cast<std::size_t>(n_scanned_));
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = {positions_[i], values_[i]};
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i < entries.size(); ++i) std::tie(positions_[i], values_[i]) = entries[i];
  }

  // The canonical score of the scan list's entry i, in place of its scan value.
  void settle_entry(std::int64_t i, float score) {
    float& value = values_[std::size_t(i)];
    value = GPUREC_PLANTED(rescore_keeps_scan_value) ? round32(bound_.estimate(value)) : score;
  }

  // Every entry has its score: the list becomes keys.
  void settled() {
    stats_.rescored += n_scanned_;
    items_->rows_at(positions_.data(), n_scanned_, positions_.data());
    std::size_t n_exact = exact_.size();
    exact_.resize(n_exact + std::size_t(n_scanned_));
    for (std::size_t i = 0; i < std::size_t(n_scanned_); ++i) {
      exact_[n_exact] = order_key(values_[i], positions_[i]);
      n_exact += is_finite(values_[i]);  // always, unless a mapped file's norms are not those of its items
    }
    exact_.resize(n_exact);
    n_scanned_ = 0;
  }

  // The answer once every entry is settled: keys of at most k items that score at least `floor`, best first.
  const std::vector<std::uint64_t>& answer(float floor = -std::numeric_limits<float>::infinity()) {
    if (floor > -std::numeric_limits<float>::infinity()) {
      const std::uint64_t least = std::uint64_t(monotone_u32(floor)) << 32;
      exact_.erase(std::remove_if(exact_.begin(), exact_.end(), [=](std::uint64_t key) { return key < least; }),
                   exact_.end());
    }
    const auto k = std::size_t(std::min<std::int64_t>(k_, std::int64_t(exact_.size())));
    if (exact_.size() > k + k / 2) {  // a few more are quicker sorted than told apart
      std::nth_element(exact_.begin(), exact_.begin() + std::ptrdiff_t(k), exact_.end(), std::greater<std::uint64_t>());
      const float last = score_of_key(*std::min_element(exact_.begin(), exact_.begin() + std::ptrdiff_t(k)));
      count_ties(k, last);
      exact_.resize(k);
    }
    sort_keys(exact_);
    if (exact_.size() > k) {
      count_ties(k, score_of_key(exact_[k - 1]));
      exact_.resize(k);
    }
    return exact_;
  }

 private:
  static constexpr std::int64_t kRoom = 32;

  void count_ties(std::size_t first, float last) {
    for (std::size_t i = first; i < exact_.size(); ++i) stats_.ties_at_threshold += score_of_key(exact_[i]) == last;
  }

  // Room for one more tile; lists grow as they fill, since k may be as large as the table.
  void grow() {
    const std::int64_t size = std::min(limit_, std::max<std::int64_t>(2 * n_scanned_, 4 * kTileItems)) + kTileItems;
    values_.resize(std::size_t(size));
    positions_.resize(std::size_t(size));
  }

  bool crowded() const { return n_scanned_ > limit_ - std::max<std::int64_t>((limit_ - k_) / 4, 8); }

  void compress() {
    ++stats_.compressions;
    if (GPUREC_PLANTED(compress_drops_overflow)) {
      n_scanned_ = std::min(n_scanned_, limit_ / 2);
      return;
    }
    thin();
    if (crowded()) thin_by_intervals();
    if (crowded()) score_all();
  }

  // The k largest scan values belong to k distinct items that score at least the lower bound of the smallest of
  // them at the largest norm: a threshold. Then one comparison an entry.
  void thin() {
    const std::int64_t rank = GPUREC_PLANTED(threshold_one_too_high) ? k_ - 1 : k_;
    if (rank > 0 && n_scanned_ >= rank) {
      raise_to(bound_.lower(kernels_->near_kth_largest(values_.data(), n_scanned_, rank), largest_norm_));
    }
    float reject = reject_at(largest_norm_);
    if (GPUREC_PLANTED(compress_drops_ties)) reject = round_up32(double(tau_));
    n_scanned_ = kernels_->keep_above(values_.data(), positions_.data(), n_scanned_, reject);
  }

  // The same with each item's own norm; an upper bound equal to the k-th known score loses by a larger row.
  void thin_by_intervals() {
    std::vector<Interval> intervals(static_cast<std::size_t>(n_scanned_));
    std::vector<float> lowers(intervals.size());
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      intervals[i] = bound_.interval(values_[i], items_->norm_at(positions_[i]));
      lowers[i] = intervals[i].lower;
    }
    if (n_scanned_ >= k_) {
      std::nth_element(lowers.begin(), lowers.begin() + (k_ - 1), lowers.end(), std::greater<float>());
      raise_to(lowers[std::size_t(k_ - 1)]);
    }
    const std::uint64_t last = std::int64_t(exact_.size()) >= k_ ? last_exact_key() : 0;
    std::int64_t kept = 0;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      const float upper = intervals[i].upper;
      if (upper < tau_ || order_key(upper, items_->row_at(positions_[i])) < last) continue;
      values_[std::size_t(kept)] = values_[i];
      positions_[std::size_t(kept++)] = positions_[i];
    }
    stats_.ties_at_threshold += last != 0 ? n_scanned_ - kept : 0;
    n_scanned_ = kept;
  }

  // Intervals too wide to tell the candidates apart, or mass ties: score them all and let the total order cut to k.
  void score_all() {
    std::vector<float> item(static_cast<std::size_t>(items_->d()));
    for (std::int64_t i = 0; i < n_scanned_; ++i) {
      const std::uint32_t position = positions_[std::size_t(i)];
      items_->copy_item(position, item.data());
      const float exact = score(item.data());
      if (exact >= tau_ && is_finite(exact)) exact_.push_back(order_key(exact, items_->row_at(position)));
    }
    n_scanned_ = 0;
    cut_exact();
  }

  std::uint64_t last_exact_key() {
    std::nth_element(exact_.begin(), exact_.begin() + (k_ - 1), exact_.end(), std::greater<std::uint64_t>());
    return exact_[std::size_t(k_ - 1)];
  }

  // k distinct items that this query may be given are known to come first; later ones cannot be answers.
  void cut_exact() {
    if (std::int64_t(exact_.size()) < k_) return;
    const float last = score_of_key(last_exact_key());
    count_ties(std::size_t(k_), last);
    exact_.resize(std::size_t(k_));
    raise_to(last);
  }

  const ItemSource* items_;
  CanonicalSum canonical_;
  const Kernels* kernels_;
  const float* query_;
  std::int64_t k_;
  std::int64_t limit_;
  Float32Bound bound_;
  float tau_ = -std::numeric_limits<float>::infinity();
  double largest_norm_ = 0.0;        // of the items offered with scan values
  std::int64_t n_scanned_ = 0;
  std::vector<float> values_;
  std::vector<std::uint32_t> positions_;
  std::vector<std::uint64_t> exact_;  // order keys of items whose canonical scores are known
  SearchStats stats_;
};

}  // namespace gpurec::cpu
