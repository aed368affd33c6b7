// Ops `score`, `score_pairs`, `similarity` and the preparation of rows on the CPU.
#pragma once
#include "dispatch.hpp"
#include "gpurec/views.hpp"

namespace gpurec::cpu {

// The first row that holds NaN or infinity, rows.rows where none does; rows lie one after another.
std::int64_t first_invalid_row(MatrixView<const float> rows, int n_threads);

// out[i] = the metric's prepared form of rows[i]; the same shape.
void prepare_rows(MatrixView<const float> rows, Metric metric, MatrixView<float> out, int n_threads);

// out(i, j) = a[i].b[j], or -|a[i] - b[j]|^2 for euclidean, in float32: within the error bound that
// docs/ops/score.md states.
void score(MatrixView<const float> a, MatrixView<const float> b, Metric metric, MatrixView<float> out,
           const Kernels& kernels, int n_threads);

// out(i, j) = a[i].b[j] in float32, terms in the order of components, each product and sum rounded from +0.0: equal bits
// whatever the ISA and whichever other rows there are.
void score_in_order(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> out, const Kernels& kernels,
                    int n_threads);

// out[i] = canonical score of a[i] and b[i], prepared rows.
void score_pairs(MatrixView<const float> a, MatrixView<const float> b, Metric metric, float* out,
                 const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
