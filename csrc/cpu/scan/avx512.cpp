// scan_tile_f32 for AVX-512: six queries by four vectors, 24 accumulators of the 32 registers.
#include "scan.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include "gpurec/scan.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

// M queries; N panels are asked for, into the cache that H names.
template <int M, int N, _mm_hint H>
void tile(const float* const* queries, const float* panels, std::int64_t d, const float* start,
          const float* reject, float* scores, std::uint64_t* hits, const float* next) {
  __m512 sum[M][4];
  const float* q[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    q[m] = queries[m];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[m][v] = _mm512_loadu_ps(start + 16 * v);
  }
  const float* x = panels;
  const std::int64_t panel = d * kPanelItems;
  for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) _mm_prefetch(reinterpret_cast<const char*>(next + n * panel + i * kPanelItems), H);
    const __m512 x0 = _mm512_loadu_ps(x);
    const __m512 x1 = _mm512_loadu_ps(x + panel);
    const __m512 x2 = _mm512_loadu_ps(x + 2 * panel);
    const __m512 x3 = _mm512_loadu_ps(x + 3 * panel);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m512 b = _mm512_set1_ps(q[m][i]);
      sum[m][0] = _mm512_fmadd_ps(b, x0, sum[m][0]);
      sum[m][1] = _mm512_fmadd_ps(b, x1, sum[m][1]);
      sum[m][2] = _mm512_fmadd_ps(b, x2, sum[m][2]);
      sum[m][3] = _mm512_fmadd_ps(b, x3, sum[m][3]);
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    const __m512 r = _mm512_set1_ps(reject[m]);
    std::uint64_t bits = 0;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      _mm512_store_ps(scores + m * kTileItems + 16 * v, sum[m][v]);
      const __mmask16 hit = _mm512_cmp_ps_mask(sum[m][v], r, _CMP_NLE_UQ);
      bits |= std::uint64_t(hit) << (16 * v);
    }
    hits[m] = bits;
  }
}

}  // namespace

namespace {

using Tile = void (*)(const float* const*, const float*, std::int64_t, const float*, const float*, float*,
                      std::uint64_t*, const float*);

template <int N, _mm_hint H>
Tile tile_of(int n_queries) {
  constexpr Tile tiles[kTileQueries] = {tile<1, N, H>, tile<2, N, H>, tile<3, N, H>,
                                        tile<4, N, H>, tile<5, N, H>, tile<6, N, H>};
  return tiles[n_queries - 1];
}

template <_mm_hint H>
Tile tile_of(int n_queries, int n_next) {
  return n_next == 4 ? tile_of<4, H>(n_queries) : n_next == 2 ? tile_of<2, H>(n_queries) : tile_of<1, H>(n_queries);
}

}  // namespace

void scan_tile_f32_avx512(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits,
                          const float* next, int n_next) {
  constexpr std::int64_t kWidestInFirstCache = 64;  // of this tile and the next one, 32 KB together
  const Tile chosen = n_next == 0                ? tile_of<0, _MM_HINT_T0>(n_queries)
                      : d <= kWidestInFirstCache ? tile_of<_MM_HINT_T0>(n_queries, n_next)
                                                 : tile_of<_MM_HINT_T1>(n_queries, n_next);
  chosen(queries, panels, d, start, reject, scores, hits, next);
}

namespace {

// Floats from a load to what is fetched for later; without it 1 M x 128 takes half as long again. Addresses past
// the last row are asked for in vain.
constexpr std::int64_t kRowsAhead = 2048;
constexpr int kRowsAtOnce = 8;

// Lane j is the sum of the lanes of v[j]: halves of pairs are added until one vector is left.
inline __m512 sums_of(__m512 (&v)[16]) {
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    v[j] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * j], v[2 * j + 1]), _mm512_unpackhi_ps(v[2 * j], v[2 * j + 1]));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    v[j] = _mm512_add_ps(_mm512_shuffle_ps(v[2 * j], v[2 * j + 1], 0x44), _mm512_shuffle_ps(v[2 * j], v[2 * j + 1], 0xee));
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    v[j] = _mm512_add_ps(_mm512_shuffle_f32x4(v[2 * j], v[2 * j + 1], 0x88),
                         _mm512_shuffle_f32x4(v[2 * j], v[2 * j + 1], 0xdd));
  }
  return _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
}

}  // namespace

void scan_rows_f32_avx512(const float* query, const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d,
                          float* scores, float* squares) {
  const __mmask16 rest = __mmask16((1u << (d % 16)) - 1);
  for (int first = 0; first < kTileItems; first += kRowsAtOnce) {
    const float* x[kRowsAtOnce];
    __m512 sum[2 * kRowsAtOnce];  // the rows' dots, then their squares
#pragma GCC unroll 8
    for (int j = 0; j < kRowsAtOnce; ++j) {
      x[j] = rows + (first + j < n_rows ? first + j : n_rows - 1) * row_stride;
      sum[j] = sum[kRowsAtOnce + j] = _mm512_setzero_ps();
    }
    std::int64_t i = 0;
    for (; i + 16 <= d; i += 16) {
      const __m512 q = _mm512_loadu_ps(query + i);
#pragma GCC unroll 8
      for (int j = 0; j < kRowsAtOnce; ++j) {
        const __m512 v = _mm512_loadu_ps(x[j] + i);
        _mm_prefetch(reinterpret_cast<const char*>(x[j] + i + kRowsAhead), _MM_HINT_T0);
        sum[j] = _mm512_fmadd_ps(q, v, sum[j]);
        sum[kRowsAtOnce + j] = _mm512_fmadd_ps(v, v, sum[kRowsAtOnce + j]);
      }
    }
    if (rest != 0) {
      const __m512 q = _mm512_maskz_loadu_ps(rest, query + i);
#pragma GCC unroll 8
      for (int j = 0; j < kRowsAtOnce; ++j) {
        const __m512 v = _mm512_maskz_loadu_ps(rest, x[j] + i);
        sum[j] = _mm512_fmadd_ps(q, v, sum[j]);
        sum[kRowsAtOnce + j] = _mm512_fmadd_ps(v, v, sum[kRowsAtOnce + j]);
      }
    }
    const __m512 sums = sums_of(sum);
    _mm256_storeu_ps(scores + first, _mm512_castps512_ps256(sums));
    _mm256_storeu_ps(squares + first, _mm512_extractf32x8_ps(sums, 1));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
