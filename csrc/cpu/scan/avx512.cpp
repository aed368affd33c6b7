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

template <int M>
void tile(const float* const* queries, const float* panels, std::int64_t d, const float* start,
          const float* reject, float* scores, std::uint64_t* hits) {
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

void scan_tile_f32_avx512(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                          const float* start, const float* reject, float* scores, std::uint64_t* hits) {
  switch (n_queries) {
    case 1: return tile<1>(queries, panels, d, start, reject, scores, hits);
    case 2: return tile<2>(queries, panels, d, start, reject, scores, hits);
    case 3: return tile<3>(queries, panels, d, start, reject, scores, hits);
    case 4: return tile<4>(queries, panels, d, start, reject, scores, hits);
    case 5: return tile<5>(queries, panels, d, start, reject, scores, hits);
    default: return tile<6>(queries, panels, d, start, reject, scores, hits);
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
