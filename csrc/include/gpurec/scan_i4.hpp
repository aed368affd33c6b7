// Kernel `scan_i4`: for few queries, which items of a tile of 4-bit codes come near. Half the bytes of int8 codes are
// read, which is what a search for one query waits for.
//
// Item codes are 1..15, offset by 8. Two groups of four components share their bytes: component 8 g + i of item j is
// the low half of codes[(g * kTileItems + j) * 4 + i], component 8 g + 4 + i the high half; components past d are 8,
// which stands for 0. Behind the n_pairs pairs of groups lies a byte for each item, its share of the tile's error. A
// query's codes are -127..127, eight n_pairs of them, zero past d. For query m and item j
//     sum[m][j] = start[m] + strayed_of_share(weights[m], share[j]) + sum_i queries[m][i] * codes[j][i]
// in int32, modulo 2^32, where start[m] takes the offset back (-8 sum_i queries[m][i]) and a threshold off, so that an
// item comes near where the sum is not negative. n_pairs <= kMostGroups / 2 keeps a dot of codes below 2^26.
// Bit j of hits[m] says that item j comes near query m; where there is one, row m of `sums` (kTileItems each, 64-byte
// aligned) holds the sums, else what is left of it is lost. Returns whether any item comes near.
// `next`, where it is not null, is as long as `codes` and asked for meanwhile.
// Bytes read: 1/2 per item component and 1 per item; arithmetic: a multiply-add a query and component.
#pragma once
#include <cstdint>

#include "gpurec/scan_i8.hpp"

namespace gpurec {

constexpr std::int32_t kMostWeight = 1 << 22;  // its product with a byte stays below 2^30

// By how much the sum of an item of that share may stray, rounded up.
GPUREC_HD inline std::int32_t strayed_of_share(std::int32_t weight, int share) {
  return (weight * std::int32_t(share) + 255) >> 8;
}

// 256 times what an item of share 1 may stray: length unit / (scales), with what four products and the two inverses
// round, together below 2^-21; the unit more covers what lies below the normal range. Above kMostWeight there is none.
GPUREC_HD inline std::int32_t weight_of_share(float length, float inverse_scale, float unit, float tile_inverse_scale) {
  const float strayed = (length * inverse_scale) * (unit * tile_inverse_scale) * 256.0f;
  if (GPUREC_PLANTED(int4_weight_nearest)) return std::int32_t(strayed * 0.98f);
  const float weight = std::ceil(strayed * (1.0f + 0x1p-20f)) + 1.0f;
  return weight <= float(kMostWeight) ? std::int32_t(weight) : kMostWeight + 1;
}

using ScanTileI4 = bool (*)(const std::int8_t* const* queries, const std::int32_t* start, const std::int32_t* weights,
                            int n_queries, const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits,
                            std::int32_t* sums, const std::uint8_t* next);

}  // namespace gpurec
