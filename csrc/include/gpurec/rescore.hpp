// Kernel `rescore`: the canonical float64 sums of canonical.hpp, per ISA, all with the same bits.
// Reads 4 d bytes a row, both rows unaligned allowed; no writes.
#pragma once
#include <cstdint>

#include "gpurec/canonical.hpp"

namespace gpurec {

using CanonicalSum = double (*)(const float* q, const float* x, std::int64_t d);

// The scores of many items for one query, each the rounded sum: scores[e] is of row positions[e] - first of `items`.
// The rows of `items` are d floats; `scores` may not overlap with what is read.
using CanonicalScores = void (*)(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                                 std::uint32_t first, std::int64_t n, float* scores);

// Rows as float64, which is exact: for several queries they are converted once, since that costs as much as to multiply.
// A row of d components becomes one of wide(d), the last of them zero: they add nothing to a sum.
constexpr std::int64_t wide(std::int64_t d) { return (d + kLanes - 1) / kLanes * kLanes; }
using WidenRows = void (*)(const float* rows, std::int64_t n, std::int64_t d, double* out);

// The scores of a few of 64 items for one query, all of them widened: item j, of row rows[j], for each bit j that is
// set. Appends the order keys of those that reach `least` and are finite; may write 8 places past them.
struct Appended {
  int scored;
  int kept;
};
using AppendScored = Appended (*)(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                             const std::uint32_t* rows, float least, std::uint64_t* keys);

// Has the items of a panel back as rows: items[lane * d + i] = panel[i * kPanelItems + lane].
using UnpackPanel = void (*)(const float* panel, std::int64_t d, float* items);

// Kernel `pack`: at most kPanelItems rows as a panel, lanes past n_rows zero, and the float32 sum of squares of each
// lane. Rows are row_stride floats apart.
using PackPanel = void (*)(const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d, float* panel,
                           float* squares);

}  // namespace gpurec
