// Eigenvalues and eigenvectors of a symmetric matrix in float64, the same bits on any number of threads and every ISA.
#pragma once
#include <cstdint>
#include <vector>

namespace gpurec::cpu {

struct SymmetricEigen {
  std::vector<double> values;   // falling
  std::vector<double> vectors;  // row k belongs to values[k]
};

// Householder reflections to a tridiagonal matrix, then implicit QL steps with Wilkinson's shift. About 9 n^3 flops.
// Source: Golub and Van Loan, "Matrix computations", sections 8.3.1 and 8.3.3.
SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t n, int n_threads);

}  // namespace gpurec::cpu
