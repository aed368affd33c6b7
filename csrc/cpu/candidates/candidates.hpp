// The candidates of one query, and the threshold tau that they prove.
//
// Most items that the scan lets through never come near the answer, so they are kept as they come: a scan value
// and a position. When the list is full its k-th largest value proves a threshold, and what lies below is dropped.
// Only where that leaves too many are intervals, and then canonical scores, asked for.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "candidates/list_limits.hpp"
#include "candidates/scan_list.hpp"
#include "candidates/sort_keys.hpp"
#include "dispatch.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/codes.hpp"
#include "gpurec/order.hpp"
#include "gpurec/score_top_k.hpp"
#include "table/item_source.hpp"

namespace gpurec::cpu {

class Candidates {
 public:
  // `n_items` is how many items may be offered at most; positions are of `items`.
  Candidates(const ItemSource& items, std::int64_t n_items, const Kernels& kernels, Precision precision,
             const float* query, std::int64_t k)
      : items_(&items),
        kernels_(&kernels),
        query_(query),
        k_(k),
        is_coarse_(precision != Precision::fp32),
        limit_(list_limit(k, n_items)),
        full_at_(usual_limit(k, n_items, precision)) {
    query_squares_ = kernels.dot64(query, query, items.d());
    bound_ = Float32Bound(items.metric(), items.d(), query_squares_);
  }

  // From now on scan values may come from int8 arithmetic too.
  void allow_int8(const QueryCodes& codes) {
    int8_ = Int8Bound(items_->metric(), items_->d(), query_squares_, codes.scale, codes.length, codes.error);
    with_int8_ = true;
  }

  // The same of bfloat16; `error` is that of the rounded query.
  void allow_bf16(double error) {
    bf16_ = Bf16Bound(items_->metric(), items_->d(), query_squares_, error);
    with_bf16_ = true;
  }

  const ItemSource& items() const { return *items_; }
  const Float32Bound& bound() const { return bound_; }
  const Int8Bound& int8_bound() const { return int8_; }
  const Bf16Bound& bf16_bound() const { return bf16_; }
  float tau() const { return tau_; }
  SearchStats& stats() { return stats_; }
  std::int64_t n_scanned() const { return list_.size(); }
  const std::uint32_t* positions() const { return list_.positions(); }

  // A threshold that k distinct items are known to reach, or below which nothing is of interest.
  void prove(float tau) {
    proved_ = std::max(proved_, tau);
    suppose(proved_);
  }

  // A threshold that they are likely to reach. What it ruled out must be scanned again unless is_proved().
  void suppose(float tau) { tau_ = std::max(tau_, tau); }

  // Asked when every entry is settled: whether so many items reach what was supposed.
  bool is_proved() const {
    if (proved_ >= tau_ || GPUREC_PLANTED(threshold_supposed_unchecked)) return true;
    return count_reaching(exact_, tau_, *kernels_) >= k_;
  }

  // From now on the items scanned are a sample, of which the rank-th best is asked for.
  void begin_sample(std::int64_t rank) {
    sample_rank_ = rank;
    full_at_ = std::min(limit_, 2 * rank + kListRoom);
  }

  // Supposes what that one reaches, where so many were let through; about `n_expected` items will. The sample is
  // forgotten: the scan meets its items again.
  void end_sample(std::int64_t n_expected, bool score_at_once) {
    const std::int64_t rank = std::exchange(sample_rank_, 0);
    full_at_ = limit_;
    const std::int64_t n = list_.size();
    if (!GPUREC_PLANTED(sample_counted_twice)) list_.set_size(0);
    exact_.clear();
    if (rank > n) return;
    ++stats_.supposed;
    suppose(round32(bound_.estimate(kernels_->near_kth_largest(list_.values(), n, rank))));
    n_expected = std::min(limit_, n_expected + n_expected / 8) + kTileItems;
    if (score_at_once) {
      exact_.reserve(std::size_t(n_expected));
    } else {
      list_.reserve(n_expected);
    }
  }

  // From now on items that reach the threshold by their scan values may be scored at once (`take`), so that it follows
  // the scan closely; others wait. For few places alone.
  void follow() {
    constexpr std::int64_t kMost = 31;
    follows_ = k_ >= 1 && k_ <= kMost;
    if (follows_) full_at_ = std::min(full_at_, k_ + kListRoom);
  }

  // Whether as many as there are places have been scored.
  bool is_followed() const { return is_followed_; }

