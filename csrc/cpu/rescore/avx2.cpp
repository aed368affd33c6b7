// The canonical sums for AVX2: 32 lanes are eight vectors of four float64.
#include "rescore.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include <utility>

#include "gpurec/canonical.hpp"
#include "gpurec/order.hpp"
#include "gpurec/rescore.hpp"
#include "gpurec/scan.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

// A product of two float32 is exact in float64, so the fused form has the bits of the separate one.
struct Dot {
  static __m256d add(__m256d sum, __m256d q, __m256d x) { return _mm256_fmadd_pd(q, x, sum); }
};

// Difference, square and sum are rounded one by one: no fused form here.
struct SquaredDistance {
  static __m256d add(__m256d sum, __m256d q, __m256d x) {
    const __m256d difference = _mm256_sub_pd(q, x);
    return _mm256_add_pd(sum, _mm256_mul_pd(difference, difference));
  }
};

inline __m256d four(const float* x) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
inline __m256d four(const double* x) { return _mm256_loadu_pd(x); }

template <class Term, class Value>
inline double lane_sum_avx2(const Value* q, const Value* x, std::int64_t d) {
  __m256d lane[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) lane[v] = _mm256_setzero_pd();
  std::int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      lane[v] = Term::add(lane[v], four(q + i + 4 * v), four(x + i + 4 * v));
    }
  }
  if (i < d) {  // the last group, its missing components zero: they add +0
    Value tail_q[kLanes] = {};
    Value tail_x[kLanes] = {};
    for (int l = 0; i + l < d; ++l) {
      tail_q[l] = q[i + l];
      tail_x[l] = x[i + l];
    }
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      lane[v] = Term::add(lane[v], four(tail_q + 4 * v), four(tail_x + 4 * v));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) lane[v] = _mm256_add_pd(lane[v], lane[v + 4]);
  if (GPUREC_PLANTED(rescore_other_order)) std::swap(lane[2], lane[1]);
  lane[0] = _mm256_add_pd(lane[0], lane[2]);
  lane[1] = _mm256_add_pd(lane[1], lane[3]);
  lane[0] = _mm256_add_pd(lane[0], lane[1]);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(lane[0]), _mm256_extractf128_pd(lane[0], 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

}  // namespace

double dot64_avx2(const float* q, const float* x, std::int64_t d) { return lane_sum_avx2<Dot>(q, x, d); }

double neg_squared_distance64_avx2(const float* q, const float* x, std::int64_t d) {
  return -lane_sum_avx2<SquaredDistance>(q, x, d);
}

void dot_scores_avx2(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                     std::uint32_t first, std::int64_t n, float* scores) {
  for (std::int64_t e = 0; e < n; ++e) {
    scores[e] = round32(lane_sum_avx2<Dot>(q, items + (positions[e] - first) * d, d));
  }
}

void neg_squared_distance_scores_avx2(const float* q, const float* items, std::int64_t d,
                                      const std::uint32_t* positions, std::uint32_t first, std::int64_t n,
                                      float* scores) {
  for (std::int64_t e = 0; e < n; ++e) {
    scores[e] = round32(-lane_sum_avx2<SquaredDistance>(q, items + (positions[e] - first) * d, d));
  }
}

void widen_rows_avx2(const float* rows, std::int64_t n, std::int64_t d, double* out) {
  for (std::int64_t j = 0; j < n; ++j, rows += d, out += wide(d)) {
    std::int64_t i = 0;
    for (; i + 4 <= d; i += 4) _mm256_storeu_pd(out + i, four(rows + i));
    for (; i < wide(d); ++i) out[i] = i < d ? double(rows[i]) : 0.0;
  }
}

namespace {

template <class Term, bool kNegate>
Appended append_scored(const double* q, const double* items, std::int64_t d, std::uint64_t bits, const std::uint32_t* rows,
                  float least, std::uint64_t* keys) {
  int n = 0, n_scored = 0;
  for (; bits != 0; bits &= bits - 1, ++n_scored) {
    const int j = __builtin_ctzll(bits);
    const double sum = lane_sum_avx2<Term>(q, items + j * wide(d), wide(d));
    const float score = round32(kNegate ? -sum : sum);
    keys[n] = order_key(score, rows[j]);
    n += int(score >= least) & int(is_finite(score));
  }
  return {n_scored, n};
}

}  // namespace

Appended append_dots_avx2(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                     const std::uint32_t* rows, float least, std::uint64_t* keys) {
  return append_scored<Dot, false>(q, items, d, bits, rows, least, keys);
}

Appended append_neg_squared_distances_avx2(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                                      const std::uint32_t* rows, float least, std::uint64_t* keys) {
  return append_scored<SquaredDistance, true>(q, items, d, bits, rows, least, keys);
}

namespace {

// r[a][b] becomes r[b][a].
inline void transpose(__m256 (&r)[8]) {
  __m256 t[8];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    t[2 * j] = _mm256_unpacklo_ps(r[2 * j], r[2 * j + 1]);
    t[2 * j + 1] = _mm256_unpackhi_ps(r[2 * j], r[2 * j + 1]);
  }
  __m256 u[8];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    u[4 * j + 0] = _mm256_shuffle_ps(t[4 * j], t[4 * j + 2], 0x44);
    u[4 * j + 1] = _mm256_shuffle_ps(t[4 * j], t[4 * j + 2], 0xee);
    u[4 * j + 2] = _mm256_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0x44);
    u[4 * j + 3] = _mm256_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    r[j] = _mm256_permute2f128_ps(u[j], u[j + 4], 0x20);
    r[j + 4] = _mm256_permute2f128_ps(u[j], u[j + 4], 0x31);
  }
}

}  // namespace

void unpack_panel_avx2(const float* panel, std::int64_t d, float* items) {
  std::int64_t i = 0;
  for (; i + 8 <= d; i += 8) {
    for (int half = 0; half < kPanelItems; half += 8) {
      __m256 r[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_ps(panel + (i + j) * kPanelItems + half);
      transpose(r);
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) _mm256_storeu_ps(items + (half + j) * d + i, r[j]);
    }
  }
  for (; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) items[lane * d + i] = panel[i * kPanelItems + lane];
  }
}

void pack_panel_avx2(const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d, float* panel,
                     float* squares) {
  if (n_rows < kPanelItems) return pack_panel_serial(rows, row_stride, n_rows, d, panel, squares);
  for (int half = 0; half < kPanelItems; half += 8) {
    const float* const first = rows + half * row_stride;
    __m256 sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    std::int64_t i = 0;
    for (; i + 8 <= d; i += 8) {
      __m256 r[8];
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) r[j] = _mm256_loadu_ps(first + j * row_stride + i);
      transpose(r);
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        _mm256_storeu_ps(panel + (i + j) * kPanelItems + half, r[j]);
        sum[j % 2] = _mm256_fmadd_ps(r[j], r[j], sum[j % 2]);
      }
    }
    for (; i < d; ++i) {
      for (int lane = 0; lane < 8; ++lane) panel[i * kPanelItems + half + lane] = first[lane * row_stride + i];
      const __m256 x = _mm256_loadu_ps(panel + i * kPanelItems + half);
      sum[0] = _mm256_fmadd_ps(x, x, sum[0]);
    }
    _mm256_storeu_ps(squares + half, _mm256_add_ps(sum[0], sum[1]));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
