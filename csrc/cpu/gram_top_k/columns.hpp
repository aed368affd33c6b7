// A sparse matrix by columns: who else has an entry where a row has one.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/gram_top_k.hpp"
#include "gram_top_k/huge_pages.hpp"

namespace gpurec::cpu {

struct ColumnEntry {
  std::uint32_t row;
  float value;
};

struct SparseColumns {
  explicit SparseColumns(const SparseRowsView& x);

  const ColumnEntry* begin(std::int64_t column) const { return entries.data() + indptr[std::size_t(column)]; }
  const ColumnEntry* end(std::int64_t column) const { return entries.data() + indptr[std::size_t(column) + 1]; }

  std::vector<std::int64_t> indptr;
  HugeVector<ColumnEntry> entries;  // rows ascend within a column
  bool has_zeros = false;  // an entry's value is zero
  bool is_binary = true;   // every entry's value is 1
};

}  // namespace gpurec::cpu
