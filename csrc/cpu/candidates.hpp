// The candidates of one query: intervals that hold their canonical scores, and the threshold tau that they prove.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"
#include "gpurec/score_top_k.hpp"

namespace gpurec::cpu {

// An item whose canonical score lies in [lower, upper]; the score is known where the two are equal.
struct Candidate {
  std::uint32_t row;
  float lower;
  float upper;
};

// Keeps every offered item that the threshold cannot rule out. tau is the k-th largest lower bound of distinct
// permitted items, or a higher such bound told by `raise_to`; it never falls.
// `Rescore` gives the canonical score of a row for this query.
template <class Rescore>
class CandidateBuffer {
 public:
  CandidateBuffer(std::int64_t k, std::int64_t n_items, Rescore rescore)
      : k_(k), limit_(std::size_t(2 * std::min(k, n_items) + kSlack)), rescore_(std::move(rescore)) {}

  float tau() const { return tau_; }
  const std::vector<Candidate>& candidates() const { return candidates_; }
  SearchStats& stats() { return stats_; }

  void raise_to(float tau) { tau_ = std::max(tau_, tau); }

  // An item that passed the filters. True where the threshold rose.
  bool offer(std::int64_t row, Interval interval) {
    if (interval.upper < tau_ || (GPUREC_PLANTED(scan_keep_strict) && interval.upper <= tau_)) return false;
    ++stats_.candidates;
    candidates_.push_back({std::uint32_t(row), interval.lower, interval.upper});
    if (candidates_.size() < limit_) return false;
    const float before = tau_;
    compress();
    return tau_ > before;
  }

  // The same for an item whose canonical score is already known; NaN and infinity are never returned.
  bool offer_exact(std::int64_t row, float score) {
    if (!is_finite(score) && !GPUREC_PLANTED(rescore_keeps_infinite)) return false;
    return offer(row, {score, score});
  }

  void take_all_of(const CandidateBuffer& other) {
    candidates_.insert(candidates_.end(), other.candidates_.begin(), other.candidates_.end());
    raise_to(other.tau_);
    stats_.add(other.stats_);
  }

  // Writes the answer: canonical scores in the total order, padded with row -1 and score -inf.
  void finish(std::int64_t* rows, float* scores) {
    thin();
    make_exact();
    thin();
    std::vector<std::uint64_t> keys(candidates_.size());
    std::transform(candidates_.begin(), candidates_.end(), keys.begin(),
                   [](const Candidate& c) { return order_key(c.lower, c.row); });
    const std::int64_t found = std::min<std::int64_t>(k_, std::int64_t(keys.size()));
    std::partial_sort(keys.begin(), keys.begin() + found, keys.end(), std::greater<std::uint64_t>());
    if (found == k_) {
      const float last = score_of_key(keys[found - 1]);
      for (std::size_t i = std::size_t(found); i < keys.size(); ++i) {
        stats_.ties_at_threshold += score_of_key(keys[i]) == last;
      }
    }
    for (std::int64_t i = 0; i < k_; ++i) {
      rows[i] = i < found ? row_of_key(keys[i]) : -1;
      scores[i] = i < found ? score_of_key(keys[i]) : -std::numeric_limits<float>::infinity();
    }
  }

 private:
  static constexpr std::int64_t kSlack = 64;

  bool crowded() const { return candidates_.size() > limit_ / 4 * 3; }

  void compress() {
    ++stats_.compressions;
    if (GPUREC_PLANTED(compress_drops_overflow)) {
      candidates_.pop_back();
      return;
    }
    thin();
    if (!crowded()) return;
    // Intervals too wide to tell the candidates apart: score them, then thin again.
    make_exact();
    thin();
    if (!crowded()) return;
    // All scores are known and still too many reach tau, so the total order may cut to k.
    const auto later = candidates_.begin() + k_;
    std::nth_element(candidates_.begin(), later, candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return order_key(a.lower, a.row) > order_key(b.lower, b.row);
    });
    stats_.ties_at_threshold += candidates_.end() - later;
    candidates_.erase(later, candidates_.end());
  }

  // Raises tau to the k-th largest lower bound and drops what lies wholly below it.
  void thin() {
    const std::int64_t rank = GPUREC_PLANTED(threshold_one_too_high) ? k_ - 1 : k_;
    if (rank > 0 && std::int64_t(candidates_.size()) >= rank) {
      lowers_.resize(candidates_.size());
      std::transform(candidates_.begin(), candidates_.end(), lowers_.begin(),
                     [](const Candidate& c) { return c.lower; });
      std::nth_element(lowers_.begin(), lowers_.begin() + (rank - 1), lowers_.end(), std::greater<float>());
      raise_to(lowers_[std::size_t(rank - 1)]);
    }
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                     [this](const Candidate& c) {
                                       if (GPUREC_PLANTED(compress_drops_ties)) return c.upper <= tau_;
                                       return c.upper < tau_;
                                     }),
                      candidates_.end());
  }

  void make_exact() {
    if (GPUREC_PLANTED(rescore_keeps_scan_value)) return;
    for (Candidate& c : candidates_) {
      if (c.lower == c.upper) continue;
      ++stats_.rescored;
      c.lower = c.upper = rescore_(c.row);
    }
  }

  std::int64_t k_;
  std::size_t limit_;
  Rescore rescore_;
  float tau_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> candidates_;
  std::vector<float> lowers_;
  SearchStats stats_;
};

}  // namespace gpurec::cpu
