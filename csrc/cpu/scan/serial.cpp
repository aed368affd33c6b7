// scan_tile_f32, plain C++: the form that the others are checked against and that any processor runs.
#include "scan.hpp"

#include <algorithm>

#include "gpurec/scan.hpp"

namespace gpurec::cpu {

void scan_tile_f32_serial(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits,
                          const float*, int) {
  for (int m = 0; m < n_queries; ++m) {
    hits[m] = 0;
    float* sum = scores + m * kTileItems;
    for (int j = 0; j < kTileItems; ++j) sum[j] = start[j];
    for (int panel = 0; panel < kTilePanels; ++panel, sum += kPanelItems) {
      const float* x = panels + panel * d * kPanelItems;
      for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
        for (int j = 0; j < kPanelItems; ++j) sum[j] += queries[m][i] * x[j];
      }
    }
    sum = scores + m * kTileItems;
    for (int j = 0; j < kTileItems; ++j) {
      hits[m] |= std::uint64_t(!(sum[j] <= reject[m])) << j;
    }
  }
}

void scan_rows_f32_serial(const float* query, const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d,
                          float* scores, float* squares) {
  for (int j = 0; j < kTileItems; ++j) {
    const float* x = rows + std::min(j, n_rows - 1) * row_stride;
    scores[j] = squares[j] = 0.0f;
    for (std::int64_t i = 0; i < d; ++i) {
      scores[j] += query[i] * x[i];
      squares[j] += x[i] * x[i];
    }
  }
}

}  // namespace gpurec::cpu
