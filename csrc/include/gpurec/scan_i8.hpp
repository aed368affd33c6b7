// Kernel `scan_i8`: integer dots of any number of queries with one tile of kTileItems items, and which come near.
//
// Item codes are 1..255, offset by 128, and lie four components together: component 4 g + i of item j is
// codes[(g * kTileItems + j) * 4 + i]; components past d are 128, which stands for 0. A query's codes are -127..127,
// four n_groups of them, zero past d. For query m and item j
//     sum[m][j] = start[m] + sum_i queries[m][i] * codes[j][i]    in int32, modulo 2^32,
// where start[m] takes the offset back (-128 sum_i queries[m][i]) and a threshold off, so that an item comes near where
// the sum is not negative. n_groups <= kMostGroups keeps a dot of codes below 2^30.
// Queries of which an item comes near are told in `near`, ascending; row r of `sums` (kTileItems each) holds the sums
// of query near[r] and bit j of hits[r] says that item j comes near. All have room for n_queries rows, what lies past
// those that are told is lost; `sums` is 64-byte aligned. Returns the number of rows.
// `next`, where it is not null, is as long as `codes` and asked for meanwhile.
// Bytes read: 1 per item component; arithmetic: a multiply-add a query and component.
#pragma once
#include "gpurec/planted.hpp"
#include "gpurec/portable_std.hpp"
#include "gpurec/scan.hpp"

namespace gpurec {

constexpr std::int64_t kMostGroups = 16384;
constexpr int kGroup = 4;  // components
constexpr int kMostQueryCode = 127;

// A kernel that adds products in words of 16 bits (Kernels::adds_in_words) has them of four components together: a word of
// groups 2 p and 2 p + 1 takes components 0 and 1 of both, another 2 and 3. Of a query's codes for one word those above
// zero add up to this at most, and so do those below.
constexpr int kMostOfWord = 128;

using ScanTileI8 = int (*)(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                           const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                           std::int32_t* sums, const std::uint8_t* next);

// What a tile's start values are made of, an array element a query (bounds.hpp says what they bound).
struct StartTermsI8 {
  const float* below;          // scores at or below it are of no use
  const float* length;         // of the query's codes times its scale, an upper bound
  const float* error;          // of the query's codes, with what is proportional to an item's norm besides
  const float* inverse_scale;  // of the query's codes
  const std::int32_t* offset;  // -128 times the sum of its codes
};

// The same for a tile: error and norm are upper bounds; `shift` is added to `below`.
struct TileTermsI8 {
  float error;
  float norm;
  float inverse_scale;
  float shift;
};

// The least sum of signed codes at which an item comes near: floor(R - |R| 2^-20 - 1) + 1, with
//   G = below + shift - (|below| + |shift|) 2^-22 - (error norm + length tile.error) (1 + 2^-20),
//   R = G inverse_scale tile.inverse_scale,
// in float32, from left to right, clamped to [-2^30, 2^30] before it is rounded down; where it is NaN, of an infinity,
// it becomes -2^30, so that every item comes near. The terms are those of one query of StartTermsI8.
GPUREC_HD inline std::int32_t least_sum(float below, float length, float error, float inverse_scale,
                                        const TileTermsI8& tile) {
  constexpr float kMost = 0x1p30f;
  const float strayed = error * tile.norm + length * tile.error;
  const float slack = (std::fabs(below) + std::fabs(tile.shift)) * 0x1p-22f;
  const float least = below + tile.shift - slack - strayed * (1.0f + 0x1p-20f);
  const float scaled = least * inverse_scale * tile.inverse_scale;
  float bound = scaled - std::fabs(scaled) * 0x1p-20f - 1.0f;
  if (GPUREC_PLANTED(int8_start_roundings_dropped)) bound = scaled;
  if (!(bound > -kMost)) bound = -kMost;
  if (bound > kMost) bound = kMost;
  return std::int32_t(GPUREC_PLANTED(int8_start_truncated) ? bound : std::floor(bound)) + 1;
}

// start[m] = offset - least_sum of query m and the tile.
using StartValuesI8 = void (*)(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile,
                               std::int32_t* start);

// scores[j] = float(sums[j] + add) * scale - shift for a tile of kTileItems sums, in float32, each step rounded.
using ScoresOfSums = void (*)(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores);

}  // namespace gpurec
