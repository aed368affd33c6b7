// scan_tile_f32, plain C++: the form that the others are checked against and that any processor runs.
#include "scan.hpp"

#include "gpurec/scan.hpp"

namespace gpurec::cpu {

void scan_tile_f32_serial(const float* const* queries, int n_queries, const float* panel, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits) {
  for (int m = 0; m < n_queries; ++m) {
    float* sum = scores + m * kPanelItems;
    for (int j = 0; j < kPanelItems; ++j) sum[j] = start[j];
    for (std::int64_t i = 0; i < d; ++i) {
      const float q = queries[m][i];
      const float* x = panel + i * kPanelItems;
      for (int j = 0; j < kPanelItems; ++j) sum[j] += q * x[j];
    }
    hits[m] = 0;
    for (int j = 0; j < kPanelItems; ++j) {
      hits[m] |= std::uint64_t(!(sum[j] <= reject[m])) << j;
    }
  }
}

}  // namespace gpurec::cpu
