// scan_tile_f32 for AVX2 with FMA: one panel after another, six queries by two vectors in registers.
#include "scan.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#include "gpurec/scan.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

template <int M>
inline void one_panel(const float* const* queries, const float* panel, std::int64_t d, const float* start,
                  const float* reject, float* scores, std::uint64_t* hits, int first) {
  __m256 sum[M][2];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    sum[m][0] = _mm256_loadu_ps(start + first);
    sum[m][1] = _mm256_loadu_ps(start + first + 8);
  }
  const float* x = panel;
  for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
    const __m256 x0 = _mm256_loadu_ps(x);
    const __m256 x1 = _mm256_loadu_ps(x + 8);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) {
      const __m256 q = _mm256_broadcast_ss(queries[m] + i);
      sum[m][0] = _mm256_fmadd_ps(q, x0, sum[m][0]);
      sum[m][1] = _mm256_fmadd_ps(q, x1, sum[m][1]);
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    const __m256 r = _mm256_set1_ps(reject[m]);
    _mm256_store_ps(scores + m * kTileItems + first, sum[m][0]);
    _mm256_store_ps(scores + m * kTileItems + first + 8, sum[m][1]);
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(sum[m][0], r, _CMP_NLE_UQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(sum[m][1], r, _CMP_NLE_UQ));
    hits[m] |= std::uint64_t(std::uint32_t(low | high << 8)) << first;
  }
}

template <int M>
void tile(const float* const* queries, const float* panels, std::int64_t d, const float* start,
          const float* reject, float* scores, std::uint64_t* hits) {
  for (int m = 0; m < M; ++m) hits[m] = 0;
  for (int first = 0; first < kTileItems; first += kPanelItems) {
    one_panel<M>(queries, panels + first * d, d, start, reject, scores, hits, first);
  }
}

}  // namespace

void scan_tile_f32_avx2(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
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
