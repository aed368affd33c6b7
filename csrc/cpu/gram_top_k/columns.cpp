#include "gram_top_k/columns.hpp"

namespace gpurec::cpu {

SparseColumns::SparseColumns(const SparseRowsView& x) : indptr(std::size_t(x.n_columns) + 2, 0) {
  const std::int64_t n_entries = x.indptr[x.n_rows];
  entries.resize(std::size_t(n_entries));
  // Counts one place further on, so that each becomes the place where its column's next entry goes.
  for (std::int64_t e = 0; e < n_entries; ++e) {
    ++indptr[std::size_t(x.columns[e]) + 2];
    has_zeros |= x.values[e] == 0.0f;
    is_binary &= x.values[e] == 1.0f;
  }
  for (std::size_t c = 2; c < indptr.size(); ++c) indptr[c] += indptr[c - 1];
  for (std::int64_t row = 0; row < x.n_rows; ++row) {
    for (std::int64_t e = x.indptr[row]; e < x.indptr[row + 1]; ++e) {
      entries[std::size_t(indptr[std::size_t(x.columns[e]) + 1]++)] = {std::uint32_t(row), x.values[e]};
    }
  }
  indptr.pop_back();
}

}  // namespace gpurec::cpu
