// scan_tile_i8 for AVX-VNNI: strips of two vectors by six queries, 12 accumulators of the 16 registers.
#include "scan_i8.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avxvnni,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avxvnni,avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

constexpr int kGroupBytes = kTileItems * kGroup;
constexpr int kVectors = kTileItems / 8;

// A vector of sums has the element type of the instructions: gcc 12 keeps two copies of an __m256i that it reads both
// as it is and as 8 integers, and spills them.
using Sums = int __attribute__((vector_size(32)));

inline __m256i four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return _mm256_set1_epi32(codes);
}

// M queries by W vectors of items from vector `left` on: their sums are stored in rows of `sums`. With each group W/2
// lines are asked for, `step` bytes apart from `ahead` on. Returns the and of the sums.
template <int M, int W>
inline Sums strip(const std::int8_t* const* queries, const std::int32_t* start, const std::uint8_t* codes,
                  std::int64_t n_groups, int left, std::int32_t* sums, const char* ahead, std::int64_t step) {
  const std::int8_t* q[M];
  Sums sum[M][W];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    q[m] = queries[m];
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) sum[m][v] = Sums(_mm256_set1_epi32(start[m]));
  }
  codes += 32 * left;
  for (std::int64_t g = 0; g < n_groups; ++g, codes += kGroupBytes) {
#pragma GCC unroll 4
    for (int line = 0; line < W / 2; ++line, ahead += step) _mm_prefetch(ahead, _MM_HINT_T0);
    __m256i x[W];
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) x[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32 * v));
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m256i four = four_codes(q[m] + g * kGroup);
#pragma GCC unroll 8
      for (int v = 0; v < W; ++v) sum[m][v] = Sums(_mm256_dpbusd_avx_epi32(__m256i(sum[m][v]), x[v], four));
    }
  }
  Sums all = sum[0][0];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) {
      all &= sum[m][v];
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + m * kTileItems + 8 * (left + v)), __m256i(sum[m][v]));
    }
  }
  return all;
}

// M queries, the first of which is number `first`. Returns how many of them an item comes near.
template <int M>
int sub_tile(const std::int8_t* const* queries, const std::int32_t* start, const std::uint8_t* codes,
             std::int64_t n_groups, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums,
             const char* ahead, std::int64_t step) {
  // Few queries have wider strips, so that enough sums are in flight.
  constexpr int W = M == 1 ? 8 : M == 2 ? 4 : 2;
  Sums all = Sums(_mm256_set1_epi32(-1));
  for (int left = 0; left < kVectors; left += W, ahead += n_groups * (W / 2) * step) {
    all &= strip<M, W>(queries + first, start + first, codes, n_groups, left, sums, ahead, step);
  }
  // All sums of nearly every sub-tile are negative, which one test tells.
  if (__builtin_expect(_mm256_movemask_ps(_mm256_castsi256_ps(__m256i(all))) == 0xff, 1)) return 0;
  return keep_near_avx2(M, first, near, hits, sums);
}

using SubTile = int (*)(const std::int8_t* const*, const std::int32_t*, const std::uint8_t*, std::int64_t, int,
                        std::int32_t*, std::uint64_t*, std::int32_t*, const char*, std::int64_t);
constexpr SubTile kSubTiles[kTileQueries + 1] = {nullptr,     sub_tile<1>, sub_tile<2>, sub_tile<3>,
                                                 sub_tile<4>, sub_tile<5>, sub_tile<6>};

}  // namespace

int scan_tile_i8_avxvnni(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                         const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                         std::int32_t* sums, const std::uint8_t* next) {
  // All sub-tiles ask for what comes next, each for its share. To ask for a line twice costs next to nothing, and so
  // does asking for the tile itself where nothing comes.
  const auto* ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  const int n_tiles = (n_queries + kTileQueries - 1) / kTileQueries;
  const std::int64_t step = (64 + n_tiles - 1) / n_tiles;
  int n_near = 0;
  for (int first = 0; first < n_queries; first += kTileQueries, ahead += n_groups * (kVectors / 2) * step) {
    const int n = n_queries - first < kTileQueries ? n_queries - first : kTileQueries;
    n_near += kSubTiles[n](queries, start, codes, n_groups, first, near + n_near, hits + n_near,
                           sums + n_near * kTileItems, ahead, step);
  }
  return n_near;
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
