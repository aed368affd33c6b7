// In which directions a segment's items differ most, and whether a look at those alone would pay.
#pragma once
#include <vector>

#include "dispatch.hpp"

namespace gpurec::cpu {

struct ItemSegment;

// The leading directions of a segment that has codes, (m, d) row by row: the number of them with which a search should
// be quickest by what a sample of the items tells, none where a scan of all components should be quicker; at least one
// where `always`.
std::vector<float> find_directions(const ItemSegment& segment, bool always, const Kernels& kernels);

}  // namespace gpurec::cpu
