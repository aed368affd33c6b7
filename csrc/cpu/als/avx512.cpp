// Op `als` for AVX-512: tiles of eight rows by three vectors, 24 of the 32 registers.
#include "als/als.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#endif

#define GPUREC_ALS_NAME(name) name##_avx512

namespace gpurec::cpu {
namespace {

using Floats = __m512;
using Doubles = __m512d;
constexpr std::int64_t kWide = 16;
constexpr int kTileRows = 8, kTileVectors = 3;
constexpr int kHeldVectors = 8;  // of a row's sums, and as many of what it is multiplied by

inline Floats load(const float* x) { return _mm512_loadu_ps(x); }
inline Doubles load(const double* x) { return _mm512_loadu_pd(x); }
inline void store(float* x, Floats v) { _mm512_storeu_ps(x, v); }
inline void store(double* x, Doubles v) { _mm512_storeu_pd(x, v); }
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Doubles all(double x) { return _mm512_set1_pd(x); }
inline Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Doubles fused(Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd(a, b, c); }
inline Doubles widened(const float* x) { return _mm512_cvtps_pd(_mm256_loadu_ps(x)); }
inline void store_narrowed(float* x, Doubles v) { _mm256_storeu_ps(x, _mm512_cvtpd_ps(v)); }
inline Doubles larger(Doubles a, Doubles b) { return _mm512_max_pd(a, b); }
inline Floats root(Floats a) { return _mm512_sqrt_ps(a); }

inline __m256 halves(Floats v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
// Sums of four vectors, in the order of `total`.
inline void totals4(Floats a, Floats b, Floats c, Floats d, float* out) {
  const __m256 ab = _mm256_hadd_ps(halves(a), halves(b)), cd = _mm256_hadd_ps(halves(c), halves(d));
  const __m256 abcd = _mm256_hadd_ps(ab, cd);
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}
inline float total(Floats v) {
  const __m256 h = halves(v);
  const __m256 twice = _mm256_hadd_ps(h, h), four = _mm256_hadd_ps(twice, twice);
  return _mm_cvtss_f32(_mm_add_ps(_mm256_castps256_ps128(four), _mm256_extractf128_ps(four, 1)));
}

// The 16 x 16 floats at `from` to `to`, rows as columns: pairs that stand half the rows apart are shuffled like cards,
// four times.
inline void transpose(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(from + i * from_stride);
#pragma GCC unroll 2
  for (int round = 0; round < 2; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = _mm512_permutex2var_ps(a[i], low, a[i + 8]);
      b[2 * i + 1] = _mm512_permutex2var_ps(a[i], high, a[i + 8]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      a[2 * i] = _mm512_permutex2var_ps(b[i], low, b[i + 8]);
      a[2 * i + 1] = _mm512_permutex2var_ps(b[i], high, b[i + 8]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_storeu_ps(to + i * to_stride, a[i]);
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
