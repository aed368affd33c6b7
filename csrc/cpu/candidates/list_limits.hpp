// How long the lists of candidates become.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "gpurec/score_top_k.hpp"

namespace gpurec::cpu {

constexpr std::int64_t kListRoom = 32;  // entries that a list has beyond its places at least

// The most entries of a list, eight bytes each, and as much again for known scores. A sample leaves more unsettled
// than a search without one: the fewer places, the wider it errs.
inline std::int64_t list_limit(std::int64_t k, std::int64_t n_items) {
  const std::int64_t places = std::min(k, n_items);
  return 2 * places + std::max(2 * kListRoom, std::int64_t(25 * std::sqrt(double(places))));
}

// Entries at which a list is thinned where no sample was taken. Intervals of fewer bits are wide: more entries than
// places stay whatever is known of the others.
inline std::int64_t usual_limit(std::int64_t k, std::int64_t n_items, Precision precision) {
  const std::int64_t places = std::min(k, n_items);
  const std::int64_t room = (precision == Precision::fp32 ? 1 : 2) * std::max(places, kListRoom);
  return std::min(places + room, list_limit(k, n_items));
}

// Queries whose lists, n_lists each at a time and 16 bytes an entry or less, together take no more than 48 MB or
// 16 bytes for each place of the result.
inline std::int64_t queries_in_memory(std::int64_t k, std::int64_t n_items, std::int64_t n_queries,
                                      std::int64_t n_lists) {
  const std::int64_t list_bytes = list_limit(k, n_items) * 16 * n_lists;
  const std::int64_t most_bytes = std::max(std::int64_t(48) << 20, n_queries * std::min(k, n_items) * 16);
  return std::max<std::int64_t>(1, most_bytes / list_bytes);
}

}  // namespace gpurec::cpu
