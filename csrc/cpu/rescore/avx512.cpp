// The canonical sums for AVX-512: 32 lanes are four vectors of eight float64.
#include "rescore.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include <limits>

#include "gpurec/canonical.hpp"
#include "gpurec/order.hpp"
#include "gpurec/rescore.hpp"
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

inline __m512d eight(const float* x) { return _mm512_cvtps_pd(_mm256_loadu_ps(x)); }
inline __m512d eight(const double* x) { return _mm512_loadu_pd(x); }
inline __m512d eight(const double* x, __mmask8 mask) { return _mm512_maskz_loadu_pd(mask, x); }
inline __m512d eight(const float* x, __mmask8 mask) { return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask, x)); }

// Lanes 0-7 of the sums of one query with N items, the first two halvings done.
template <class Term, int N, class Value, class Item>
inline void eight_lanes(const Value* q, const Item* const (&x)[N], std::int64_t d, __m512d (&sum)[N]) {
  __m512d lane[N][4];
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) lane[n][v] = _mm512_setzero_pd();
  }
  std::int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512d y = eight(q + i + 8 * v);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) lane[n][v] = Term::add(lane[n][v], y, eight(x[n] + i + 8 * v));
    }
  }
  if (i < d) {  // the last group, its missing components zero: they add +0
    const std::uint32_t valid = (std::uint32_t(1) << (d - i)) - 1;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __mmask8 mask = __mmask8(valid >> (8 * v));
      const __m512d y = eight(q + i + 8 * v, mask);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) lane[n][v] = Term::add(lane[n][v], y, eight(x[n] + i + 8 * v, mask));
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) {
    sum[n] = _mm512_add_pd(_mm512_add_pd(lane[n][0], lane[n][2]), _mm512_add_pd(lane[n][1], lane[n][3]));
  }
}

