// The select kernels for AVX-512.
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

namespace {

inline __mmask16 first_lanes(std::int64_t n) { return n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

std::int64_t count_at_least(const float* values, std::int64_t n, float pivot) {
  const __m512 p = _mm512_set1_ps(pivot);
  const __m512i one = _mm512_set1_epi32(1);
  __m512i counts[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) counts[v] = _mm512_setzero_si512();
  std::int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __mmask16 reach = _mm512_cmp_ps_mask(_mm512_loadu_ps(values + i + 16 * v), p, _CMP_GE_OQ);
      counts[v] = _mm512_mask_add_epi32(counts[v], reach, counts[v], one);
    }
  }
  for (; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __mmask16 reach = _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, values + i), p, _CMP_GE_OQ);
    counts[0] = _mm512_mask_add_epi32(counts[0], reach, counts[0], one);
  }
  return _mm512_reduce_add_epi32(
      _mm512_add_epi32(_mm512_add_epi32(counts[0], counts[1]), _mm512_add_epi32(counts[2], counts[3])));
}

}  // namespace

float near_kth_largest_avx512(const float* values, std::int64_t n, std::int64_t k) {
  __m512 smallest = _mm512_set1_ps(values[0]);
  __m512 largest = smallest;
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(lanes, values + i);
    smallest = _mm512_mask_min_ps(smallest, lanes, smallest, x);
    largest = _mm512_mask_max_ps(largest, lanes, largest, x);
  }
  return halve_to_kth_largest(values, n, k, _mm512_reduce_min_ps(smallest), _mm512_reduce_max_ps(largest),
                              count_at_least);
}

std::int64_t keep_above_avx512(float* values, std::uint32_t* positions, std::int64_t n, float threshold) {
  const __m512 t = _mm512_set1_ps(threshold);
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(lanes, values + i);
    const __m512i p = _mm512_maskz_loadu_epi32(lanes, positions + i);
    const __mmask16 keep = _mm512_mask_cmp_ps_mask(lanes, x, t, _CMP_NLE_UQ);
    const int count = __builtin_popcount(keep);
    const __mmask16 packed = __mmask16((1u << count) - 1);
    // Compressing in a register and storing that is quicker than compressing to memory on some processors.
    _mm512_mask_storeu_ps(values + kept, packed, _mm512_maskz_compress_ps(keep, x));
    _mm512_mask_storeu_epi32(positions + kept, packed, _mm512_maskz_compress_epi32(keep, p));
    kept += count;
  }
  return kept;
}

int append_hits_avx512(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,
                       std::uint32_t* positions) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int count = 0;
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const __mmask16 keep = __mmask16(bits >> (16 * v));
    const __m512i p = _mm512_add_epi32(lane, _mm512_set1_epi32(std::int32_t(first) + 16 * v));
    _mm512_storeu_ps(values + count, _mm512_maskz_compress_ps(keep, _mm512_loadu_ps(scores + 16 * v)));
    _mm512_storeu_si512(positions + count, _mm512_maskz_compress_epi32(keep, p));
    count += __builtin_popcount(keep);
  }
  return count;
}

void range_of_keys_avx512(const std::uint64_t* keys, std::int64_t n, std::uint64_t* smallest, std::uint64_t* largest) {
  __m512i low = _mm512_set1_epi64(std::int64_t(keys[0]));
  __m512i high = low;
  for (std::int64_t i = 0; i < n; i += 8) {
    const __mmask8 lanes = __mmask8(n - i < 8 ? (1u << (n - i)) - 1 : 0xff);
    const __m512i x = _mm512_maskz_loadu_epi64(lanes, keys + i);
    low = _mm512_mask_min_epu64(low, lanes, low, x);
    high = _mm512_mask_max_epu64(high, lanes, high, x);
  }
  *smallest = _mm512_reduce_min_epu64(low);
  *largest = _mm512_reduce_max_epu64(high);
}

std::int64_t find_tie_avx512(const std::uint64_t* keys, std::int64_t from, std::int64_t n) {
  const __m512i score = _mm512_set1_epi64(std::int64_t(0xffffffff00000000u));
  for (; from + 8 < n; from += 8) {
    const __m512i differ = _mm512_xor_si512(_mm512_loadu_si512(keys + from), _mm512_loadu_si512(keys + from + 1));
    const __mmask8 tied = _mm512_testn_epi64_mask(differ, score);
    if (tied != 0) return from + __builtin_ctz(tied);
  }
  return find_tie_serial(keys, from, n);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
