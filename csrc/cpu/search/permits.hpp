// What filters say of one row, and how an answer is written.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "gpurec/order.hpp"
#include "gpurec/score_top_k.hpp"
#include "candidates/sort_keys.hpp"

namespace gpurec::cpu {

// Whether mask and deny lists let a query have a row; allow lists are walked, not asked.
inline bool permits(const FiltersView& filters, std::int64_t query, std::int64_t row) {
  if (filters.mask != nullptr && filters.mask[row] == 0) return false;
  for (const RowSetsView& sets : filters.deny) {
    if (GPUREC_PLANTED(filter_second_deny_ignored) && &sets != &filters.deny.front()) continue;
    if (std::binary_search(sets.begin(query), sets.end(query), row)) return false;
  }
  return true;
}

// What a query's deny lists may hold, a bit for each of 1,024 classes of rows: most of the rows that a scan asks
// about are in none of a short list's classes, and need no look-up.
class DeniedClasses {
 public:
  DeniedClasses(const FiltersView& filters, std::int64_t query) {
    for (const RowSetsView& sets : filters.deny) {
      for (const std::int64_t* row = sets.begin(query); row != sets.end(query); ++row) word(*row) |= bit(*row);
    }
  }
  bool may_hold(std::int64_t row) const { return (words_[std::size_t(row >> 6) % kWords] & bit(row)) != 0; }

 private:
  static constexpr std::size_t kWords = 16;
  static std::uint64_t bit(std::int64_t row) { return std::uint64_t(1) << (row & 63); }
  std::uint64_t& word(std::int64_t row) { return words_[std::size_t(row >> 6) % kWords]; }
  std::array<std::uint64_t, kWords> words_{};
};

// Answer of query i from keys in order, padded with row -1 and score -inf.
inline void write_answer(const Keys& keys, std::int64_t k, TopKView out, std::int64_t i) {
  std::int64_t* const rows = out.rows.row(i);
  float* const scores = out.scores.row(i);
  std::transform(keys.begin(), keys.end(), rows, row_of_key);
  std::transform(keys.begin(), keys.end(), scores, score_of_key);
  std::fill(rows + keys.size(), rows + k, std::int64_t(-1));
  std::fill(scores + keys.size(), scores + k, -std::numeric_limits<float>::infinity());
}

}  // namespace gpurec::cpu
