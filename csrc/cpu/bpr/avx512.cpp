// Kernel `bpr` for AVX-512: 16 factors at a time, a lane each.
#include <cstdint>

#include "blocks.hpp"
#include "bpr.hpp"

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

constexpr int kWidth = 16, kAtOnce = 8;
using Vec = __m512;

inline __mmask16 first(std::int64_t n) { return __mmask16(0xffffu >> (kWidth - n)); }
inline Vec splat(float value) { return _mm512_set1_ps(value); }
inline Vec load(const float* from) { return _mm512_loadu_ps(from); }
inline Vec load_part(const float* from, std::int64_t n) { return _mm512_maskz_loadu_ps(first(n), from); }
inline void store(float* to, Vec v) { _mm512_storeu_ps(to, v); }
inline void store_part(float* to, Vec v, std::int64_t n) { _mm512_mask_storeu_ps(to, first(n), v); }

inline float sum_lanes(const Vec* sum) {
  const __m256 eight = _mm512_castps512_ps256(sum[0]) + _mm512_extractf32x8_ps(sum[0], 1);
  const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(two) + _mm_cvtss_f32(_mm_movehdup_ps(two));
}

// Of eight rows, halves of which are added side by side.
inline void add_rows(const Vec (&sum)[8][1], float* to) {
  const auto halves = [&](int r) {
    return _mm512_shuffle_f32x4(sum[r][0], sum[r + 1][0], 0x44) + _mm512_shuffle_f32x4(sum[r][0], sum[r + 1][0], 0xee);
  };
  const auto quarters = [](Vec a, Vec b) { return _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xdd); };
  const Vec first = quarters(halves(0), halves(2)), second = quarters(halves(4), halves(6));
  const Vec two = _mm512_shuffle_ps(first, second, 0x44) + _mm512_shuffle_ps(first, second, 0xee);
  const Vec one = two + _mm512_permute_ps(two, 0xb1);
  const __m512i places = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256 of_rows = _mm512_castps512_ps256(_mm512_permutexvar_ps(places, one));
  _mm256_storeu_ps(to, _mm256_loadu_ps(to) + of_rows);
}

#include "visits.hpp"

}  // namespace

void bpr_visits_f32_avx512(const RankingVisits& visits, const RankingFactors& factors, const RankingSteps& steps,
                           float* scratch, RankingSums& sums) {
  visit_all(visits, factors, steps, scratch, sums);
}

void bpr_draws_avx512(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n, std::int32_t* places) {
  draw_places(stream, first, n_left, n, places);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
