// Kernel `weighted_rows` for AVX-512: sums of up to 128 columns in eight registers, terms without a fused multiply-add.
#include "weighted_rows.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

// V vectors of columns, the last one of those in `last` only.
template <int V>
void add_columns(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                 std::int64_t row_stride, __mmask16 last, float* out) {
  __m512 sum[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) sum[v] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < n; ++t) {
    const float* row = x + rows[t] * row_stride;
    const __m512 weight = _mm512_set1_ps(weights[t]);
#pragma GCC unroll 8
    for (int v = 0; v < V - 1; ++v) {
      sum[v] = _mm512_add_ps(sum[v], _mm512_mul_ps(weight, _mm512_loadu_ps(row + 16 * v)));
    }
    const __m512 rest = _mm512_maskz_loadu_ps(last, row + 16 * (V - 1));
    sum[V - 1] = _mm512_add_ps(sum[V - 1], _mm512_mul_ps(weight, rest));
  }
#pragma GCC unroll 8
  for (int v = 0; v < V - 1; ++v) _mm512_storeu_ps(out + 16 * v, sum[v]);
  _mm512_mask_storeu_ps(out + 16 * (V - 1), last, sum[V - 1]);
}

}  // namespace

void weighted_rows_f32_avx512(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,
                              std::int64_t row_stride, std::int64_t width, float* out) {
  for (; width > 0; width -= kWideColumns, x += kWideColumns, out += kWideColumns) {
    const std::int64_t here = width < kWideColumns ? width : kWideColumns;
    const int vectors = int((here + 15) / 16);
    const __mmask16 last = __mmask16(0xffffu >> (16 * vectors - here));
    switch (vectors) {
      case 1: add_columns<1>(rows, weights, n, x, row_stride, last, out); break;
      case 2: add_columns<2>(rows, weights, n, x, row_stride, last, out); break;
      case 3: add_columns<3>(rows, weights, n, x, row_stride, last, out); break;
      case 4: add_columns<4>(rows, weights, n, x, row_stride, last, out); break;
      case 5: add_columns<5>(rows, weights, n, x, row_stride, last, out); break;
      case 6: add_columns<6>(rows, weights, n, x, row_stride, last, out); break;
      case 7: add_columns<7>(rows, weights, n, x, row_stride, last, out); break;
      default: add_columns<8>(rows, weights, n, x, row_stride, last, out); break;
    }
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
