// Kernel `multiply`, plain C++: the form that the others are checked against and that any processor runs.
#include "multiply.hpp"

#include "gpurec/bounds.hpp"

namespace gpurec::cpu {

void multiply_tile_f32_serial(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              TileOut out) {
  for (int m = 0; m < n_queries; ++m) {
    for (int panel = 0; panel < kTilePanels; ++panel) {
      const float* x = panels + panel * d * kPanelItems;
      float sum[kPanelItems] = {};
      for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
        for (int j = 0; j < kPanelItems; ++j) sum[j] += queries[m][i] * x[j];
      }
      float* const scores = out.data + m * out.row_stride + panel * kPanelItems;
      for (int j = 0; j < kPanelItems; ++j) scores[j] = sum[j];
    }
  }
}

void multiply_in_order_f32_serial(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                                  TileOut out) {
  multiply_tile_f32_serial(queries, n_queries, panels, d, out);  // which fuses nothing
}

void distance_tile_f32_serial(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              const float* query_squares, const float* item_squares, TileOut out,
                              std::uint64_t* close) {
  multiply_tile_f32_serial(queries, n_queries, panels, d, out);
  for (int m = 0; m < n_queries; ++m) {
    float* const scores = out.data + m * out.row_stride;
    close[m] = 0;
    for (int j = 0; j < kTileItems; ++j) {
      const float squares = query_squares[m] + item_squares[j];
      scores[j] = 2.0f * scores[j] - squares;
      close[m] |= std::uint64_t(!trusted_distance(scores[j], squares)) << j;
    }
  }
}

}  // namespace gpurec::cpu
