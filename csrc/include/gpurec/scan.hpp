// Kernel `scan`: one tile of float32 dot products, at most kTileQueries queries against one panel of items.
//
// A panel holds kPanelItems items, component-major: panel[i * kPanelItems + lane] is component i of an item.
// For query m and lane j the tile computes start[j] + sum_i queries[m][i] * panel[i][j] in float32, stores
// it at scores[m * kPanelItems + j], and sets bit j of hits[m] unless the value is <= reject[m] (so NaN hits).
// Layout: panel and scores are 64-byte aligned; queries are rows of at least d floats, unaligned allowed.
// Bytes read: 4 per item component and tile; arithmetic: kTileQueries multiply-adds per component read.
#pragma once
#include <cstdint>

namespace gpurec {

constexpr int kPanelItems = 64;
constexpr int kTileQueries = 6;

using ScanTile = void (*)(const float* const* queries, int n_queries, const float* panel, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits);

}  // namespace gpurec
