// scan_tile_bf16 for AVX-512 with BF16: six queries by four vectors, 24 accumulators of the 32 registers.
#include "scan_bf16.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

template <int M>
void tile_of(const std::uint32_t* const* queries, const std::uint32_t* tile, std::int64_t n_pairs, const float* start,
             const float* reject, float* scores, std::uint64_t* hits) {
  __m512 sum[M][4];
  const std::uint32_t* q[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    q[m] = queries[m];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[m][v] = _mm512_loadu_ps(start + 16 * v);
  }
  for (std::int64_t g = 0; g < n_pairs; ++g, tile += kTileItems) {
    __m512bh x[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) x[v] = (__m512bh)_mm512_load_si512(tile + 16 * v);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(int(q[m][g]));
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], x[v], pair);
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    const __m512 r = _mm512_set1_ps(reject[m]);
    std::uint64_t bits = 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      _mm512_store_ps(scores + m * kTileItems + 16 * v, sum[m][v]);
      bits |= std::uint64_t(_mm512_cmp_ps_mask(sum[m][v], r, _CMP_NLE_UQ)) << (16 * v);
    }
    hits[m] = bits;
  }
}

using Tile = void (*)(const std::uint32_t* const*, const std::uint32_t*, std::int64_t, const float*, const float*, float*,
                      std::uint64_t*);
constexpr Tile kTiles[kTileQueries] = {tile_of<1>, tile_of<2>, tile_of<3>, tile_of<4>, tile_of<5>, tile_of<6>};

// Sixteen numbers rounded, in the upper halves of 32 bits each; what was taken off is added to the squares.
inline __m512i rounded(__m512 x, __m512& squares) {
  const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), 16);
  const __m512 off = _mm512_sub_ps(x, _mm512_castsi512_ps(upper));
  squares = _mm512_fmadd_ps(off, off, squares);
  return upper;
}

}  // namespace

void scan_tile_bf16_avx512bf16(const std::uint32_t* const* queries, int n_queries, const std::uint32_t* tile,
                               std::int64_t n_pairs, const float* start, const float* reject, float* scores,
                               std::uint64_t* hits) {
  kTiles[n_queries - 1](queries, tile, n_pairs, start, reject, scores, hits);
}

float round_tile_bf16_avx512bf16(const float* panels, std::int64_t d, std::uint32_t* tile) {
  __m512 largest = _mm512_setzero_ps();
  for (int panel = 0; panel < kTilePanels; ++panel, panels += d * kPanelItems, tile += kPanelItems) {
    __m512 squares = _mm512_setzero_ps();
    std::uint32_t* to = tile;
    for (std::int64_t i = 0; i < d; i += 2, to += kTileItems) {
      const __m512i even = rounded(_mm512_loadu_ps(panels + i * kPanelItems), squares);
      __m512i odd = _mm512_setzero_si512();
      if (i + 1 < d) odd = rounded(_mm512_loadu_ps(panels + (i + 1) * kPanelItems), squares);
      _mm512_store_si512(to, _mm512_or_si512(odd, _mm512_srli_epi32(even, 16)));
    }
    largest = _mm512_max_ps(squares, largest);  // the second where the first is NaN
  }
  return _mm512_reduce_max_ps(largest);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
