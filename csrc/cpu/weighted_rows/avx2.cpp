// Kernel `weighted_rows` for AVX2: sums of up to 64 columns in eight registers, terms without a fused multiply-add.
#include "weighted_rows.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kVector = 8;

// V vectors of columns.
template <int V>
void add_columns(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                 std::int64_t row_stride, float* out) {
  __m256 sum[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) sum[v] = _mm256_setzero_ps();
  for (std::int64_t t = 0; t < n; ++t) {
    const float* row = x + rows[t] * row_stride;
    const __m256 weight = _mm256_set1_ps(weights[t]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      sum[v] = _mm256_add_ps(sum[v], _mm256_mul_ps(weight, _mm256_loadu_ps(row + kVector * v)));
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) _mm256_storeu_ps(out + kVector * v, sum[v]);
}

}  // namespace

void weighted_rows_f32_avx2(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                            std::int64_t row_stride, std::int64_t width, float* out) {
  std::int64_t j = 0;
  for (; j + 8 * kVector <= width; j += 8 * kVector) add_columns<8>(rows, weights, n, x + j, row_stride, out + j);
  if (j + 4 * kVector <= width) {
    add_columns<4>(rows, weights, n, x + j, row_stride, out + j);
    j += 4 * kVector;
  }
  for (; j + kVector <= width; j += kVector) add_columns<1>(rows, weights, n, x + j, row_stride, out + j);
  if (j < width) weighted_rows_f32_serial(rows, weights, n, x + j, row_stride, width - j, out + j);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
