// Kernel `scan_i8` for AVX2: the products of two groups are added in 16 bits, which hold them
// since the query was coded for that (codes.hpp).
#include "scan_i8.hpp"

#include <cstddef>

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

constexpr int kGroupBytes = kTileItems * kGroup;
constexpr int kVectors = kTileItems / 8;
constexpr int kQueries = 10;  // of a sub-tile: more share the work of splitting an item's bytes
constexpr int kChunk = 64;  // groups whose query codes lie together
static_assert(255 * kMostOfWord < 1 << 15 && kChunk % 2 == 0, "16 bits hold the products of two groups");

// A vector of sums has the element type of the instructions: gcc 12 keeps two copies of an __m256i that it reads both
// as it is and as 8 integers, and spills them.
using Sums = int __attribute__((vector_size(32)));

inline Sums sum_of(Sums a, __m256i b) { return Sums(_mm256_add_epi32(__m256i(a), b)); }

inline __m256i four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return _mm256_set1_epi32(codes);
}

// The codes of a query for a chunk of groups: rows of one length need no pointers, of which there are too few.
struct Chunk {
  alignas(32) std::int8_t codes[kChunk * kGroup];
};

inline void copy_codes(const std::int8_t* codes, std::int64_t n, std::int8_t* to) {
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + i), some);
  }
  for (; i < n; i += kGroup) __builtin_memcpy(to + i, codes + i, kGroup);
}

// Adds n_groups groups of M queries and W vectors of items to rows of `sums`, which begin with `start` where it is not
// null. With each group a line is asked for, from `ahead` on. Returns the and of the sums.
template <int M, int W>
inline Sums strip(const Chunk (&queries)[M], const std::int32_t* start, const std::uint8_t* codes,
                  std::int64_t n_groups, std::int32_t* sums, const char* ahead, std::int64_t step) {
  Sums sum[M][W];
#pragma GCC unroll 10
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) {
      const auto* row = reinterpret_cast<const __m256i*>(sums + m * kTileItems + 8 * v);
      sum[m][v] = Sums(start != nullptr ? _mm256_set1_epi32(start[m]) : _mm256_load_si256(row));
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
  const std::int64_t n_codes = n_groups * kGroup;
  std::int64_t i = 0;
  for (; i + 2 * kGroup <= n_codes; i += 2 * kGroup, codes += 2 * kGroupBytes, ahead += 2 * W * step) {
    _mm_prefetch(ahead, _MM_HINT_T0);
    _mm_prefetch(ahead + W * step, _MM_HINT_T0);
    __m256i x[W], y[W];
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) {
      x[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32 * v));
      y[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + kGroupBytes + 32 * v));
    }
#pragma GCC unroll 10
    for (int m = 0; m < M; ++m) {
      const __m256i of_x = four_codes(queries[m].codes + i), of_y = four_codes(queries[m].codes + i + kGroup);
#pragma GCC unroll 8
      for (int v = 0; v < W; ++v) {
        const __m256i words = _mm256_add_epi16(_mm256_maddubs_epi16(x[v], of_x), _mm256_maddubs_epi16(y[v], of_y));
        sum[m][v] = sum_of(sum[m][v], _mm256_madd_epi16(words, ones));
      }
    }
  }
  if (i < n_codes) {
    _mm_prefetch(ahead, _MM_HINT_T0);
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32 * v));
#pragma GCC unroll 10
      for (int m = 0; m < M; ++m) {
        const __m256i words = _mm256_maddubs_epi16(x, four_codes(queries[m].codes + i));
        sum[m][v] = sum_of(sum[m][v], _mm256_madd_epi16(words, ones));
      }
    }
  }
  Sums all = sum[0][0];
#pragma GCC unroll 10
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < W; ++v) {
      all &= sum[m][v];
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + m * kTileItems + 8 * v), __m256i(sum[m][v]));
    }
  }
  return all;
}

// M queries, the first of which is number `first`. Returns how many of them an item comes near.
template <int M>
int sub_tile(const std::int8_t* const* queries, const std::int32_t* start, const std::uint8_t* codes,
             std::int64_t n_groups, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums,
             const char* ahead, std::int64_t step) {
  constexpr int W = M <= 3 ? 2 : 1;  // what 16 registers hold
  Chunk chunk[M];
  Sums all = Sums(_mm256_set1_epi32(-1));
  for (std::int64_t g = 0; g < n_groups; g += kChunk) {
    const std::int64_t n = n_groups - g < kChunk ? n_groups - g : kChunk;
    for (int m = 0; m < M; ++m) copy_codes(queries[first + m] + g * kGroup, n * kGroup, chunk[m].codes);
    const std::int32_t* const from = g == 0 ? start + first : nullptr;
    all = Sums(_mm256_set1_epi32(-1));
    for (int v = 0; v < kVectors; v += W, ahead += n * W * step) {
      all &= strip<M, W>(chunk, from, codes + g * kGroupBytes + 32 * v, n, sums + 8 * v, ahead, step);
    }
  }
  // All sums of nearly every sub-tile are negative, which one test tells.
  if (__builtin_expect(_mm256_movemask_ps(_mm256_castsi256_ps(__m256i(all))) == 0xff, 1)) return 0;
  return keep_near_avx2(M, first, near, hits, sums);
}

