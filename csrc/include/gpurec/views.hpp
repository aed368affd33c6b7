// Non-owning views of row-major and sparse matrices and of per-query row sets; the only array types that kernels see.
#pragma once
#include "gpurec/portable_std.hpp"

namespace gpurec {

template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;  // in elements

  GPUREC_HD T* row(std::int64_t i) const { return data + i * row_stride; }
};

// A sparse matrix by rows.
struct SparseRowsView {
  const std::int64_t* indptr = nullptr;
  const std::int32_t* columns = nullptr;
  const float* values = nullptr;
  std::int64_t n_rows = 0;
  std::int64_t n_columns = 0;

  std::int64_t length(std::int64_t row) const { return indptr[row + 1] - indptr[row]; }
  std::int64_t n_entries() const { return indptr[n_rows]; }
};

// Sets of item rows, ascending and distinct within a set; query i uses set which[i], or set i where which is null.
struct RowSetsView {
  const std::int64_t* indptr = nullptr;
  const std::int64_t* rows = nullptr;
  const std::int64_t* which = nullptr;

  GPUREC_HD const std::int64_t* begin(std::int64_t query) const { return rows + indptr[which ? which[query] : query]; }
  GPUREC_HD const std::int64_t* end(std::int64_t query) const { return rows + indptr[(which ? which[query] : query) + 1]; }
};

enum class Metric { dot, cosine, pearson, euclidean };

}  // namespace gpurec
