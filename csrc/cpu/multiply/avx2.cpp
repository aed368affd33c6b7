// Kernel `multiply` for AVX2 with FMA: one panel after another, six queries by two vectors in registers.
#include "multiply.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include "gpurec/bounds.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
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
inline __m256 add_product(__m256 a, __m256 b, __m256 sum) {
  return kSum == Sum::in_order ? _mm256_add_ps(sum, _mm256_mul_ps(a, b)) : _mm256_fmadd_ps(a, b, sum);
}

template <int M, Sum kSum>
inline void one_panel(const float* const* queries, const float* panel, std::int64_t d, const Squares& squares,
                      TileOut out, int first) {
  __m256 sum[M][2];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) sum[m][0] = sum[m][1] = _mm256_setzero_ps();
  const float* x = panel;
  for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
    const __m256 x0 = _mm256_loadu_ps(x);
    const __m256 x1 = _mm256_loadu_ps(x + 8);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m256 q = _mm256_broadcast_ss(queries[m] + i);
      sum[m][0] = add_product<kSum>(q, x0, sum[m][0]);
      sum[m][1] = add_product<kSum>(q, x1, sum[m][1]);
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    float* const scores = out.data + m * out.row_stride + first;
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      __m256 score = sum[m][v];
      if (kSum == Sum::distance) {
        const __m256 both = _mm256_add_ps(_mm256_broadcast_ss(squares.of_queries + m),
                                          _mm256_loadu_ps(squares.of_items + first + 8 * v));
        score = _mm256_fmsub_ps(_mm256_set1_ps(2.0f), score, both);
        const __m256 least = _mm256_min_ps(_mm256_mul_ps(_mm256_set1_ps(-kCloseShare), both),
                                           _mm256_set1_ps(-kSmallestTrustedDistance));
        const int untrusted = _mm256_movemask_ps(_mm256_cmp_ps(score, least, _CMP_NLE_UQ));
        squares.close[m] |= std::uint64_t(std::uint32_t(untrusted)) << (first + 8 * v);
      }
      if (out.stream) {
        _mm256_stream_ps(scores + 8 * v, score);
      } else {
        _mm256_storeu_ps(scores + 8 * v, score);
      }
    }
  }
}

template <int M, Sum kSum>
void tile(const float* const* queries, const float* panels, std::int64_t d, const Squares& squares, TileOut out) {
  for (int m = 0; kSum == Sum::distance && m < M; ++m) squares.close[m] = 0;
  for (int first = 0; first < kTileItems; first += kPanelItems) {
    one_panel<M, kSum>(queries, panels + first * d, d, squares, out, first);
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

void multiply_tile_f32_avx2(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                            TileOut out) {
  tile_of<Sum::fused>(queries, n_queries, panels, d, {}, out);
}

void multiply_in_order_f32_avx2(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                                TileOut out) {
  tile_of<Sum::in_order>(queries, n_queries, panels, d, {}, out);
}

void distance_tile_f32_avx2(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                            const float* query_squares, const float* item_squares, TileOut out, std::uint64_t* close) {
  tile_of<Sum::distance>(queries, n_queries, panels, d, {query_squares, item_squares, close}, out);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
