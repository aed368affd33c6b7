// Kernels `quantise_query` and `quantise_tile` for AVX-512.
#include "quantise.hpp"

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
namespace {

// Of n components from the i-th on, at most `width`.
inline unsigned lanes(std::int64_t n, std::int64_t i, int width) {
  return n - i >= width ? (1u << width) - 1 : n <= i ? 0u : (1u << (n - i)) - 1;
}

inline float largest_avx512(const float* x, std::int64_t n) {
  __m512 largest = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 16) {
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(__mmask16(lanes(n, i, 16)), x + i)));
  }
  return _mm512_reduce_max_ps(largest);
}

// The nearest code of each of eight values, as `code_of` has it.
struct NearestCodes {
  NearestCodes(float scale, int most_code)
      : inverse(_mm256_set1_ps(1.0f / scale)), most(_mm256_set1_ps(float(most_code))),
        least(_mm256_set1_ps(-float(most_code))), round(_mm256_set1_ps(12582912.0f)) {}
  __m256 of(__m256 x) const {
    const __m256 scaled = _mm256_max_ps(_mm256_min_ps(_mm256_mul_ps(x, inverse), most), least);
    return _mm256_sub_ps(_mm256_add_ps(scaled, round), round);
  }
  __m256 inverse, most, least, round;
};

// Squares of what codes leave out, in the 32 lanes of canonical.hpp.
struct ErrorLanes {
  explicit ErrorLanes(float scale) : scale(_mm512_set1_pd(double(scale))) {
    for (__m512d& lane : lanes) lane = _mm512_setzero_pd();
  }
  void add(int v, __m256 x, __m256 code) {
    const __m512d product = _mm512_mul_pd(scale, _mm512_cvtps_pd(code));  // exact
    const __m512d difference = _mm512_sub_pd(_mm512_cvtps_pd(x), product);
    lanes[v] = _mm512_add_pd(lanes[v], _mm512_mul_pd(difference, difference));
  }
  double sum() const {
    const __m512d eight = _mm512_add_pd(_mm512_add_pd(lanes[0], lanes[2]), _mm512_add_pd(lanes[1], lanes[3]));
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
  __m512d scale, lanes[4];
};

inline int total(__m256i x) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

struct Avx512Steps {
  static float largest(const float* x, std::int64_t n) { return largest_avx512(x, n); }

  static float squared_errors(const float* x, std::int64_t n, float scale) {
    const __m512 inverse = _mm512_set1_ps(1.0f / scale), step = _mm512_set1_ps(scale);
    const __m512 most = _mm512_set1_ps(HalfByteCodes::kMost), least = _mm512_set1_ps(-HalfByteCodes::kMost);
    const __m512 round = _mm512_set1_ps(12582912.0f);
    __m512 sums = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < n; i += 16) {
      const __m512 value = _mm512_maskz_loadu_ps(__mmask16(lanes(n, i, 16)), x + i);
      const __m512 scaled = _mm512_max_ps(_mm512_min_ps(_mm512_mul_ps(value, inverse), most), least);
      const __m512 code = _mm512_sub_ps(_mm512_add_ps(scaled, round), round);
      const __m512 error = _mm512_sub_ps(value, _mm512_mul_ps(step, code));
      sums = _mm512_add_ps(sums, _mm512_mul_ps(error, error));
    }
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sums), _mm512_extractf32x8_ps(sums, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  template <class Codes>
  static double code_item(const float* item, std::int64_t d, float scale, std::int64_t j, std::uint8_t* codes) {
    const NearestCodes nearest_codes(scale, Codes::kMost);
    const __m256i offset = _mm256_set1_epi32(Codes::kMost + 1);
    ErrorLanes errors(scale);
    for (std::int64_t first = 0; first < d; first += kLanes) {
      alignas(16) std::uint8_t bytes[kLanes];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const std::int64_t i = first + 8 * v;
        const __m256 x = _mm256_maskz_loadu_ps(__mmask8(lanes(d, i, 8)), item + i);
        const __m256 code = nearest_codes.of(x);
        errors.add(v, x, code);
        const __m256i integer = _mm256_add_epi32(_mm256_cvttps_epi32(code), offset);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes + 8 * v), _mm256_cvtepi32_epi8(integer));
      }
      put_16<Codes>(bytes, j, first, d, codes);
      put_16<Codes>(bytes + 16, j, first + 16, d, codes);
    }
    return error_norm_upper(errors.sum(), d);
  }
};

}  // namespace

QueryCodes quantise_query_avx512(const float* q, std::int64_t d, std::int8_t* codes) {
  QueryCodes result;
  if (!fits_in_codes(d)) return result;
  result.scale = scale_for(largest_avx512(q, d), kMostQueryCode);
  if (result.scale == 0.0f) return result;
  const NearestCodes nearest_codes(result.scale, kMostQueryCode);
  __m256i sum = _mm256_setzero_si256(), squares = sum;
  ErrorLanes errors(result.scale);
  const std::int64_t n_bytes = (d + 2 * kGroup - 1) / (2 * kGroup) * (2 * kGroup);
  for (std::int64_t first = 0; first < n_bytes; first += kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const std::int64_t i = first + 8 * v;
      if (i >= n_bytes) break;
      const __m256 x = _mm256_maskz_loadu_ps(__mmask8(lanes(d, i, 8)), q + i);
      const __m256 code = nearest_codes.of(x);
      const __m256i integer = _mm256_cvttps_epi32(code);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm256_cvtepi32_epi8(integer));
      sum = _mm256_add_epi32(sum, integer);
      squares = _mm256_add_epi32(squares, _mm256_mullo_epi32(integer, integer));  // of 65,536 codes at most: below 2^31
      errors.add(v, x, code);
    }
  }
  result.sum = total(sum);
  result.length = length_of_codes(result.scale, total(squares));
  result.error = error_norm_upper(errors.sum(), d);
  return result;
}

void quantise_tile_i8_avx512(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<ByteCodes, Avx512Steps>(x, n_items, d, codes, scale, error);
}

void quantise_tile_i4_avx512(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<HalfByteCodes, Avx512Steps>(x, n_items, d, codes, scale, error);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
