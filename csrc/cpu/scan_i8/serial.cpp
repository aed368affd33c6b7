// Kernel `scan_i8`, plain C++: the form that the others are checked against and that any processor runs.
#include <algorithm>

#include "gpurec/planted.hpp"
#include "scan_i8.hpp"

namespace gpurec::cpu {
namespace {

std::int32_t saturated(std::int32_t pair) { return std::clamp(pair, -32768, 32767); }

std::int32_t products(const std::int8_t* q, const std::uint8_t* x) {
  const std::int32_t first = q[0] * x[0] + q[1] * x[1], second = q[2] * x[2] + q[3] * x[3];
  return GPUREC_PLANTED(int8_products_saturate) ? saturated(first) + saturated(second) : first + second;
}

}  // namespace

int scan_tile_i8_serial(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                        const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                        std::int32_t* sums, const std::uint8_t*) {
  int n_near = 0;
  for (int m = 0; m < n_queries; ++m) {
    std::uint32_t sum[kTileItems];  // unsigned, so that it may wrap around
    std::fill_n(sum, kTileItems, std::uint32_t(start[m]));
    const std::uint8_t* x = codes;
    for (std::int64_t g = 0; g < n_groups; ++g) {
      const std::int8_t* const q = queries[m] + g * kGroup;
      for (int j = 0; j < kTileItems; ++j, x += kGroup) sum[j] += std::uint32_t(products(q, x));
    }
    std::int32_t* const row = sums + n_near * kTileItems;
    std::uint64_t bits = 0;
    for (int j = 0; j < kTileItems; ++j) {
      row[j] = std::int32_t(sum[j]);
      bits |= std::uint64_t(row[j] >= 0) << j;
    }
    near[n_near] = m;
    hits[n_near] = bits;
    n_near += bits != 0;
  }
  return n_near;
}

void start_values_i8_serial(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile,
                            std::int32_t* start) {
  for (int m = 0; m < n_queries; ++m) {
    const std::int32_t least =
        least_sum(queries.below[m], queries.length[m], queries.error[m], queries.inverse_scale[m], tile);
    start[m] = std::int32_t(std::uint32_t(queries.offset[m]) - std::uint32_t(least));
  }
}

void scores_of_sums_serial(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores) {
  for (int j = 0; j < kTileItems; ++j) {
    const auto dot = std::int32_t(std::uint32_t(sums[j]) + std::uint32_t(add));
    scores[j] = float(dot) * scale - shift;
  }
}

}  // namespace gpurec::cpu
