// The canonical sums for AVX-512: 32 lanes are four vectors of eight float64.
#include "rescore.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include "gpurec/canonical.hpp"
#include "gpurec/scan.hpp"
#include "gpurec/planted.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

// A product of two float32 is exact in float64, so the fused form has the bits of the separate one.
struct Dot {
  static __m512d add(__m512d sum, __m512d q, __m512d x) { return _mm512_fmadd_pd(q, x, sum); }
};

// Difference, square and sum are rounded one by one: no fused form here.
struct SquaredDistance {
  static __m512d add(__m512d sum, __m512d q, __m512d x) {
    const __m512d difference = _mm512_sub_pd(q, x);
    if (GPUREC_PLANTED(rescore_distance_fused)) return _mm512_fmadd_pd(difference, difference, sum);
    return _mm512_add_pd(sum, _mm512_mul_pd(difference, difference));
  }
};

template <class Term>
inline double lane_sum_avx512(const float* q, const float* x, std::int64_t d) {
  __m512d lane[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) lane[v] = _mm512_setzero_pd();
  std::int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      lane[v] = Term::add(lane[v], _mm512_cvtps_pd(_mm256_loadu_ps(q + i + 8 * v)),
                          _mm512_cvtps_pd(_mm256_loadu_ps(x + i + 8 * v)));
    }
  }
  if (i < d) {  // the last group, its missing components zero: they add +0
    const std::uint32_t valid = (std::uint32_t(1) << (d - i)) - 1;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __mmask8 mask = __mmask8(valid >> (8 * v));
      lane[v] = Term::add(lane[v], _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, q + i + 8 * v)),
                          _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x + i + 8 * v)));
    }
  }
  lane[0] = _mm512_add_pd(lane[0], lane[2]);
  lane[1] = _mm512_add_pd(lane[1], lane[3]);
  lane[0] = _mm512_add_pd(lane[0], lane[1]);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(lane[0]), _mm512_extractf64x4_pd(lane[0], 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace

double dot64_avx512(const float* q, const float* x, std::int64_t d) { return lane_sum_avx512<Dot>(q, x, d); }

double neg_squared_distance64_avx512(const float* q, const float* x, std::int64_t d) {
  return -lane_sum_avx512<SquaredDistance>(q, x, d);
}

// Blocks of sixteen components by sixteen items, transposed in registers.
void unpack_panel_avx512(const float* panel, std::int64_t d, float* items) {
  std::int64_t i = 0;
  for (; i + 16 <= d; i += 16) {
    __m512 r[16], t[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) r[j] = _mm512_loadu_ps(panel + (i + j) * kPanelItems);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      t[2 * j] = _mm512_unpacklo_ps(r[2 * j], r[2 * j + 1]);
      t[2 * j + 1] = _mm512_unpackhi_ps(r[2 * j], r[2 * j + 1]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {  // r[4 j + c]: items c, c + 4, c + 8, c + 12, four components 4 j of each
      r[4 * j + 0] = _mm512_shuffle_ps(t[4 * j], t[4 * j + 2], 0x44);
      r[4 * j + 1] = _mm512_shuffle_ps(t[4 * j], t[4 * j + 2], 0xee);
      r[4 * j + 2] = _mm512_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0x44);
      r[4 * j + 3] = _mm512_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512 low0 = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);       // items c, c + 8
      const __m512 low1 = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);       // items c + 4, c + 12
      const __m512 high0 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
      const __m512 high1 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
      _mm512_storeu_ps(items + c * d + i, _mm512_shuffle_f32x4(low0, high0, 0x88));
      _mm512_storeu_ps(items + (c + 8) * d + i, _mm512_shuffle_f32x4(low0, high0, 0xdd));
      _mm512_storeu_ps(items + (c + 4) * d + i, _mm512_shuffle_f32x4(low1, high1, 0x88));
      _mm512_storeu_ps(items + (c + 12) * d + i, _mm512_shuffle_f32x4(low1, high1, 0xdd));
    }
  }
  for (; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) items[lane * d + i] = panel[i * kPanelItems + lane];
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
