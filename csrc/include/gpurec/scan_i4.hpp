// Kernel `scan_i4`: for few queries, which items of a tile of 4-bit codes come near. Half the bytes of int8 codes are
// read, which is what a search for one query waits for; what comes near is scored canonically.
//
// Item codes are 1..15, offset by 8. Two groups of four components share their bytes: component 8 g + i of item j is
// the low half of codes[(g * kTileItems + j) * 4 + i], component 8 g + 4 + i the high half; components past d are 8,
// which stands for 0. A query's codes are -127..127, eight n_pairs of them, zero past d. For query m and item j
//     sum[m][j] = start[m] + sum_i queries[m][i] * codes[j][i]    in int32, modulo 2^32,
// where start[m] takes the offset back (-8 sum_i queries[m][i]) and a threshold off, so that an item comes near where
// the sum is not negative. n_pairs <= kMostGroups / 2 keeps a dot of codes below 2^30.
// Bit j of hits[m] says that item j comes near query m. Returns whether any does.
// `next`, where it is not null, is as long as `codes` and asked for meanwhile.
// Bytes read: 1/2 per item component; arithmetic: a multiply-add a query and component.
#pragma once
#include <cstdint>

#include "gpurec/scan_i8.hpp"

namespace gpurec {

using ScanTileI4 = bool (*)(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                            const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits,
                            const std::uint8_t* next);

}  // namespace gpurec
