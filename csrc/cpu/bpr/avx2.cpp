// Kernel `bpr` for AVX2: 8 factors at a time.
#include <cstdint>

#include "blocks.hpp"
#include "bpr.hpp"

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

constexpr int kWidth = 8, kAtOnce = 4;
using Vec = __m256;

alignas(32) const std::int32_t kFirst[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

inline __m256i first(std::int64_t n) { return _mm256_loadu_si256((const __m256i*)(kFirst + kWidth - n)); }
inline Vec splat(float value) { return _mm256_set1_ps(value); }
inline Vec load(const float* from) { return _mm256_loadu_ps(from); }
inline Vec load_part(const float* from, std::int64_t n) { return _mm256_maskload_ps(from, first(n)); }
inline void store(float* to, Vec v) { _mm256_storeu_ps(to, v); }
inline void store_part(float* to, Vec v, std::int64_t n) { _mm256_maskstore_ps(to, first(n), v); }

inline float sum_lanes(const Vec* sum) {
  const __m256 eight = sum[0] + sum[1];
  const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(two) + _mm_cvtss_f32(_mm_movehdup_ps(two));
}

#include "visits.hpp"

}  // namespace

void bpr_visits_f32_avx2(const RankingVisits& visits, const RankingFactors& factors, const RankingSteps& steps,
                         float* scratch, RankingSums& sums) {
  visit_all(visits, factors, steps, scratch, sums);
}

void bpr_draws_avx2(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n, std::int32_t* places) {
  draw_places(stream, first, n_left, n, places);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
