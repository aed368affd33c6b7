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
  void settle() {
    const float kth = thin();
    list_.sort_by_position();
    if (with_int8_ || with_bf16_) {
      list_.set_aside_below(kth);
    } else if (list_.size() > k_ + k_ / 8 + 8) {  // to score: dearer to tell apart
      thin_by_intervals();
    }
  }

  // The scores of the best prove a threshold, and what of the others comes near it is to be scored too. False where
  // nothing is.
  bool take_up_others() {
    if (list_.size() == 0) return false;
    if (std::int64_t(exact_.size()) >= k_) {
      std::uint64_t smallest, largest;
      kernels_->range_of_keys(exact_.data(), std::int64_t(exact_.size()), &smallest, &largest);
      prove(score_of_key(smallest));
    }
    list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject_at(largest_slack_)));
    return list_.size() > 0;
  }

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
  void settled() {
    const std::int64_t n = list_.size();
    const float* const scores = list_.values();
    std::uint32_t* const rows = list_.positions();
    stats_.rescored += n;
    items_->rows_at(rows, n, rows);
    std::size_t n_exact = exact_.size();
    exact_.reserve(n_exact + std::size_t(n + list_.n_aside()));
    exact_.resize(n_exact + std::size_t(n));
    std::uint64_t* const keys = exact_.data();
    for (std::int64_t i = 0; i < n; ++i) {
      keys[n_exact] = order_key(scores[i], rows[i]);
      // Finite always, unless a mapped file's norms are not those of its items.
      n_exact += std::size_t(scores[i] >= tau_) & std::size_t(is_finite(scores[i]));
    }
    exact_.resize(n_exact);
    list_.take_up_aside();
  }

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

  void compress() {
    ++stats_.compressions;
    if (GPUREC_PLANTED(compress_drops_overflow)) {
      list_.set_size(std::min(list_.size(), full_at_ / 2));
      return;
    }
    const float kth = thin();
    if (crowded() && is_coarse_ && sample_rank_ == 0) score_best(kth);
    if (crowded()) thin_by_intervals();
    if (crowded()) score_all();
  }

  // The k largest scan values belong to k distinct items that score at least the lower bound of the smallest of
  // them at the largest slack: a threshold. Then one comparison an entry. Returns a value that about k entries reach.
  float thin() {
    const std::int64_t rank = sample_rank_ > 0 ? sample_rank_ : GPUREC_PLANTED(threshold_one_too_high) ? k_ - 1 : k_;
    float kth = -std::numeric_limits<float>::infinity();
    if (rank > 0 && list_.size() >= rank) {
      kth = kernels_->near_kth_largest(list_.values(), list_.size(), rank);
      if (sample_rank_ > 0) {
        suppose(round32(bound_.estimate(kth)));
      } else {
        prove(bound_.lower(kth, largest_slack_));
      }
    }
    float reject = reject_at(largest_slack_);
    if (GPUREC_PLANTED(compress_drops_ties)) reject = round_up32(double(tau_));
    list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject));
    return kth;
  }

  double slack_at(std::uint32_t position) const {
    if (with_bf16_) return largest_slack_;  // errors of items are not kept
    const double of_float32 = bound_.slack(items_->norm_at(position));
    const bool of_int8 = with_int8_ && !GPUREC_PLANTED(int8_intervals_of_float32);
    const TileBounds* const tile = of_int8 ? items_->tile_at(position) : nullptr;
    return tile == nullptr || tile->scale == 0.0f ? of_float32 : std::max(of_float32, int8_.slack(*tile));
  }

  // The same with each item's own slack; an upper bound equal to the k-th known score loses by a larger row.
  void thin_by_intervals() {
    float* const values = list_.values();
    std::uint32_t* const positions = list_.positions();
    std::vector<Interval> intervals(static_cast<std::size_t>(list_.size()));
    std::vector<float> lowers(intervals.size());
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      intervals[i] = bound_.interval(values[i], slack_at(positions[i]));
      lowers[i] = intervals[i].lower;
    }
    if (list_.size() >= k_) {
      std::nth_element(lowers.begin(), lowers.begin() + (k_ - 1), lowers.end(), std::greater<float>());
      prove(lowers[std::size_t(k_ - 1)]);
    }
    const std::uint64_t last = std::int64_t(exact_.size()) >= k_ ? last_exact_key() : 0;
    std::int64_t kept = 0;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      const float upper = intervals[i].upper;
      if (upper < tau_ || order_key(upper, items_->row_at(positions[i])) < last) continue;
      values[kept] = values[i];
      positions[kept++] = positions[i];
    }
    stats_.ties_at_threshold += last != 0 ? list_.size() - kept : 0;
    list_.set_size(kept);
  }

  // Intervals too wide to tell the candidates apart, or mass ties: score them all and let the total order cut to k.
  void score_all() {
    std::vector<float> room(static_cast<std::size_t>(items_->d()));
    exact_.reserve(exact_.size() + std::size_t(list_.size()));
    for (std::int64_t i = 0; i < list_.size(); ++i) items_->prefetch_item(list_.positions()[i]);
    for (std::int64_t i = 0; i < list_.size(); ++i) {
      const std::uint32_t position = list_.positions()[i];
      const float exact = score(items_->item_at(position, room.data()));
      if (exact >= tau_ && is_finite(exact)) exact_.push_back(order_key(exact, items_->row_at(position)));
    }
    list_.take_up_aside();
    cut_exact();
  }

  // Intervals of few bits are wide beside the errors that there are: the scores of the k best scan values tell better
  // than their lower bounds what the others can reach.
  void score_best(float kth) {
    list_.set_aside_below(kth);
    score_all();
    list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject_at(largest_slack_)));
  }

  std::uint64_t last_exact_key() {
    std::nth_element(exact_.begin(), exact_.begin() + (k_ - 1), exact_.end(), std::greater<std::uint64_t>());
    return exact_[std::size_t(k_ - 1)];
  }

  // k distinct items that this query may be given are known to come first; later ones cannot be answers.
  void cut_exact() {
    if (std::int64_t(exact_.size()) < k_) return;
    const float last = score_of_key(last_exact_key());
    stats_.ties_at_threshold += count_ties(exact_, std::size_t(k_), last);
    exact_.resize(std::size_t(k_));
    prove(last);
  }

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
  ScanList list_;
  Keys exact_;  // order keys of items whose canonical scores are known
  SearchStats stats_;
};

}  // namespace gpurec::cpu