template <class Term>
inline double lane_sum_avx512(const float* q, const float* x, std::int64_t d) {
  __m512d sum[1];
  eight_lanes<Term, 1>(q, {x}, d, sum);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(sum[0]), _mm512_extractf64x4_pd(sum[0], 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// The sums of eight vectors' lanes, each by halves.
inline __m512d sums_of(const __m512d (&v)[8]) {
  __m512d half[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {  // four lanes of v[2 j], four of v[2 j + 1]
    half[j] = _mm512_add_pd(_mm512_shuffle_f64x2(v[2 * j], v[2 * j + 1], 0x44),
                            _mm512_shuffle_f64x2(v[2 * j], v[2 * j + 1], 0xee));
  }
  __m512d quarter[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {  // two lanes of v[4 j], ..., v[4 j + 3]
    quarter[j] = _mm512_add_pd(_mm512_shuffle_f64x2(half[2 * j], half[2 * j + 1], 0x88),
                               _mm512_shuffle_f64x2(half[2 * j], half[2 * j + 1], 0xdd));
  }
  const __m512d mixed = _mm512_add_pd(_mm512_unpacklo_pd(quarter[0], quarter[1]),
                                      _mm512_unpackhi_pd(quarter[0], quarter[1]));  // of v[0], v[4], v[1], v[5], ...
  return _mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), mixed);
}

// Eight items at a time share the last halvings.
template <class Term, bool kNegate, class Value>
inline void scores_of(const Value* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                      std::uint32_t first, std::int64_t n, float* scores) {
  for (std::int64_t e = 0; e < n; e += 8) {
    const std::int64_t n_items = n - e < 8 ? n - e : 8;
    __m512d sum[8];
#pragma GCC unroll 4
    for (int j = 0; j < 8; j += 2) {
      const auto row = [&](std::int64_t i) { return items + (positions[e + (i < n_items ? i : 0)] - first) * d; };
      __m512d two[2];
      eight_lanes<Term, 2>(q, {row(j), row(j + 1)}, d, two);
      sum[j] = two[0];
      sum[j + 1] = two[1];
    }
    __m512d total = sums_of(sum);
    if (kNegate) total = _mm512_sub_pd(_mm512_setzero_pd(), total);
    // Adding +0 makes -0 +0.
    const __m256 rounded = _mm256_add_ps(_mm512_cvtpd_ps(total), _mm256_setzero_ps());
    _mm256_mask_storeu_ps(scores + e, __mmask8((1u << n_items) - 1), rounded);
  }
}

// Converting costs as much as multiplying: for several items the query is converted once.
template <class Term, bool kNegate>
inline void scores_of_any(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                          std::uint32_t first, std::int64_t n, float* scores) {
  constexpr std::int64_t kWidest = 1024;
  if (n < 4) {
    for (std::int64_t e = 0; e < n; ++e) {
      const double sum = lane_sum_avx512<Term>(q, items + (positions[e] - first) * d, d);
      scores[e] = round32(kNegate ? -sum : sum);
    }
    return;
  }
  if (d > kWidest) return scores_of<Term, kNegate>(q, items, d, positions, first, n, scores);
  alignas(64) double wide[kWidest];
  for (std::int64_t i = 0; i < d; i += 8) {
    const __mmask8 mask = __mmask8(d - i < 8 ? (1u << (d - i)) - 1 : 0xff);
    _mm512_store_pd(wide + i, eight(q + i, mask));
  }
  scores_of<Term, kNegate>(static_cast<const double*>(wide), items, d, positions, first, n, scores);
}

}  // namespace

double dot64_avx512(const float* q, const float* x, std::int64_t d) { return lane_sum_avx512<Dot>(q, x, d); }

double neg_squared_distance64_avx512(const float* q, const float* x, std::int64_t d) {
  return -lane_sum_avx512<SquaredDistance>(q, x, d);
}

void dot_scores_avx512(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                       std::uint32_t first, std::int64_t n, float* scores) {
  scores_of_any<Dot, false>(q, items, d, positions, first, n, scores);
}

void neg_squared_distance_scores_avx512(const float* q, const float* items, std::int64_t d,
                                        const std::uint32_t* positions, std::uint32_t first, std::int64_t n,
                                        float* scores) {
  scores_of_any<SquaredDistance, true>(q, items, d, positions, first, n, scores);
}

void widen_rows_avx512(const float* rows, std::int64_t n, std::int64_t d, double* out) {
  for (std::int64_t j = 0; j < n; ++j, rows += d, out += wide(d)) {
    std::int64_t i = 0;
    for (; i + 8 <= d; i += 8) _mm512_storeu_pd(out + i, eight(rows + i));
    for (; i < wide(d); i += 8) {
      _mm512_storeu_pd(out + i, eight(rows + i, __mmask8(i < d ? (1u << (d - i)) - 1 : 0)));
    }
  }
}

namespace {

// The sums of four vectors' lanes, each by halves.
inline __m256d sums_of(const __m512d (&v)[4]) {
  __m512d half[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {  // four lanes of v[2 j], four of v[2 j + 1]
    half[j] = _mm512_add_pd(_mm512_shuffle_f64x2(v[2 * j], v[2 * j + 1], 0x44),
                            _mm512_shuffle_f64x2(v[2 * j], v[2 * j + 1], 0xee));
  }
  const __m512d quarter = _mm512_add_pd(_mm512_shuffle_f64x2(half[0], half[1], 0x88),  // two lanes of v[0], ..., v[3]
                                        _mm512_shuffle_f64x2(half[0], half[1], 0xdd));
  const __m512d sums = _mm512_add_pd(quarter, _mm512_permute_pd(quarter, 0x55));  // each twice
  return _mm512_castpd512_pd256(_mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6), sums));
}

// What a score is compared with: `least` or more, and finite.
struct Wanted {
  __m128 least;
  __m128 infinity;
};

// Scores of N items, the first of those that `bits` names; those taken are removed, but for the last of all.
// Appends the keys of those that are wanted, of the first n_items at most.
template <class Term, bool kNegate, int N>
inline __attribute__((always_inline)) int append_some(const double* q, const double* items, std::int64_t d,
                                                      std::uint64_t& bits, std::uint64_t last, int n_items,
                                                      const std::uint32_t* rows,
                                                      const Wanted& wanted, std::uint64_t* keys) {
  const double* x[N];
  int row[N];
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) {
    const int j = __builtin_ctzll(bits);
    bits = (bits & (bits - 1)) | last;
    x[i] = items + j * d;
    row[i] = int(rows[j]);
  }
  __m512d sum[N];
  eight_lanes<Term, N>(q, x, d, sum);
  __m256d total = sums_of({sum[0], sum[1], sum[N - 2], sum[N - 1]});
  if (kNegate) total = _mm256_sub_pd(_mm256_setzero_pd(), total);
  const __m128 score = _mm_add_ps(_mm256_cvtpd_ps(total), _mm_setzero_ps());  // adding +0 makes -0 +0
  __mmask8 keep = __mmask8((1u << (GPUREC_PLANTED(scored_at_once_twice) ? N : n_items)) - 1);
  keep = _mm_mask_cmp_ps_mask(keep, score, wanted.least, _CMP_GE_OQ);
  keep = _mm_mask_cmp_ps_mask(keep, score, wanted.infinity, _CMP_LT_OQ);
  // As order_key.
  const __m128i bits_of = _mm_castps_si128(score);
  const __m128i flip = _mm_or_si128(_mm_srai_epi32(bits_of, 31), _mm_set1_epi32(std::int32_t(0x80000000)));
  const __m256i high = _mm256_slli_epi64(_mm256_cvtepu32_epi64(_mm_xor_si128(bits_of, flip)), 32);
  const __m128i rows_of = _mm_setr_epi32(row[0], row[1], row[N - 2], row[N - 1]);
  const __m256i low = _mm256_cvtepu32_epi64(_mm_xor_si128(rows_of, _mm_set1_epi32(-1)));
  const __m256i packed = _mm256_maskz_compress_epi64(keep, _mm256_or_si256(high, low));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(keys), packed);
  return __builtin_popcount(keep);
}

