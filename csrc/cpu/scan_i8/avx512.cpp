// start_values_i8, scores_of_sums and quantise_query for AVX-512.
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

QueryCodes quantise_query_avx512(const float* q, std::int64_t d, std::int8_t* codes) {
  QueryCodes result;
  if (!fits_in_codes(d)) return result;
  const auto lanes = [=](std::int64_t i, int n) { return d - i >= n ? (1u << n) - 1 : d <= i ? 0u : (1u << (d - i)) - 1; };
  __m512 largest = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < d; i += 16) {
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(__mmask16(lanes(i, 16)), q + i)));
  }
  result.scale = scale_for(_mm512_reduce_max_ps(largest), 127);
  if (result.scale == 0.0f) return result;
  const __m256 inverse = _mm256_set1_ps(1.0f / result.scale), most = _mm256_set1_ps(127.0f);
  const __m256 round = _mm256_set1_ps(12582912.0f);  // as `nearest` does
  const __m512d scale = _mm512_set1_pd(double(result.scale));
  __m256i sum = _mm256_setzero_si256(), squares = sum;
  __m512d errors[4] = {_mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd(), _mm512_setzero_pd()};
  const std::int64_t n_bytes = (d + 2 * kGroup - 1) / (2 * kGroup) * (2 * kGroup);
  for (std::int64_t first = 0; first < n_bytes; first += kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const std::int64_t i = first + 8 * v;
      if (i >= n_bytes) break;
      const __m256 x = _mm256_maskz_loadu_ps(__mmask8(lanes(i, 8)), q + i);
      const __m256 scaled = _mm256_max_ps(_mm256_min_ps(_mm256_mul_ps(x, inverse), most), _mm256_sub_ps(_mm256_setzero_ps(), most));
      const __m256 code = _mm256_sub_ps(_mm256_add_ps(scaled, round), round);
      const __m256i integer = _mm256_cvttps_epi32(code);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm256_cvtepi32_epi8(integer));
      sum = _mm256_add_epi32(sum, integer);
      squares = _mm256_add_epi32(squares, _mm256_mullo_epi32(integer, integer));  // of 65,536 codes at most: below 2^31
      const __m512d wide = _mm512_cvtps_pd(x), product = _mm512_mul_pd(scale, _mm512_cvtps_pd(code));  // exact
      const __m512d difference = _mm512_sub_pd(wide, product);
      errors[v] = _mm512_add_pd(errors[v], _mm512_mul_pd(difference, difference));
    }
  }
  const auto total = [](__m256i x) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  };
  const __m512d eight = _mm512_add_pd(_mm512_add_pd(errors[0], errors[2]), _mm512_add_pd(errors[1], errors[3]));
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  result.sum = total(sum);
  result.length = length_of_codes(result.scale, total(squares));
  result.error = error_norm_upper(_mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))), d);
  return result;
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
