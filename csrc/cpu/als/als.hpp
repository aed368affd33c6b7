// Implementations of op `als`; the contract is gpurec/als.hpp.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "table/aligned.hpp"
#include "gpurec/als.hpp"
#include "gpurec/planted.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_ALS(isa)                                                                                      \
  double read_als_entries_##isa(const float* weights, const float* pulls, std::int64_t n, double unobserved_weight,  \
                                float* extra);                                                                       \
  bool solve_als_row_##isa(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z,            \
                           double* loss);                                                                            \
  void add_gram_##isa(const float* rows, std::int64_t n, std::int64_t d, double* wide, double* sums);                \
  void add_als_equations_##isa(const AlsRow& row, const AlsScratch& scratch, float* matrix, float* right);           \
  void add_als_right_##isa(const AlsRow& row, const AlsScratch& scratch, float* right);                              \
  double add_als_times_##isa(const AlsRow& row, const AlsScratch& scratch, const float* y, float* out);              \
  bool als_cholesky_##isa(float* matrix, std::int64_t stride, std::int64_t n, std::int64_t size, float* out)
#define GPUREC_ALS_KERNELS(name, isa)                                                                                \
  {name,                    read_als_entries_##isa, solve_als_row_##isa, add_gram_##isa,                             \
   add_als_equations_##isa, add_als_right_##isa,    add_als_times_##isa, als_cholesky_##isa}
GPUREC_DECLARE_ALS(serial);
GPUREC_DECLARE_ALS(avx2);
GPUREC_DECLARE_ALS(avx512);
#undef GPUREC_DECLARE_ALS

// x'x for the rows of x, in float64: parts that do not depend on threads, added in their order.
std::vector<double> gram_of(MatrixView<const float> x, const Kernels& kernels, int n_threads);

// Solves a row by parts of its entries, which threads share; z and loss as of SolveAlsRow.
bool solve_heavy_row(const AlsRow& row, const AlsRates& rates, const AlsKernels& kernels, float* z, double* loss,
                     int n_threads);

// What the equations of all rows share: the factors of the other side, in the eigenvectors of their Gram matrix.
class AlsShared {
 public:
  // The factors must live as long.
  AlsShared(MatrixView<const float> factors, double unobserved_weight, const Kernels& kernels, int n_threads);

  const std::vector<double>& gram() const { return gram_; }

  // Rows of `out`, and the loss. Where there are many entries all factors are brought into the eigenvectors once.
  double solve(const SparseRowsView& weights, const float* pulls, const double* l2, const float* start,
               const AlsRates& rates, bool many, MatrixView<float> out, int n_threads);

 private:
  struct Task;
  void rotate(const float* const* from, std::int64_t n, const AlignedFloats& panels, std::int64_t n_out, float* out,
              std::int64_t out_stride, bool stream = false) const;
  const float* whole_table(int n_threads);
  double solve_in_double(const AlsRow& row, float* z) const;

  MatrixView<const float> factors_;
  std::int64_t d_, d_padded_;
  double unobserved_weight_;
  const Kernels& kernels_;
  std::vector<double> gram_;
  std::vector<float> curvature_;
  AlignedFloats to_eigen_, from_eigen_;  // panels of the eigenvectors by columns and by rows
  std::mutex mutex_;
  AlignedFloats table_;
};

}  // namespace gpurec::cpu