template <class Term, bool kNegate>
inline Appended append_scored(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                              const std::uint32_t* rows, float least, std::uint64_t* keys) {
  constexpr float kLowest = -std::numeric_limits<float>::max();
  const Wanted wanted = {_mm_set1_ps(least > kLowest ? least : kLowest),
                         _mm_set1_ps(std::numeric_limits<float>::infinity())};
  const int n_scored = __builtin_popcountll(bits);
  const std::uint64_t last = std::uint64_t(bits != 0) << 63 >> __builtin_clzll(bits | 1);
  int left = n_scored, n = 0;
  for (; left > 2; left -= 4) {
    n += append_some<Term, kNegate, 4>(q, items, wide(d), bits, last, left < 4 ? left : 4, rows, wanted, keys + n);
  }
  if (left > 0) n += append_some<Term, kNegate, 2>(q, items, wide(d), bits, last, left, rows, wanted, keys + n);
  return {n_scored, n};
}

}  // namespace

Appended append_dots_avx512(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                       const std::uint32_t* rows, float least, std::uint64_t* keys) {
  return append_scored<Dot, false>(q, items, d, bits, rows, least, keys);
}

Appended append_neg_squared_distances_avx512(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                                        const std::uint32_t* rows, float least, std::uint64_t* keys) {
  return append_scored<SquaredDistance, true>(q, items, d, bits, rows, least, keys);
}

namespace {

// r[a][b] becomes r[b][a].
inline void transpose(__m512 (&r)[16]) {
  __m512 t[16];
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    t[2 * j] = _mm512_unpacklo_ps(r[2 * j], r[2 * j + 1]);
    t[2 * j + 1] = _mm512_unpackhi_ps(r[2 * j], r[2 * j + 1]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {  // r[4 j + c]: columns c, c + 4, c + 8, c + 12 of the four rows from 4 j on
    r[4 * j + 0] = _mm512_shuffle_ps(t[4 * j], t[4 * j + 2], 0x44);
    r[4 * j + 1] = _mm512_shuffle_ps(t[4 * j], t[4 * j + 2], 0xee);
    r[4 * j + 2] = _mm512_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0x44);
    r[4 * j + 3] = _mm512_shuffle_ps(t[4 * j + 1], t[4 * j + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);           // columns c, c + 8
    t[4 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);       // columns c + 4, c + 12
    t[8 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
    t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
    r[c + 8] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
    r[c + 4] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
    r[c + 12] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
  }
}

}  // namespace

void unpack_panel_avx512(const float* panel, std::int64_t d, float* items) {
  std::int64_t i = 0;
  for (; i + 16 <= d; i += 16) {
    __m512 r[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) r[j] = _mm512_loadu_ps(panel + (i + j) * kPanelItems);
    transpose(r);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) _mm512_storeu_ps(items + j * d + i, r[j]);
  }
  for (; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) items[lane * d + i] = panel[i * kPanelItems + lane];
  }
}

void pack_panel_avx512(const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d, float* panel,
                       float* squares) {
  if (n_rows < kPanelItems) return pack_panel_serial(rows, row_stride, n_rows, d, panel, squares);
  __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  std::int64_t i = 0;
  for (; i + 16 <= d; i += 16) {
    __m512 r[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) r[j] = _mm512_loadu_ps(rows + j * row_stride + i);
    transpose(r);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      _mm512_storeu_ps(panel + (i + j) * kPanelItems, r[j]);
      sum[j % 2] = _mm512_fmadd_ps(r[j], r[j], sum[j % 2]);
    }
  }
  for (; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) panel[i * kPanelItems + lane] = rows[lane * row_stride + i];
    const __m512 x = _mm512_loadu_ps(panel + i * kPanelItems);
    sum[0] = _mm512_fmadd_ps(x, x, sum[0]);
  }
  _mm512_storeu_ps(squares, _mm512_add_ps(sum[0], sum[1]));
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
