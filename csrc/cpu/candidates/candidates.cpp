// The steps of a list of candidates that come once in a while.
#include "candidates/candidates.hpp"

namespace gpurec::cpu {

void Candidates::settle() {
  if (is_followed_) {
    drop_ruled_out();
    list_.sort_by_position();
    return;
  }
  const float kth = thin();
  list_.sort_by_position();
  if (with_int8_ || with_bf16_) {
    list_.set_aside_below(kth);
  } else if (list_.size() > k_ + k_ / 8 + 8) {  // to score: dearer to tell apart
    thin_by_intervals();
  }
}

bool Candidates::take_up_others() {
  if (list_.size() == 0) return false;
  if (std::int64_t(exact_.size()) >= k_) {
    std::uint64_t smallest, largest;
    kernels_->range_of_keys(exact_.data(), std::int64_t(exact_.size()), &smallest, &largest);
    prove(score_of_key(smallest));
  }
  list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject_at(largest_slack_)));
  return list_.size() > 0;
}

void Candidates::settled() {
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

void Candidates::compress() {
  ++stats_.compressions;
  if (GPUREC_PLANTED(compress_drops_overflow)) {
    list_.set_size(std::min(list_.size(), full_at_ / 2));
    return;
  }
  if (follows_ && !is_followed_) return begin_to_follow();
  if (is_followed_) {
    drop_ruled_out();
    if (list_.size() > full_at_ / 2) score_all();
    return;
  }
  const float kth = thin();
  if (crowded() && is_coarse_ && sample_rank_ == 0) score_best(kth);
  if (crowded()) thin_by_intervals();
  if (crowded()) score_all();
}

// The best of the list are scored, and what of the others may still come near waits.
void Candidates::begin_to_follow() {
  const float kth = kernels_->near_kth_largest(list_.values(), list_.size(), k_);
  float* const values = list_.values();
  std::uint32_t* const positions = list_.positions();
  std::vector<float> room(static_cast<std::size_t>(items_->d()));
  exact_.reserve(std::size_t(k_));
  std::int64_t n_waiting = 0;
  for (std::int64_t i = 0; i < list_.size(); ++i) {
    if (values[i] >= kth) {
      const float exact = score(items_->item_at(positions[i], room.data()));
      if (is_finite(exact)) exact_.push_back(order_key(exact, items_->row_at(positions[i])));
      continue;
    }
    values[n_waiting] = values[i];
    positions[n_waiting++] = positions[i];
  }
  list_.set_size(n_waiting);
  if (std::int64_t(exact_.size()) < k_) {  // scores that are not finite: the list must have room all the same
    score_all();
    return;
  }
  stats_.ties_at_threshold += keep_best(exact_, k_, *kernels_);
  is_followed_ = true;
  prove(score_of_key(exact_.back()));
  drop_ruled_out();
}

void Candidates::drop_ruled_out() {
  list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject_at(largest_slack_)));
}

// The k largest scan values belong to k distinct items that score at least the lower bound of the smallest of
// them at the largest slack: a threshold. Then one comparison an entry. Returns a value that about k entries reach.
float Candidates::thin() {
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

double Candidates::slack_at(std::uint32_t position) const {
  if (with_bf16_) return largest_slack_;  // errors of items are not kept
  const double of_float32 = bound_.slack(items_->norm_at(position));
  const bool of_int8 = with_int8_ && !GPUREC_PLANTED(int8_intervals_of_float32);
  const TileBounds* const tile = of_int8 ? items_->tile_at(position) : nullptr;
  return tile == nullptr || tile->scale == 0.0f ? of_float32 : std::max(of_float32, int8_.slack(*tile));
}

// The same with each item's own slack; an upper bound equal to the k-th known score loses by a larger row.
void Candidates::thin_by_intervals() {
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
void Candidates::score_all() {
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
  if (is_followed_) std::sort(exact_.begin(), exact_.end(), std::greater<std::uint64_t>());
}

// Intervals of few bits are wide beside the errors that there are: the scores of the k best scan values tell better
// than their lower bounds what the others can reach.
void Candidates::score_best(float kth) {
  list_.set_aside_below(kth);
  score_all();
  list_.set_size(kernels_->keep_above(list_.values(), list_.positions(), list_.size(), reject_at(largest_slack_)));
}

std::uint64_t Candidates::last_exact_key() {
  std::nth_element(exact_.begin(), exact_.begin() + (k_ - 1), exact_.end(), std::greater<std::uint64_t>());
  return exact_[std::size_t(k_ - 1)];
}

// k distinct items that this query may be given are known to come first; later ones cannot be answers.
void Candidates::cut_exact() {
  if (std::int64_t(exact_.size()) < k_) return;
  const float last = score_of_key(last_exact_key());
  stats_.ties_at_threshold += count_ties(exact_, std::size_t(k_), last);
  exact_.resize(std::size_t(k_));
  prove(last);
}

}  // namespace gpurec::cpu
