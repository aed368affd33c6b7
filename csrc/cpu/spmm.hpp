// Op `spmm` on the CPU; see gpurec/spmm.hpp.
#pragma once
#include "dispatch.hpp"
#include "gpurec/spmm.hpp"

namespace gpurec::cpu {

void spmm(const SparseRowsView& a, MatrixView<const float> x, const Addend& add, MatrixView<float> out,
          const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
