// Op `top_k` on the CPU; the contract is gpurec/top_k.hpp.
#pragma once
#include "dispatch.hpp"
#include "gpurec/top_k.hpp"

namespace gpurec::cpu {

// `out` holds (scores.rows, k), k >= 1; scores may hold anything, NaN and infinities are never chosen.
void top_k(MatrixView<const float> scores, std::int64_t k, TopKView out, const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
