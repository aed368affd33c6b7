// Kernel `select`: the first index in [from, n) whose value lies above a threshold, n where there is none.
// NaN is above nothing. Reads 4 bytes a value; the array may be unaligned.
#pragma once
#include <cstdint>

namespace gpurec {

using FindAbove = std::int64_t (*)(const float* values, std::int64_t from, std::int64_t n, float threshold);

}  // namespace gpurec
