// The select kernels for AVX2; what it has no instruction for is left to the serial form.
#include "select.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {

std::int64_t find_above_avx2(const float* values, std::int64_t from, std::int64_t n, float threshold) {
  const __m256 t = _mm256_set1_ps(threshold);
  for (; from + 32 <= n; from += 32) {
    std::uint32_t above = 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m256 x = _mm256_loadu_ps(values + from + 8 * v);
      above |= std::uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(x, t, _CMP_GT_OQ))) << (8 * v);
    }
    if (above != 0) return from + __builtin_ctz(above);
  }
  return find_above_serial(values, from, n, threshold);
}

namespace {

std::int64_t count_at_least(const float* values, std::int64_t n, float pivot) {
  const __m256 p = _mm256_set1_ps(pivot);
  __m256i counts = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 reach = _mm256_cmp_ps(_mm256_loadu_ps(values + i), p, _CMP_GE_OQ);
    counts = _mm256_sub_epi32(counts, _mm256_castps_si256(reach));
  }
  alignas(32) std::int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), counts);
  std::int64_t count = 0;
  for (const std::int32_t lane : lanes) count += lane;
  for (; i < n; ++i) count += values[i] >= pivot;
  return count;
}

}  // namespace

float near_kth_largest_avx2(const float* values, std::int64_t n, std::int64_t k) {
  float smallest = values[0];
  float largest = values[0];
  for (std::int64_t i = 1; i < n; ++i) {
    smallest = values[i] < smallest ? values[i] : smallest;
    largest = values[i] > largest ? values[i] : largest;
  }
  return halve_to_kth_largest(values, n, k, smallest, largest, count_at_least);
}

std::int64_t keep_above_avx2(float* values, std::uint32_t* positions, std::int64_t n, float threshold) {
  return keep_above_serial(values, positions, n, threshold);
}

int append_hits_avx2(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,
                     std::uint32_t* positions) {
  return append_hits_serial(scores, first, bits, values, positions);
}

void range_of_keys_avx2(const std::uint64_t* keys, std::int64_t n, std::uint64_t* smallest, std::uint64_t* largest) {
  range_of_keys_serial(keys, n, smallest, largest);
}

std::int64_t find_tie_avx2(const std::uint64_t* keys, std::int64_t from, std::int64_t n) {
  return find_tie_serial(keys, from, n);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
