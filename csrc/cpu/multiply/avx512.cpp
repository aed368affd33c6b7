// Kernel `multiply` for AVX-512: six queries by four vectors, 24 accumulators of the 32 registers.
#include "multiply.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include "gpurec/bounds.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

// What becomes of a product: added to its sum in one rounding or in two, or made a distance at the end.
enum class Sum { fused, in_order, distance };

struct Squares {
  const float* of_queries;
  const float* of_items;
  std::uint64_t* close;
};

template <Sum kSum>
inline __m512 add_product(__m512 a, __m512 b, __m512 sum) {
  return kSum == Sum::in_order ? _mm512_add_ps(sum, _mm512_mul_ps(a, b)) : _mm512_fmadd_ps(a, b, sum);
}

template <int M, Sum kSum>
void tile(const float* const* queries, const float* panels, std::int64_t d, const Squares& squares, TileOut out) {
  __m512 sum[M][4];
  const float* q[M];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    q[m] = queries[m];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[m][v] = _mm512_setzero_ps();
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
      sum[m][0] = add_product<kSum>(b, x0, sum[m][0]);
      sum[m][1] = add_product<kSum>(b, x1, sum[m][1]);
      sum[m][2] = add_product<kSum>(b, x2, sum[m][2]);
      sum[m][3] = add_product<kSum>(b, x3, sum[m][3]);
    }
  }
  if (kSum == Sum::distance) {
    const __m512 two = _mm512_set1_ps(2.0f);
    const __m512 share = _mm512_set1_ps(-kCloseShare);
    const __m512 smallest = _mm512_set1_ps(-kSmallestTrustedDistance);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m512 of_query = _mm512_set1_ps(squares.of_queries[m]);
      std::uint64_t close = 0;
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m512 both = _mm512_add_ps(of_query, _mm512_loadu_ps(squares.of_items + 16 * v));
        sum[m][v] = _mm512_fmsub_ps(two, sum[m][v], both);
        const __m512 least = _mm512_min_ps(_mm512_mul_ps(share, both), smallest);
        const __mmask16 untrusted = _mm512_cmp_ps_mask(sum[m][v], least, _CMP_NLE_UQ);
        close |= std::uint64_t(untrusted) << (16 * v);
      }
      squares.close[m] = close;
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    float* const scores = out.data + m * out.row_stride;
    if (out.stream) {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) _mm512_stream_ps(scores + 16 * v, sum[m][v]);
    } else {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) _mm512_storeu_ps(scores + 16 * v, sum[m][v]);
    }
  }
}

template <Sum kSum>
void tile_of(const float* const* queries, int n_queries, const float* panels, std::int64_t d, const Squares& squares,
             TileOut out) {
  switch (n_queries) {
    case 1: return tile<1, kSum>(queries, panels, d, squares, out);
    case 2: return tile<2, kSum>(queries, panels, d, squares, out);
    case 3: return tile<3, kSum>(queries, panels, d, squares, out);
    case 4: return tile<4, kSum>(queries, panels, d, squares, out);
    case 5: return tile<5, kSum>(queries, panels, d, squares, out);
    default: return tile<6, kSum>(queries, panels, d, squares, out);
  }
}

}  // namespace

void multiply_tile_f32_avx512(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              TileOut out) {
  tile_of<Sum::fused>(queries, n_queries, panels, d, {}, out);
}

void multiply_in_order_f32_avx512(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                                  TileOut out) {
  tile_of<Sum::in_order>(queries, n_queries, panels, d, {}, out);
}

void distance_tile_f32_avx512(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                              const float* query_squares, const float* item_squares, TileOut out,
                              std::uint64_t* close) {
  tile_of<Sum::distance>(queries, n_queries, panels, d, {query_squares, item_squares, close}, out);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
