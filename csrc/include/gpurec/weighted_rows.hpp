// Kernel `weighted_rows`: out[j] = sum_t weights[t] * x[rows[t]][j] for j in 0..width-1.
//   shapes    rows, weights n; x rows of at least `width` floats, row_stride apart; out `width`
//   bits      float32 from +0.0, terms in the order of t, each product and each sum rounded: the same on every ISA
//   bytes     4 width + 8 a term; sums stay in registers for at most kWideColumns columns at a time
//   needs     rows inside x, out apart from x
#pragma once
#include <cstdint>

namespace gpurec {

constexpr std::int64_t kWideColumns = 128;

using WeightedRows = void (*)(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                              std::int64_t row_stride, std::int64_t width, float* out);

}  // namespace gpurec
