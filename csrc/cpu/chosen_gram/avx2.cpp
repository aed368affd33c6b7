// Kernel `chosen_gram` for AVX2: tiles of 4 by 8 sums in registers, products without a fused addition.
#include "chosen_gram.hpp"

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

constexpr std::int64_t kRows = 4, kColumns = 8, kVector = 4;
constexpr int kVectors = int(kColumns / kVector);

// Components f..f+R-1 by g..g+7; with Weighted also the eight sums by weights.
template <int R, bool Weighted>
void add_tile(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x, std::int64_t stride,
              std::int64_t f, std::int64_t g, double* gram, double* sums) {
  __m256d sum[R][kVectors], weighted[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    weighted[v] = _mm256_setzero_pd();
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) sum[i][v] = _mm256_setzero_pd();
  }
  for (std::int64_t t = 0; t < n; ++t) {
    const double* const row = x + rows[t] * stride;
    __m256d columns[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) columns[v] = _mm256_loadu_pd(row + g + kVector * v);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const __m256d component = _mm256_set1_pd(row[f + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm256_add_pd(sum[i][v], _mm256_mul_pd(component, columns[v]));
    }
    if (Weighted) {
      const __m256d weight = _mm256_set1_pd(weights[t]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) weighted[v] = _mm256_add_pd(weighted[v], _mm256_mul_pd(weight, columns[v]));
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) _mm256_storeu_pd(gram + (f + i) * stride + g + kVector * v, sum[i][v]);
    if (Weighted) _mm256_storeu_pd(sums + g + kVector * v, weighted[v]);
  }
}

template <bool Weighted>
void add_rows(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x, std::int64_t stride,
              std::int64_t f, std::int64_t width, std::int64_t g, double* gram, double* sums) {
  switch (width - f < kRows ? width - f : kRows) {
    case 1: add_tile<1, Weighted>(rows, weights, n, x, stride, f, g, gram, sums); break;
    case 2: add_tile<2, Weighted>(rows, weights, n, x, stride, f, g, gram, sums); break;
    case 3: add_tile<3, Weighted>(rows, weights, n, x, stride, f, g, gram, sums); break;
    default: add_tile<4, Weighted>(rows, weights, n, x, stride, f, g, gram, sums);
  }
}

}  // namespace

void chosen_gram_f64_avx2(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
                          std::int64_t stride, std::int64_t width, double* gram, double* sums) {
  for (std::int64_t g = 0; g < width; g += kColumns) {
    // The tile on the diagonal takes the weights along.
    add_rows<true>(rows, weights, n, x, stride, g, width, g, gram, sums);
    for (std::int64_t f = g + kRows; f < width; f += kRows) add_rows<false>(rows, weights, n, x, stride, f, width, g, gram, sums);
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
