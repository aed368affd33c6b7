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

// Floats as signed integers in the same order (-0 below +0); the map is its own inverse.
inline __m512i ordered(__m512i bits) {
  return _mm512_xor_si512(bits, _mm512_srli_epi32(_mm512_srai_epi32(bits, 31), 1));
}
inline std::int32_t ordered(std::int32_t bits) { return bits ^ std::int32_t(std::uint32_t(bits >> 31) >> 1); }

inline __mmask16 first_lanes(std::int64_t n) { return n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

inline std::int64_t count_at_least(const float* values, std::int64_t n, std::int32_t pivot) {
  const __m512i p = _mm512_set1_epi32(pivot);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512i x = ordered(_mm512_maskz_loadu_epi32(lanes, values + i));
    count += __builtin_popcount(_mm512_mask_cmpge_epi32_mask(lanes, x, p));
  }
  return count;
}

}  // namespace

// Halves the range of the answer's bits until few more values than wanted reach its lower end.
float near_kth_largest_avx512(const float* values, std::int64_t n, std::int64_t k) {
  __m512i smallest = _mm512_set1_epi32(0x7fffffff);
  __m512i largest = _mm512_set1_epi32(-0x7fffffff - 1);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = first_lanes(n - i);
    const __m512i x = ordered(_mm512_maskz_loadu_epi32(lanes, values + i));
    smallest = _mm512_mask_min_epi32(smallest, lanes, smallest, x);
    largest = _mm512_mask_max_epi32(largest, lanes, largest, x);
  }
  std::int32_t low = _mm512_reduce_min_epi32(smallest);
  std::int32_t high = _mm512_reduce_max_epi32(largest);
  while (low < high) {  // the k-th largest lies in [low, high]
    const std::int32_t middle = std::int32_t((std::int64_t(low) + high + 1) >> 1);
    const std::int64_t count = count_at_least(values, n, middle);
    if (count >= k) {
      low = middle;
      if (count <= k + k / 32) break;
    } else {
      high = middle - 1;
    }
  }
  low = ordered(low);
  float result;
  __builtin_memcpy(&result, &low, sizeof result);
  return result;
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

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
