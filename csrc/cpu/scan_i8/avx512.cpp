// start_values_i8 and scores_of_sums for AVX-512.
#include "scan_i8.hpp"

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

void start_values_i8_avx512(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile,
                            std::int32_t* start) {
  const __m512 most = _mm512_set1_ps(0x1p30f);
  const __m512 shift = _mm512_set1_ps(tile.shift);
  for (int m = 0; m < n_queries; m += 16) {
    const __mmask16 mask = __mmask16(n_queries - m < 16 ? (1u << (n_queries - m)) - 1 : 0xffff);
    const __m512 below = _mm512_maskz_loadu_ps(mask, queries.below + m);
    const __m512 of_query = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, queries.error + m), _mm512_set1_ps(tile.norm));
    const __m512 of_tile = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, queries.length + m), _mm512_set1_ps(tile.error));
    const __m512 error = _mm512_mul_ps(_mm512_add_ps(of_query, of_tile), _mm512_set1_ps(1.0f + 0x1p-20f));
    const __m512 sizes = _mm512_add_ps(_mm512_abs_ps(below), _mm512_abs_ps(shift));
    const __m512 slack = _mm512_mul_ps(sizes, _mm512_set1_ps(0x1p-22f));
    const __m512 least = _mm512_sub_ps(_mm512_sub_ps(_mm512_add_ps(below, shift), slack), error);
    const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(least, _mm512_maskz_loadu_ps(mask, queries.inverse_scale + m)),
                                        _mm512_set1_ps(tile.inverse_scale));
    const __m512 rounding = _mm512_mul_ps(_mm512_abs_ps(scaled), _mm512_set1_ps(0x1p-20f));
    __m512 bound = _mm512_sub_ps(_mm512_sub_ps(scaled, rounding), _mm512_set1_ps(1.0f));
    // Of a NaN the maximum is its second operand.
    bound = _mm512_min_ps(_mm512_max_ps(bound, _mm512_set1_ps(-0x1p30f)), most);
    const __m512i most_of_no_use = _mm512_cvttps_epi32(_mm512_floor_ps(bound));
    const __m512i offset = _mm512_maskz_loadu_epi32(mask, queries.offset + m);
    // x + ~y is x - y - 1
    const __m512i value = _mm512_add_epi32(offset, _mm512_xor_si512(most_of_no_use, _mm512_set1_epi32(-1)));
    _mm512_mask_storeu_epi32(start + m, mask, value);
  }
}

void scores_of_sums_avx512(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores) {
  for (int j = 0; j < kTileItems; j += 16) {
    const __m512i dot = _mm512_add_epi32(_mm512_loadu_si512(sums + j), _mm512_set1_epi32(add));
    const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_set1_ps(scale));
    _mm512_storeu_ps(scores + j, _mm512_sub_ps(product, _mm512_set1_ps(shift)));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
