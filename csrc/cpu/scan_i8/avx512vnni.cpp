// scan_tile_i8 for AVX-512 with VNNI: six queries by four vectors, 24 accumulators of the 32 registers.
#include "scan_i8.hpp"

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

constexpr int kGroupBytes = kTileItems * kGroup;
constexpr int kLines = 4;  // of a group

// A vector of sums has the element type of the instructions: gcc 12 keeps two copies of an __m512i that it reads both
// as it is and as 16 integers, and spills them.
using Sums = int __attribute__((vector_size(64)));

inline __m512i four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return _mm512_set1_epi32(codes);
}

template <int M>
inline void add_group(const std::int8_t* const (&q)[M], const std::uint8_t* codes, std::int64_t g, Sums (&to)[M][4]) {
  __m512i x[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) x[v] = _mm512_loadu_si512(codes + g * kGroupBytes + 64 * v);
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    const __m512i four = four_codes(q[m] + g * kGroup);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) to[m][v] = Sums(_mm512_dpbusd_epi32(__m512i(to[m][v]), x[v], four));
  }
}

// A bit for each of 64 sums, set where it is negative: packed to bytes, four of them at a time from each vector.
inline std::uint64_t signs(const Sums (&sum)[4]) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_packs_epi32(__m512i(sum[0]), __m512i(sum[1]));
  const __m512i high = _mm512_packs_epi32(__m512i(sum[2]), __m512i(sum[3]));
  return _mm512_movepi8_mask(_mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high)));
}

// M queries, the first of which is number `first`. With each group kLines lines are asked for, `step` bytes apart
// from `ahead` on. Returns how many of the queries an item comes near.
template <int M>
inline __attribute__((always_inline))  // in the loop below, which a call slows down by a tenth at d = 64
int sub_tile(const std::int8_t* const* queries, const std::int32_t* start, const std::uint8_t* codes,
             std::int64_t n_groups, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums,
             const char* ahead, std::int64_t step) {
  constexpr int kChains = M <= 2 ? 2 : 1;  // few queries: groups take turns, so that none waits for the one before
  const std::int8_t* q[M];
  Sums sum[kChains][M][4];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    q[m] = queries[first + m];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sum[0][m][v] = Sums(_mm512_set1_epi32(start[first + m]));
      if (kChains == 2) sum[kChains - 1][m][v] = Sums{};
    }
  }
  std::int64_t g = 0;
  const auto next_group = [&](Sums (&to)[M][4]) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) _mm_prefetch(ahead + line * step, _MM_HINT_T0);
    ahead += kLines * step;
    add_group<M>(q, codes, g++, to);
  };
  while (g + kChains <= n_groups) {
    next_group(sum[0]);
    if (kChains == 2) next_group(sum[kChains - 1]);
  }
  if (kChains == 2) {
    if (g < n_groups) next_group(sum[0]);
#pragma GCC unroll 2
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        sum[0][m][v] = Sums(_mm512_add_epi32(__m512i(sum[0][m][v]), __m512i(sum[kChains - 1][m][v])));
      }
    }
  }
  // All sums of nearly every sub-tile are negative, which one test tells. Row by row: a single chain of 12 instructions
  // would hold up the next sub-tile, by a tenth at d = 64.
  __m512i all[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    all[m] = _mm512_and_epi32(__m512i(sum[0][m][0]), __m512i(sum[0][m][1]));
    all[m] = _mm512_ternarylogic_epi32(all[m], __m512i(sum[0][m][2]), __m512i(sum[0][m][3]), 0x80);
  }
#pragma GCC unroll 6
  for (int m = 1; m + 1 < M; m += 2) all[0] = _mm512_ternarylogic_epi32(all[0], all[m], all[m + 1], 0x80);
  if (M % 2 == 0) all[0] = _mm512_and_epi32(all[0], all[M - 1]);
  if (__builtin_expect(_mm512_movepi32_mask(all[0]) == 0xffff, 1)) return 0;
  // Every row is written, and kept or not without a branch that nobody could predict.
  int n = 0;
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    const std::uint64_t reached = ~signs(sum[0][m]);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) _mm512_store_si512(sums + n * kTileItems + 16 * v, __m512i(sum[0][m][v]));
    near[n] = first + m;
    hits[n] = reached;
    n += reached != 0;
  }
  return n;
}

using SubTile = int (*)(const std::int8_t* const*, const std::int32_t*, const std::uint8_t*, std::int64_t, int,
                        std::int32_t*, std::uint64_t*, std::int32_t*, const char*, std::int64_t);
constexpr SubTile kSubTiles[kTileQueries] = {nullptr, sub_tile<1>, sub_tile<2>, sub_tile<3>, sub_tile<4>, sub_tile<5>};

}  // namespace

int scan_tile_i8_avx512vnni(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                            const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                            std::int32_t* sums, const std::uint8_t* next) {
  // All sub-tiles ask for what comes next, each for its share. To ask for a line twice costs next to nothing, and so
  // does asking for the tile itself where nothing comes.
  const auto* ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  const int n_tiles = (n_queries + kTileQueries - 1) / kTileQueries;
  const std::int64_t step = (64 + n_tiles - 1) / n_tiles;
  int first = 0, n_near = 0;
  for (; first + kTileQueries <= n_queries; first += kTileQueries, ahead += n_groups * kLines * step) {
    n_near += sub_tile<kTileQueries>(queries, start, codes, n_groups, first, near + n_near, hits + n_near,
                                     sums + n_near * kTileItems, ahead, step);
  }
  if (first == n_queries) return n_near;
  return n_near + kSubTiles[n_queries - first](queries, start, codes, n_groups, first, near + n_near, hits + n_near,
                                               sums + n_near * kTileItems, ahead, step);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
