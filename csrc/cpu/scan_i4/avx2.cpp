// scan_tile_i4 for AVX2: a half byte times a byte lies within 15 * 127, so that products of bytes are added in 16 bits
// for a few groups before the sums become 32.
#include "scan_i4.hpp"

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

constexpr int kPairBytes = kTileItems * kGroup;
constexpr int kVectors = 4;  // of items; a tile has two such strips
constexpr int kStripItems = 8 * kVectors, kStripBytes = kStripItems * kGroup;
// Pairs of groups whose products are added in 16 bits: each adds four of at most 15 * 127 to an element.
constexpr std::int64_t kPairsInWords = 4;
static_assert(kPairsInWords * 4 * 15 * 127 < 1 << 15, "16 bits hold the sums");

// Vectors of sums have the element type of the instructions, as in scan_i8/avx2.cpp.
using Words = short __attribute__((vector_size(32)));
using Sums = int __attribute__((vector_size(32)));

inline __m256i four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return _mm256_set1_epi32(codes);
}

// One query and half of a tile's items, whose sums are stored: a bit for each of those that come near.
inline std::uint32_t strip(const std::int8_t* query, std::int32_t start, std::int32_t weight,
                           const std::uint8_t* shares, const std::uint8_t* codes, std::int64_t n_pairs,
                           std::int32_t* sums, const char* ahead) {
  const std::int64_t most = GPUREC_PLANTED(int4_words_overflow) ? 4 * kPairsInWords : kPairsInWords;
  const __m256i half = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  Sums sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(shares + 8 * v));
    const __m256i strayed = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(eight), _mm256_set1_epi32(weight));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(strayed, _mm256_set1_epi32(255)), 8);
    sum[v] = Sums(_mm256_add_epi32(_mm256_set1_epi32(start), rounded));
  }
  for (std::int64_t first = 0; first < n_pairs; first += most) {
    const std::int64_t end = n_pairs - first < most ? n_pairs : first + most;
    Words words[kVectors] = {};
    for (std::int64_t g = first; g < end; ++g) {
      _mm_prefetch(ahead + g * kPairBytes, _MM_HINT_T1);
      _mm_prefetch(ahead + g * kPairBytes + 64, _MM_HINT_T1);
      const __m256i q_low = four_codes(query + g * 2 * kGroup), q_high = four_codes(query + g * 2 * kGroup + kGroup);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const __m256i two = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + g * kPairBytes + 32 * v));
        const __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(two, half), q_low);
        const __m256i high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(two, 4), half), q_high);
        words[v] += Words(_mm256_add_epi16(low, high));
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = Sums(_mm256_add_epi32(__m256i(sum[v]), _mm256_madd_epi16(__m256i(words[v]), ones)));
    }
  }
  std::uint32_t negative = 0;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums + 8 * v), __m256i(sum[v]));
    negative |= std::uint32_t(_mm256_movemask_ps(_mm256_castsi256_ps(__m256i(sum[v])))) << (8 * v);
  }
  return ~negative;
}

}  // namespace

bool scan_tile_i4_avx2(const std::int8_t* const* queries, const std::int32_t* start, const std::int32_t* weights,
                       int n_queries, const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits,
                       std::int32_t* sums, const std::uint8_t* next) {
  const std::uint8_t* const shares = codes + n_pairs * kPairBytes;
  const auto* const ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  _mm_prefetch(ahead + n_pairs * kPairBytes, _MM_HINT_T1);
  bool any = false;
  for (int m = 0; m < n_queries; ++m, sums += kTileItems) {
    hits[m] = 0;
    for (int s = 0; s < 2; ++s) {
      const std::uint32_t near = strip(queries[m], start[m], weights[m], shares + kStripItems * s,
                                       codes + kStripBytes * s, n_pairs, sums + kStripItems * s, ahead + kStripBytes * s);
      hits[m] |= std::uint64_t(near) << (kStripItems * s);
    }
    any |= hits[m] != 0;
  }
  return any;
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
