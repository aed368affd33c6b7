// find_above for AVX2: 32 values a step, the rest by the serial form.
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

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
