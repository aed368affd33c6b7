// scan_tile_i4 for AVX-512 with VNNI: one or two queries by four vectors, each half of the bytes with accumulators of
// its own, so that no addition waits for the one before.
#include "scan_i4.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

constexpr int kPairBytes = kTileItems * kGroup;
constexpr int kLines = 4;  // of a pair of groups

// A vector of sums has the element type of the instructions, as in scan_i8/avx512vnni.cpp.
using Sums = int __attribute__((vector_size(64)));

inline __m512i four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return _mm512_set1_epi32(codes);
}

// M queries; returns whether an item comes near one of them.
template <int M>
inline bool sub_tile(const std::int8_t* const* queries, const std::int32_t* start, const std::int32_t* weights,
                     const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits, std::int32_t* sums,
                     const char* ahead) {
  const std::uint8_t* const shares = codes + n_pairs * kPairBytes;
  _mm_prefetch(ahead + n_pairs * kPairBytes, _MM_HINT_T1);
  Sums low[M][4], high[M][4];
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      low[m][v] = Sums{};
      high[m][v] = Sums{};
    }
  }
  const __m512i half = _mm512_set1_epi8(15);
  for (std::int64_t g = 0; g < n_pairs; ++g) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) _mm_prefetch(ahead + (g * kLines + line) * 64, _MM_HINT_T1);
    __m512i x_low[4], x_high[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512i two = _mm512_loadu_si512(codes + g * kPairBytes + 64 * v);
      x_low[v] = _mm512_and_si512(two, half);
      x_high[v] = _mm512_and_si512(_mm512_srli_epi16(two, 4), half);
    }
#pragma GCC unroll 2
    for (int m = 0; m < M; ++m) {
      const __m512i q_low = four_codes(queries[m] + g * 2 * kGroup);
      const __m512i q_high = four_codes(queries[m] + g * 2 * kGroup + kGroup);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        low[m][v] = Sums(_mm512_dpbusd_epi32(__m512i(low[m][v]), x_low[v], q_low));
        high[m][v] = Sums(_mm512_dpbusd_epi32(__m512i(high[m][v]), x_high[v], q_high));
      }
    }
  }
  bool any = false;
#pragma GCC unroll 2
  for (int m = 0; m < M; ++m) {
    std::uint64_t negative = 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      // Starts are added last, since what they are made of takes a while.
      const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(shares + 16 * v));
      const __m512i strayed = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(sixteen), _mm512_set1_epi32(weights[m]));
      const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(strayed, _mm512_set1_epi32(255)), 8);
      const __m512i from = _mm512_add_epi32(_mm512_set1_epi32(start[m]), rounded);
      const __m512i dot = _mm512_add_epi32(__m512i(low[m][v]), __m512i(high[m][v]));
      low[m][v] = Sums(_mm512_add_epi32(dot, from));
      negative |= std::uint64_t(_mm512_movepi32_mask(__m512i(low[m][v]))) << (16 * v);
    }
    hits[m] = ~negative;
    if (negative == ~std::uint64_t(0)) continue;
    any = true;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) _mm512_store_si512(sums + m * kTileItems + 16 * v, __m512i(low[m][v]));
  }
  return any;
}

}  // namespace

bool scan_tile_i4_avx512vnni(const std::int8_t* const* queries, const std::int32_t* start, const std::int32_t* weights,
                             int n_queries, const std::uint8_t* codes, std::int64_t n_pairs, std::uint64_t* hits,
                             std::int32_t* sums, const std::uint8_t* next) {
  const auto* const ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  bool any = false;
  int m = 0;
  const auto scan = [&](auto sub_tile) {
    any |= sub_tile(queries + m, start + m, weights + m, codes, n_pairs, hits + m, sums + m * kTileItems, ahead);
  };
  for (; m + 2 <= n_queries; m += 2) scan(sub_tile<2>);
  if (m < n_queries) scan(sub_tile<1>);
  return any;
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
