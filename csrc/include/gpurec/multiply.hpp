// Kernel `multiply`: one tile of a matrix of scores, at most kTileQueries queries against kTilePanels panels (scan.hpp
// tells their layout), written where it belongs.
//
// multiply_tile: out[m][j] = sum_i queries[m][i] * item_j[i] in float32, terms added in the order of i.
// multiply_in_order: the same with each product and each sum rounded, from +0.0: equal bits on every ISA.
// distance_tile: the same sums made negative squared distances, out[m][j] = 2 sum - (query_squares[m] +
// item_squares[j]), and bit j of close[m] wherever bounds.hpp, `trusted_distance`, says that too much cancelled. Squares
// that must not be trusted are NaN; then every bit they take part in is set.
// Rows of `out` hold kTileItems floats, row_stride apart. With `stream` they are 64-byte aligned and are written past the
// caches: a matrix that is larger than they are would be read first, and drive out the panels.
// Bytes written: 4 a score; read: 4 per item component and tile; preconditions: d >= 1, panels readable, no overlap.
#pragma once
#include <cstdint>

#include "gpurec/scan.hpp"

namespace gpurec {

struct TileOut {
  float* data;
  std::int64_t row_stride;
  bool stream;
};

using MultiplyTile = void (*)(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              TileOut out);
using DistanceTile = void (*)(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              const float* query_squares, const float* item_squares, TileOut out,
                              std::uint64_t* close);

}  // namespace gpurec
