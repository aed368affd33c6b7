// A sparse matrix by columns in four bytes an entry, for sums in integers whose error is known: 16 bits of the row, 16 of
// the value over its row's divisor, as a whole number of units that make the longest row kCodeLength long.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/gram_top_k.hpp"
#include "gram_top_k/huge_pages.hpp"

namespace gpurec::cpu {

// Rows over their divisors (all 1 where `divisors` is null) as codes.
class RowUnits {
 public:
  RowUnits(const SparseRowsView& x, const double* divisors);

  std::int32_t code(std::int64_t row, float value) const;
  double error(std::int64_t row) const { return errors_[std::size_t(row)]; }  // length of what rounding left out
  double largest_error() const { return largest_error_; }
  double longest() const { return longest_; }     // before it was scaled
  double per_unit() const { return per_unit_; }   // units that make 1

 private:
  const double* divisors_;
  std::vector<float> errors_;
  double largest_error_ = 0.0;
  double longest_ = 0.0;
  double per_unit_ = 0.0;
};

struct RowEntry {
  std::int32_t column;
  float value;
};

struct CodedColumns {
  // A row within a tile fits 16 bits; a few rows a tile are for tests.
  static constexpr std::int64_t kMostTileRows = std::int64_t(1) << 16;

  CodedColumns(const SparseRowsView& x, const double* left, const double* right, std::int64_t rows_of_tile);

  // Entries of a tile's rows in a column: the row within the tile below, the code above.
  const std::uint32_t* begin(std::int64_t tile, std::int64_t column) const {
    return entries.data() + starts[std::size_t(tile * n_columns + column)];
  }
  const std::uint32_t* end(std::int64_t tile, std::int64_t column) const {
    return entries.data() + starts[std::size_t(tile * n_columns + column) + 1];
  }

  std::int64_t n_columns, tile_rows, n_tiles;
  RowUnits asking, answering;
  bool has_no_signs = true;  // no code is below zero
  bool is_valid;  // sums of codes tell something: no score is beyond float32's range or near its end
  std::vector<std::int64_t> starts;
  HugeVector<std::uint32_t> entries;  // tile by tile, there column by column
  HugeVector<RowEntry> by_rows;       // x again, what is read together in one place
};

}  // namespace gpurec::cpu
