#include "gram_top_k/codes.hpp"

#include <algorithm>
#include <cmath>

#include "gpurec/bounds.hpp"

namespace gpurec::cpu {
namespace {

double over(float value, const double* divisors, std::int64_t row) {
  if (divisors == nullptr) return double(value);
  return divisors[row] > 0.0 ? double(value) / divisors[row] : 0.0;  // a row without length has the score 0
}

}  // namespace

RowUnits::RowUnits(const SparseRowsView& x, const double* divisors)
    : divisors_(divisors), errors_(std::size_t(x.n_rows), 0.0f) {
  for (std::int64_t row = 0; row < x.n_rows; ++row) {
    double squares = 0.0;
    for (std::int64_t e = x.indptr[row]; e < x.indptr[row + 1]; ++e) {
      const double v = over(x.values[e], divisors, row);
      squares += v * v;
    }
    longest_ = std::max(longest_, std::sqrt(squares));
  }
  per_unit_ = longest_ > 0.0 ? kCodeLength / longest_ : 0.0;
  for (std::int64_t row = 0; row < x.n_rows; ++row) {
    double squares = 0.0;
    for (std::int64_t e = x.indptr[row]; e < x.indptr[row + 1]; ++e) {
      const double left_out = over(x.values[e], divisors, row) * per_unit_ - double(code(row, x.values[e]));
      squares += left_out * left_out;
    }
    errors_[std::size_t(row)] = code_error(squares, x.length(row));
    largest_error_ = std::max(largest_error_, double(errors_[std::size_t(row)]));
  }
}

std::int32_t RowUnits::code(std::int64_t row, float value) const {
  return std::int32_t(std::nearbyint(over(value, divisors_, row) * per_unit_));
}

CodedColumns::CodedColumns(const SparseRowsView& x, const double* left, const double* right,
                           std::int64_t rows_of_tile)
    : n_columns(x.n_columns),
      tile_rows(rows_of_tile),
      n_tiles((x.n_rows + tile_rows - 1) / tile_rows),
      asking(x, left),
      answering(x, right),
      is_valid(code_sums_tell(asking.longest(), answering.longest(), asking.largest_error(), answering.largest_error())) {
  if (!is_valid) return;
  starts.assign(std::size_t(n_tiles * n_columns) + 2, 0);
  const auto list = [&](std::int64_t row, std::int64_t e) {
    return std::size_t(row / tile_rows * n_columns + x.columns[e]);
  };
  for (std::int64_t row = 0; row < x.n_rows; ++row) {
    for (std::int64_t e = x.indptr[row]; e < x.indptr[row + 1]; ++e) ++starts[list(row, e) + 2];
  }
  for (std::size_t i = 2; i < starts.size(); ++i) starts[i] += starts[i - 1];
  entries.resize(std::size_t(x.indptr[x.n_rows]));
  by_rows.resize(entries.size());
  for (std::size_t e = 0; e < by_rows.size(); ++e) by_rows[e] = {x.columns[e], x.values[e]};
  for (std::int64_t row = 0; row < x.n_rows; ++row) {
    for (std::int64_t e = x.indptr[row]; e < x.indptr[row + 1]; ++e) {
      const std::uint32_t code = std::uint32_t(answering.code(row, x.values[e])) << 16;
      has_no_signs &= x.values[e] >= 0.0f;
      entries[std::size_t(starts[list(row, e) + 1]++)] = code | std::uint32_t(row % tile_rows);
    }
  }
  starts.pop_back();
}

}  // namespace gpurec::cpu
