// scan_tile_bf16, plain C++: the arithmetic of the instructions, step by step.
#include "scan_bf16.hpp"

#include <algorithm>
#include <cmath>

#include "gpurec/scan_bf16.hpp"

namespace gpurec::cpu {
namespace {

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

}  // namespace

void scan_tile_bf16_serial(const std::uint32_t* const* queries, int n_queries, const std::uint32_t* tile,
                           std::int64_t n_pairs, const float* start, const float* reject, float* scores,
                           std::uint64_t* hits) {
  for (int m = 0; m < n_queries; ++m) {
    float* const sum = scores + m * kTileItems;
    for (int j = 0; j < kTileItems; ++j) sum[j] = flushed(start[j]);
    for (std::int64_t g = 0; g < n_pairs; ++g) {
      for (const int component : {1, 0}) {
        const float q = flushed(component_of_pairs(queries[m], 2 * g + component));
        for (int j = 0; j < kTileItems; ++j) {
          const std::uint32_t pair = tile[g * kTileItems + j];
          sum[j] = flushed(std::fmaf(q, flushed(component_of_pairs(&pair, component)), sum[j]));
        }
      }
    }
    hits[m] = 0;
    for (int j = 0; j < kTileItems; ++j) hits[m] |= std::uint64_t(!(sum[j] <= reject[m])) << j;
  }
}

float round_tile_bf16_serial(const float* panels, std::int64_t d, std::uint32_t* tile) {
  float squares[kTileItems] = {};
  for (int j = 0; j < kTileItems; ++j) {
    const float* const column = panels + j / kPanelItems * (kPanelItems * d) + j % kPanelItems;
    for (std::int64_t g = 0; g < gpurec::n_pairs(d); ++g) {
      std::uint32_t pair = 0;
      for (std::int64_t i = 2 * g; i < std::min(d, 2 * g + 2); ++i) {
        const std::uint32_t half = round_to_bf16(column[i * kPanelItems]);
        const float off = column[i * kPanelItems] - float_of_bf16(half);
        squares[j] += off * off;
        pair |= half << (i % 2 * 16);
      }
      tile[g * kTileItems + j] = pair;
    }
  }
  float largest = 0.0f;
  for (const float sum : squares) largest = sum > largest ? sum : largest;
  return largest;
}

}  // namespace gpurec::cpu