  // Whether an item of that scan value is likely to be among the best so far.
  bool reaches(float scanned) const { return bound_.estimate(scanned) >= double(tau_); }

  // An item of at most that slack that may be, but is not likely to. True where the threshold rose.
  bool wait(float scanned, std::uint32_t position, double slack) {
    make_room();
    list_.values()[list_.size()] = scanned;
    list_.positions()[list_.size()] = position;
    return added(1, slack);
  }

  // The canonical score of one that is. True where the threshold rose.
  bool take(float score, std::int64_t row) {
    ++stats_.candidates;
    if (!is_finite(score)) return false;
    const std::uint64_t key = order_key(score, row);
    std::uint64_t* const keys = exact_.data();
    std::int64_t at = k_ - 1;
    const std::uint64_t out = std::min(key, keys[at]);
    if (GPUREC_PLANTED(best_ties_dropped) ? key >> 32 > keys[at] >> 32 : key > keys[at]) {
      for (; at > 0 && keys[at - 1] < key; --at) keys[at] = keys[at - 1];
      keys[at] = key;
    }
    const std::uint64_t last = keys[GPUREC_PLANTED(best_proves_too_much) ? 0 : k_ - 1];
    stats_.ties_at_threshold += out >> 32 == last >> 32;
    const float before = tau_;
    prove(score_of_key(last));
    return tau_ > before;
  }

  // The scan values at or below this are of no use, for items of at most that slack.
  float reject_at(double slack) const { return bound_.reject_at(tau_, slack); }

  // Scan values of items that passed the filters, as bits of a tile whose first position is given; no item's slack
  // is above that. True where the threshold rose.
  bool offer(const float* scores, std::uint32_t first, std::uint64_t bits, double slack) {
    make_room();
    const std::int64_t n = list_.size();
    return added(kernels_->append_hits(scores, first, bits, list_.values() + n, list_.positions() + n), slack);
  }

  // The same of a few items: `score(j)` is bit j's.
  template <class Score>
  bool offer_each(Score score, std::uint32_t first, std::uint64_t bits, double slack) {
    make_room();
    float* values = list_.values() + list_.size();
    std::uint32_t* positions = list_.positions() + list_.size();
    const int count = __builtin_popcountll(bits);
    for (; bits != 0; bits &= bits - 1) {
      const int j = __builtin_ctzll(bits);
      *values++ = score(j);
      *positions++ = first + std::uint32_t(j);
    }
    return added(count, slack);
  }

  // An item that passed the filters and whose canonical score is known; NaN and infinity are never returned.
  void offer_exact(std::int64_t row, float score) {
    if (!is_finite(score) && !GPUREC_PLANTED(rescore_keeps_infinite)) return;
    if (score < tau_ || (GPUREC_PLANTED(scan_keep_strict) && score <= tau_)) return;
    if (is_followed_) {
      take(score, row);
      return;
    }
    ++stats_.candidates;
    exact_.push_back(order_key(score, row));
    if (std::int64_t(exact_.size()) >= limit_) {
      ++stats_.compressions;
      cut_exact();
    }
  }

  // Items of a tile that passed the filters, widened as the query is, are scored. True where the threshold rose.
  bool offer_wide(const double* query, const double* items, const std::uint32_t* rows, std::uint64_t bits) {
    const std::size_t n = exact_.size();
    constexpr std::size_t kRoom = kTileItems + 8;
    if (exact_.capacity() < n + kRoom) exact_.reserve(std::min(2 * n, std::size_t(limit_)) + 2 * kRoom);
    exact_.resize(n + kRoom);
    const auto append = kernels_->append_scored(items_->metric());
    const float least = GPUREC_PLANTED(scored_at_once_strict) ? -next_down32(-tau_) : tau_;
    const Appended appended = append(query, items, items_->d(), bits, rows, least, exact_.data() + n);
    exact_.resize(n + std::size_t(appended.kept));
    stats_.scored_at_once += appended.scored;
    stats_.rescored += appended.scored;
    stats_.candidates += appended.kept;
    if (std::int64_t(exact_.size()) < limit_) return false;
    ++stats_.compressions;
    const float before = tau_;
    cut_exact();
    return tau_ > before;
  }

  // Scores the entries so far and forgets their scan values.
  void score_list() {
    thin();
    score_all();
  }

  // Lets known scores raise the threshold, where there are enough new ones. True where it rose.
  bool sharpen() {
    if (std::int64_t(exact_.size()) < k_ + std::max<std::int64_t>(k_ / 4, 4)) return false;
    const float before = tau_;
    cut_exact();
    return tau_ > before;
  }

