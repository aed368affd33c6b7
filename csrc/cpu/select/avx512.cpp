// find_above for AVX-512: 64 values a step, the rest by the serial form.
#include "select.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {

std::int64_t find_above_avx512(const float* values, std::int64_t from, std::int64_t n, float threshold) {
  const __m512 t = _mm512_set1_ps(threshold);
  for (; from + 64 <= n; from += 64) {
    std::uint64_t above = 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512 x = _mm512_loadu_ps(values + from + 16 * v);
      above |= std::uint64_t(_mm512_cmp_ps_mask(x, t, _CMP_GT_OQ)) << (16 * v);
    }
    if (above != 0) return from + __builtin_ctzll(above);
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
