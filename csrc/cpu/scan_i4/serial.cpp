// scan_tile_i4 in plain C++.
#include "scan_i4.hpp"

namespace gpurec::cpu {

bool scan_tile_i4_serial(const std::int8_t* const* queries, const std::int32_t* start, const std::int32_t* weights,
                         int n_queries, const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits,
                         std::int32_t* sums_of_queries, const std::uint8_t*) {
  const std::uint8_t* const shares = codes + n_pairs * kTileItems * kGroup;
  bool any = false;
  for (int m = 0; m < n_queries; ++m) {
    std::uint32_t sums[kTileItems];
    for (int j = 0; j < kTileItems; ++j) {
      sums[j] = std::uint32_t(start[m]) + std::uint32_t(strayed_of_share(weights[m], shares[j]));
    }
    for (std::int64_t g = 0; g < n_pairs; ++g) {
      const std::int8_t* const q = queries[m] + g * 2 * kGroup;
      const std::uint8_t* const pair = codes + g * kTileItems * kGroup;
      for (int j = 0; j < kTileItems; ++j) {
        std::int32_t dot = 0;
        for (int i = 0; i < kGroup; ++i) {
          const int two = pair[j * kGroup + i];
          dot += q[i] * (two & 15) + q[kGroup + i] * (two >> 4);
        }
        sums[j] += std::uint32_t(dot);
      }
    }
    std::uint64_t reached = 0;
    for (int j = 0; j < kTileItems; ++j) {
      sums_of_queries[m * kTileItems + j] = std::int32_t(sums[j]);
      reached |= std::uint64_t(std::int32_t(sums[j]) >= 0) << j;
    }
    hits[m] = reached;
    any |= reached != 0;
  }
  return any;
}

}  // namespace gpurec::cpu
