// Kernel `weighted_rows`, plain C++: the form that the others are checked against and that any processor runs.
#include "weighted_rows.hpp"

#include <algorithm>

namespace gpurec::cpu {
namespace {

// Sums of a fixed number of columns, which a compiler keeps in vectors.
constexpr std::int64_t kColumns = 16;

void add_columns(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                 std::int64_t row_stride, std::int64_t width, float* out) {
  float sum[kColumns] = {};
  if (width == kColumns) {
    for (std::int64_t t = 0; t < n; ++t) {
      const float* row = x + rows[t] * row_stride;
      for (std::int64_t j = 0; j < kColumns; ++j) sum[j] += weights[t] * row[j];
    }
  } else {
    for (std::int64_t t = 0; t < n; ++t) {
      const float* row = x + rows[t] * row_stride;
      for (std::int64_t j = 0; j < width; ++j) sum[j] += weights[t] * row[j];
    }
  }
  std::copy_n(sum, width, out);
}

}  // namespace

void weighted_rows_f32_serial(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                              std::int64_t row_stride, std::int64_t width, float* out) {
  for (std::int64_t j = 0; j < width; j += kColumns) {
    add_columns(rows, weights, n, x + j, row_stride, std::min(kColumns, width - j), out + j);
  }
}

}  // namespace gpurec::cpu
