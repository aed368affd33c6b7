// Kernel `scan_bf16`: one tile of dot products of numbers rounded to bfloat16, summed in float32.
//
// Two components lie together in 32 bits, the even one in the low half: pair g of item j is tile[g * kTileItems + j], pair
// g of a query queries[m][g]; both are zero past component d. For query m and item j, from start[j] on and for each
// pair g = 0, 1, ... the sum takes first the product of the odd components, then that of the even ones:
//     sum = fma(odd, odd, sum),   sum = fma(even, even, sum),
// each rounded to nearest even, where whatever lies below the normal range becomes zero on the way in and on the way
// out. As in kernel `scan` the sum is stored at scores[m * kTileItems + j] and bit j of hits[m] set unless it is
// <= reject[m]. n_queries is at most kTileQueries; tile and scores are 64-byte aligned.
// Bytes read: 2 per item component and tile; arithmetic: kTileQueries / 2 instructions per component read.
#pragma once
#include <cstdint>
#include <cstring>

#include "gpurec/scan.hpp"

namespace gpurec {

inline std::int64_t n_pairs(std::int64_t d) { return (d + 1) / 2; }

using ScanTileBf16 = void (*)(const std::uint32_t* const* queries, int n_queries, const std::uint32_t* tile,
                              std::int64_t n_pairs, const float* start, const float* reject, float* scores,
                              std::uint64_t* hits);

// Rounds a tile of panels (kernel `scan`) for it. Returns the largest sum, over the items, of the d squares of what
// rounding took off, in float32 and in any order; an item that is not finite does not count.
using RoundTileBf16 = float (*)(const float* panels, std::int64_t d, std::uint32_t* tile);

// The upper half of the float32 nearest to x of those whose lower half is zero, of two the even one; what lies below
// the normal range becomes zero. x is finite.
inline std::uint16_t round_to_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7f800000u) == 0) return std::uint16_t(bits >> 31 << 15);
  return std::uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

inline float float_of_bf16(std::uint32_t half) {
  const std::uint32_t bits = half << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// `pairs` has room for n_pairs(d).
inline void round_row_to_bf16(const float* x, std::int64_t d, std::uint32_t* pairs) {
  for (std::int64_t g = 0; g < n_pairs(d); ++g) {
    const std::uint32_t odd = 2 * g + 1 < d ? round_to_bf16(x[2 * g + 1]) : 0;
    pairs[g] = odd << 16 | round_to_bf16(x[2 * g]);
  }
}
inline float component_of_pairs(const std::uint32_t* pairs, std::int64_t i) {
  return float_of_bf16(i % 2 == 0 ? pairs[i / 2] & 0xffffu : pairs[i / 2] >> 16);
}

}  // namespace gpurec