  float score(const float* item) {
    ++stats_.rescored;
    return round32(kernels_->canonical_sum(items_->metric())(query_, item, items_->d()));
  }

  void take_all_of(const Candidates& other) {
    list_.append(other.list_);
    exact_.insert(exact_.end(), other.exact_.begin(), other.exact_.end());
    if (!GPUREC_PLANTED(threads_slack_lost)) largest_slack_ = std::max(largest_slack_, other.largest_slack_);
    prove(other.proved_);
    suppose(other.tau_);
    stats_.add(other.stats_);
  }

  // Drops what the final threshold rules out; the scan list then holds what is to be scored canonically. Intervals of
  // fewer bits are wide beside the errors that there are: only the best k of their scan values are scored at first.
  void settle();

  // The scores of the best prove a threshold, and what of the others comes near it is to be scored too. False where
  // nothing is.
  bool take_up_others();

  // Canonical scores of the scan list's entries, in place of their scan values: `items` begin at position `first`.
  void score_entries(std::int64_t begin, std::int64_t end, const float* items, std::uint32_t first) {
    float* const values = list_.values();
    if (GPUREC_PLANTED(rescore_keeps_scan_value)) {
      for (std::int64_t e = begin; e < end; ++e) values[e] = round32(bound_.estimate(values[e]));
      return;
    }
    kernels_->canonical_scores(items_->metric())(query_, items, items_->d(), list_.positions() + begin, first,
                                                 end - begin, values + begin);
  }

  // Every entry has its score: the list becomes keys of those that may be answers, and what was set aside the list.
  void settled();

  // The answer once every entry is settled: keys of at most k items that score at least `floor`, best first.
  const Keys& answer(float floor = -std::numeric_limits<float>::infinity()) {
    if (floor > -std::numeric_limits<float>::infinity()) {
      const std::uint64_t least = std::uint64_t(monotone_u32(floor)) << 32;
      exact_.erase(std::remove_if(exact_.begin(), exact_.end(), [=](std::uint64_t key) { return key < least; }),
                   exact_.end());
    }
    stats_.ties_at_threshold += keep_best(exact_, k_, *kernels_);
    return exact_;
  }

 private:
  // Room for one more tile; lists grow as they fill, since k may be as large as the table.
  void make_room() {
    const std::int64_t n = list_.size();
    if (n + kTileItems <= list_.room()) return;
    list_.reserve(std::min(full_at_, std::max<std::int64_t>(2 * n, 4 * kTileItems)) + kTileItems);
  }

  bool added(int count, double slack) {
    largest_slack_ = GPUREC_PLANTED(threshold_by_last_slack) ? slack : std::max(largest_slack_, slack);
    list_.set_size(list_.size() + count);
    stats_.candidates += count;
    if (list_.size() < full_at_) return false;
    const float before = tau_;
    compress();
    return tau_ > before;
  }

  bool crowded() const { return list_.size() > full_at_ - std::max<std::int64_t>((full_at_ - k_) / 4, 8); }

  double slack_at(std::uint32_t position) const;
  void compress();
  float thin();
  void thin_by_intervals();
  void begin_to_follow();
  void drop_ruled_out();
  void score_all();
  void score_best(float kth);
  std::uint64_t last_exact_key();
  void cut_exact();

  const ItemSource* items_;
  const Kernels* kernels_;
  const float* query_;
  std::int64_t k_;
  bool is_coarse_;        // intervals are wide
  std::int64_t limit_;    // the most entries of a list
  std::int64_t full_at_;  // entries at which it is thinned
  double query_squares_ = 0.0;
  Float32Bound bound_;
  Int8Bound int8_;
  bool with_int8_ = false;
  Bf16Bound bf16_;
  bool with_bf16_ = false;
  float proved_ = -std::numeric_limits<float>::infinity();
  float tau_ = -std::numeric_limits<float>::infinity();  // what rules items out, at least what is proved
  double largest_slack_ = 0.0;       // of the items offered with scan values
  std::int64_t sample_rank_ = 0;  // above 0 while a sample is scanned
  bool follows_ = false;
  bool is_followed_ = false;  // the known scores are the best k so far, in order
  ScanList list_;
  Keys exact_;  // order keys of items whose canonical scores are known
  SearchStats stats_;
};

}  // namespace gpurec::cpu
