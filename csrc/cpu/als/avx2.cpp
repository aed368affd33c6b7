// Op `als` for AVX2 with fused multiply-add: tiles of four rows by three vectors, twelve of the sixteen registers.
#include "als/als.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif

#define GPUREC_ALS_NAME(name) name##_avx2

namespace gpurec::cpu {
namespace {

using Floats = __m256;
using Doubles = __m256d;
constexpr std::int64_t kWide = 8;
constexpr int kTileRows = 4, kTileVectors = 3;
constexpr int kHeldVectors = 4;  // of a row's sums, and as many of what it is multiplied by

inline Floats load(const float* x) { return _mm256_loadu_ps(x); }
inline Doubles load(const double* x) { return _mm256_loadu_pd(x); }
inline void store(float* x, Floats v) { _mm256_storeu_ps(x, v); }
inline void store(double* x, Doubles v) { _mm256_storeu_pd(x, v); }
inline Floats all(float x) { return _mm256_set1_ps(x); }
inline Doubles all(double x) { return _mm256_set1_pd(x); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Doubles fused(Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd(a, b, c); }
inline Doubles widened(const float* x) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
inline void store_narrowed(float* x, Doubles v) { _mm_storeu_ps(x, _mm256_cvtpd_ps(v)); }
inline Doubles larger(Doubles a, Doubles b) { return _mm256_max_pd(a, b); }
inline Floats root(Floats a) { return _mm256_sqrt_ps(a); }

// Sums of four vectors, in the order of `total`.
inline void totals4(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d), abcd = _mm256_hadd_ps(ab, cd);
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}
inline float total(Floats v) {
  float sums[4];
  totals4(v, v, v, v, sums);
  return sums[0];
}

// The 8 x 8 floats at `from` to `to`, rows as columns.
inline void transpose(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(from + i * from_stride);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      a[4 * i + 2 * j] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], 0x44);
      a[4 * i + 2 * j + 1] = _mm256_shuffle_ps(b[4 * i + j], b[4 * i + 2 + j], 0xee);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(a[i], a[4 + i], 0x20));
    _mm256_storeu_ps(to + (4 + i) * to_stride, _mm256_permute2f128_ps(a[i], a[4 + i], 0x31));
  }
}

}  // namespace
}  // namespace gpurec::cpu

#include "als/tiles.hpp"
#include "als/solvers.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
