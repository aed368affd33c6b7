// Kernel `scan`: one tile of float32 dot products, at most kTileQueries queries against kTilePanels panels.
//
// A panel holds kPanelItems items, component-major: panel[i * kPanelItems + lane] is component i of an item, so a
// component of all its items is one cache line and an item can be had back from d lines that lie side by side.
// For query m and item j of the tile's kTileItems the tile computes start[j] + sum_i queries[m][i] * item_j[i] in
// float32, stores it at scores[m * kTileItems + j], and sets bit j of hits[m] unless the value is <= reject[m]
// (so NaN hits).
// Layout: panels lie one after another, d * kPanelItems floats each; scores are 64-byte aligned, panels, start and
// queries (rows of at least d floats) may be unaligned, which costs time where they are.
// While it multiplies, the tile asks for n_next (0, 1, 2 or 4) panels from `next` on, a line of each with each component:
// a burst of such requests would hold up the arithmetic, and panels that come unasked come late.
// Bytes read: 4 per item component and tile; arithmetic: kTileQueries multiply-adds per component read.
#pragma once
#include "gpurec/portable_std.hpp"

namespace gpurec {

constexpr int kPanelItems = 16;
constexpr int kTilePanels = 4;
constexpr int kTileItems = kPanelItems * kTilePanels;
constexpr int kTileQueries = 6;

using ScanTile = void (*)(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits,
                          const float* next, int n_next);

// Kernel `scan_rows`: one query against kTileItems rows as they lie, row_stride floats apart, each read once:
// scores[j] = query . row_j and squares[j] = row_j . row_j, float32 sums in an order of the ISA's own. Where
// n_rows < kTileItems the last row stands for those that are missing; n_rows >= 1.
using ScanRows = void (*)(const float* query, const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d,
                          float* scores, float* squares);

}  // namespace gpurec
