// Kernel `quantise_tile` for AVX2.
#include "quantise.hpp"

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

// Where `width` values of n lie from the i-th on: in place, or with zeros after them in `room`.
inline const float* values_at(const float* x, std::int64_t n, std::int64_t i, int width, float* room) {
  if (n - i >= width) return x + i;
  for (int l = 0; l < width; ++l) room[l] = i + l < n ? x[i + l] : 0.0f;
  return room;
}

struct Avx2Steps {
  static float largest(const float* x, std::int64_t n) {
    float room[8];
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 largest = _mm256_setzero_ps();
    for (std::int64_t i = 0; i < n; i += 8) {
      largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, _mm256_loadu_ps(values_at(x, n, i, 8, room))));
    }
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  static float squared_errors(const float* x, std::int64_t n, float scale) {
    const __m256 inverse = _mm256_set1_ps(1.0f / scale), step = _mm256_set1_ps(scale);
    const __m256 most = _mm256_set1_ps(HalfByteCodes::kMost), least = _mm256_set1_ps(-HalfByteCodes::kMost);
    const __m256 round = _mm256_set1_ps(12582912.0f);
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    float room[16];
    for (std::int64_t i = 0; i < n; i += 16) {
      const float* const at = values_at(x, n, i, 16, room);
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        const __m256 value = _mm256_loadu_ps(at + 8 * v);
        const __m256 scaled = _mm256_max_ps(_mm256_min_ps(_mm256_mul_ps(value, inverse), most), least);
        const __m256 code = _mm256_sub_ps(_mm256_add_ps(scaled, round), round);
        const __m256 error = _mm256_sub_ps(value, _mm256_mul_ps(step, code));
        sums[v] = _mm256_add_ps(sums[v], _mm256_mul_ps(error, error));
      }
    }
    const __m256 eight = _mm256_add_ps(sums[0], sums[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  template <class Codes>
  static double code_item(const float* item, std::int64_t d, float scale, std::int64_t j, std::uint8_t* codes) {
    const __m128 inverse = _mm_set1_ps(1.0f / scale), round = _mm_set1_ps(12582912.0f);
    const __m128 most = _mm_set1_ps(Codes::kMost), least = _mm_set1_ps(-Codes::kMost);
    const __m128i offset = _mm_set1_epi32(Codes::kMost + 1);
    const __m128i lowest_bytes = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256d step = _mm256_set1_pd(double(scale));
    __m256d lane[8];  // the 32 lanes of canonical.hpp
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) lane[v] = _mm256_setzero_pd();
    float room[kLanes];
    for (std::int64_t first = 0; first < d; first += kLanes) {
      const float* const at = values_at(item, d, first, kLanes, room);
      alignas(16) std::uint8_t bytes[kLanes];
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) {
        const __m128 x = _mm_loadu_ps(at + 4 * v);
        const __m128 scaled = _mm_max_ps(_mm_min_ps(_mm_mul_ps(x, inverse), most), least);
        const __m128 code = _mm_sub_ps(_mm_add_ps(scaled, round), round);
        const __m256d product = _mm256_mul_pd(step, _mm256_cvtps_pd(code));  // exact
        const __m256d difference = _mm256_sub_pd(_mm256_cvtps_pd(x), product);
        lane[v] = _mm256_add_pd(lane[v], _mm256_mul_pd(difference, difference));
        const __m128i integer = _mm_add_epi32(_mm_cvttps_epi32(code), offset);
        const int group = _mm_cvtsi128_si32(_mm_shuffle_epi8(integer, lowest_bytes));
        std::memcpy(bytes + 4 * v, &group, sizeof group);
      }
      put_16<Codes>(bytes, j, first, d, codes);
      put_16<Codes>(bytes + 16, j, first + 16, d, codes);
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) lane[v] = _mm256_add_pd(lane[v], lane[v + 4]);
    const __m256d four = _mm256_add_pd(_mm256_add_pd(lane[0], lane[2]), _mm256_add_pd(lane[1], lane[3]));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return error_norm_upper(_mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))), d);
  }
};

}  // namespace

void quantise_tile_i8_avx2(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<ByteCodes, Avx2Steps>(x, n_items, d, codes, scale, error);
}

void quantise_tile_i4_avx2(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<HalfByteCodes, Avx2Steps>(x, n_items, d, codes, scale, error);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