using SubTile = int (*)(const std::int8_t* const*, const std::int32_t*, const std::uint8_t*, std::int64_t, int,
                        std::int32_t*, std::uint64_t*, std::int32_t*, const char*, std::int64_t);
constexpr SubTile kSubTiles[kQueries + 1] = {nullptr,     sub_tile<1>, sub_tile<2>, sub_tile<3>,
                                             sub_tile<4>, sub_tile<5>, sub_tile<6>, sub_tile<7>,
                                             sub_tile<8>, sub_tile<9>, sub_tile<10>};

}  // namespace

int keep_near_avx2(int n_queries, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums) {
  int n = 0;
  for (int m = 0; m < n_queries; ++m) {
    std::uint64_t negative = 0;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + m * kTileItems + 8 * v));
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums + n * kTileItems + 8 * v), x);
      negative |= std::uint64_t(_mm256_movemask_ps(_mm256_castsi256_ps(x))) << (8 * v);
    }
    near[n] = first + m;
    hits[n] = ~negative;
    n += ~negative != 0;
  }
  return n;
}

int scan_tile_i8_avx2(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                      const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                      std::int32_t* sums, const std::uint8_t* next) {
  // All sub-tiles ask for what comes next, each for its share. To ask for a line twice costs next to nothing, and so
  // does asking for the tile itself where nothing comes.
  const auto* ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  const int n_tiles = (n_queries + kQueries - 1) / kQueries;
  const std::int64_t step = (32 + n_tiles - 1) / n_tiles;
  int n_near = 0;
  for (int first = 0; first < n_queries; first += kQueries, ahead += n_groups * kVectors * step) {
    const int n = n_queries - first < kQueries ? n_queries - first : kQueries;
    n_near += kSubTiles[n](queries, start, codes, n_groups, first, near + n_near, hits + n_near,
                           sums + n_near * kTileItems, ahead, step);
  }
  return n_near;
}

namespace {

inline __m256 magnitude(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

}  // namespace

void start_values_i8_avx2(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile, std::int32_t* start) {
  const __m256 shift = _mm256_set1_ps(tile.shift);
  int m = 0;
  for (; m + 8 <= n_queries; m += 8) {
    const __m256 below = _mm256_loadu_ps(queries.below + m);
    const __m256 of_query = _mm256_mul_ps(_mm256_loadu_ps(queries.error + m), _mm256_set1_ps(tile.norm));
    const __m256 of_tile = _mm256_mul_ps(_mm256_loadu_ps(queries.length + m), _mm256_set1_ps(tile.error));
    const __m256 error = _mm256_mul_ps(_mm256_add_ps(of_query, of_tile), _mm256_set1_ps(1.0f + 0x1p-20f));
    const __m256 sizes = _mm256_add_ps(magnitude(below), magnitude(shift));
    const __m256 slack = _mm256_mul_ps(sizes, _mm256_set1_ps(0x1p-22f));
    const __m256 least = _mm256_sub_ps(_mm256_sub_ps(_mm256_add_ps(below, shift), slack), error);
    const __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(least, _mm256_loadu_ps(queries.inverse_scale + m)),
                                        _mm256_set1_ps(tile.inverse_scale));
    const __m256 rounding = _mm256_mul_ps(magnitude(scaled), _mm256_set1_ps(0x1p-20f));
    __m256 bound = _mm256_sub_ps(_mm256_sub_ps(scaled, rounding), _mm256_set1_ps(1.0f));
    // Of a NaN the maximum is its second operand.
    bound = _mm256_min_ps(_mm256_max_ps(bound, _mm256_set1_ps(-0x1p30f)), _mm256_set1_ps(0x1p30f));
    const __m256i most_of_no_use = _mm256_cvttps_epi32(_mm256_floor_ps(bound));
    const __m256i offset = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(queries.offset + m));
    // x + ~y is x - y - 1
    const __m256i value = _mm256_add_epi32(offset, _mm256_xor_si256(most_of_no_use, _mm256_set1_epi32(-1)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(start + m), value);
  }
  const StartTermsI8 rest = {queries.below + m, queries.length + m, queries.error + m, queries.inverse_scale + m,
                             queries.offset + m};
  start_values_i8_serial(rest, n_queries - m, tile, start + m);
}

void scores_of_sums_avx2(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores) {
  for (int j = 0; j < kTileItems; j += 8) {
    const __m256i sum = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + j));
    const __m256i dot = _mm256_add_epi32(sum, _mm256_set1_epi32(add));
    const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dot), _mm256_set1_ps(scale));
    _mm256_storeu_ps(scores + j, _mm256_sub_ps(product, _mm256_set1_ps(shift)));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
