// Kernel `rescore`: the canonical float64 sums of canonical.hpp, per ISA, all with the same bits.
// Reads 4 d bytes a row, both rows unaligned allowed; no writes.
#pragma once
#include <cstdint>

namespace gpurec {

using CanonicalSum = double (*)(const float* q, const float* x, std::int64_t d);

// Has the items of a panel back as rows: items[lane * d + i] = panel[i * kPanelItems + lane].
using UnpackPanel = void (*)(const float* panel, std::int64_t d, float* items);

}  // namespace gpurec
