// Kernel `chosen_gram`: sums of products of chosen rows' components, and of these rows by weights.
//   shapes    rows n; weights n; x (any, stride) with zeros from width to stride, a multiple of 8; gram (width, stride),
//             of which row f is written up to component f at least; sums (stride)
//   computes  gram[f][g] = sum over t of x[rows[t]][f] * x[rows[t]][g], sums[g] = sum over t of weights[t] * x[rows[t]][g]
//   bits      each sum alone, from +0.0 in the order of t, product and sum rounded apart: the same on every ISA
//   bytes     8 width a row and 4 for its number, again for each 8 rows of the gram
#pragma once
#include <cstdint>

namespace gpurec::cpu {

using ChosenGram = void (*)(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
                            std::int64_t stride, std::int64_t width, double* gram, double* sums);

}  // namespace gpurec::cpu
