// Kernel `sgd` for AVX-512: vectors of 8, as the contract has 8 lanes; what it adds are masks for parts of them.
#include <cstdint>

#include "sgd.hpp"

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

using Vec = __m256;
using Part = __mmask8;

inline Part first(std::int64_t n) { return Part((1u << n) - 1); }
inline Vec splat(float value) { return _mm256_set1_ps(value); }
inline Vec load(const float* from) { return _mm256_loadu_ps(from); }
inline Vec load_part(const float* from, Part part) { return _mm256_maskz_loadu_ps(part, from); }
inline void store(float* to, Vec v) { _mm256_storeu_ps(to, v); }
inline void store_part(float* to, Vec v, Part part) { _mm256_mask_storeu_ps(to, part, v); }

inline float sum_lanes(Vec sum) {
  const __m128 four = _mm256_castps256_ps128(sum) + _mm256_extractf128_ps(sum, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(two) + _mm_cvtss_f32(_mm_movehdup_ps(two));
}

#include "visits.hpp"

}  // namespace

double sgd_epoch_f32_avx512(const RatingsView& ratings, const FactorTable& users, const FactorTable& items,
                            const SgdRates& rates) {
  return sgd_epoch(ratings, users, items, rates);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
