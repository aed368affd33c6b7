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
                      const float* reject, float* scores, std::uint64_t* hits, int first, const float* next) {
  __m256 sum[M][2];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    sum[m][0] = _mm256_loadu_ps(start + first);
    sum[m][1] = _mm256_loadu_ps(start + first + 8);
  }
  const float* x = panel;
  for (std::int64_t i = 0; i < d; ++i, x += kPanelItems) {
    _mm_prefetch(reinterpret_cast<const char*>(next + i * kPanelItems), _MM_HINT_T1);
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
          const float* reject, float* scores, std::uint64_t* hits, const float* next, int n_next) {
  for (int m = 0; m < M; ++m) hits[m] = 0;
  for (int p = 0; p < kTilePanels; ++p) {
    const float* const panel = panels + p * kPanelItems * d;
    // With nothing more to ask for, asking for the panel itself costs nothing.
    const float* const ahead = p < n_next ? next + p * kPanelItems * d : panel;
    one_panel<M>(queries, panel, d, start, reject, scores, hits, p * kPanelItems, ahead);
  }
}

}  // namespace

void scan_tile_f32_avx2(const float* const* queries, int n_queries, const float* panels, std::int64_t d,
                        const float* start, const float* reject, float* scores, std::uint64_t* hits,
                        const float* next, int n_next) {
  switch (n_queries) {
    case 1: return tile<1>(queries, panels, d, start, reject, scores, hits, next, n_next);
    case 2: return tile<2>(queries, panels, d, start, reject, scores, hits, next, n_next);
    case 3: return tile<3>(queries, panels, d, start, reject, scores, hits, next, n_next);
    case 4: return tile<4>(queries, panels, d, start, reject, scores, hits, next, n_next);
    case 5: return tile<5>(queries, panels, d, start, reject, scores, hits, next, n_next);
    default: return tile<6>(queries, panels, d, start, reject, scores, hits, next, n_next);
  }
}

namespace {

// Floats from a load to what is fetched for later; without it 1 M x 128 takes half as long again. Addresses past
// the last row are asked for in vain.
constexpr std::int64_t kRowsAhead = 2048;
constexpr int kRowsAtOnce = 4;

// Lane j is the sum of the lanes of v[j]: halves of pairs are added until one vector is left.
inline __m256 sums_of(__m256 (&v)[8]) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    v[j] = _mm256_add_ps(_mm256_unpacklo_ps(v[2 * j], v[2 * j + 1]), _mm256_unpackhi_ps(v[2 * j], v[2 * j + 1]));
  }
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    v[j] = _mm256_add_ps(_mm256_shuffle_ps(v[2 * j], v[2 * j + 1], 0x44), _mm256_shuffle_ps(v[2 * j], v[2 * j + 1], 0xee));
  }
  return _mm256_add_ps(_mm256_permute2f128_ps(v[0], v[1], 0x20), _mm256_permute2f128_ps(v[0], v[1], 0x31));
}

}  // namespace

void scan_rows_f32_avx2(const float* query, const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d,
                        float* scores, float* squares) {
  const __m256i rest = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(d % 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (int first = 0; first < kTileItems; first += kRowsAtOnce) {
    const float* x[kRowsAtOnce];
    __m256 sum[2 * kRowsAtOnce];  // the rows' dots, then their squares
#pragma GCC unroll 4
    for (int j = 0; j < kRowsAtOnce; ++j) {
      x[j] = rows + (first + j < n_rows ? first + j : n_rows - 1) * row_stride;
      sum[j] = sum[kRowsAtOnce + j] = _mm256_setzero_ps();
    }
    std::int64_t i = 0;
    for (; i + 8 <= d; i += 8) {
      const __m256 q = _mm256_loadu_ps(query + i);
#pragma GCC unroll 4
      for (int j = 0; j < kRowsAtOnce; ++j) {
        const __m256 v = _mm256_loadu_ps(x[j] + i);
        _mm_prefetch(reinterpret_cast<const char*>(x[j] + i + kRowsAhead), _MM_HINT_T0);
        sum[j] = _mm256_fmadd_ps(q, v, sum[j]);
        sum[kRowsAtOnce + j] = _mm256_fmadd_ps(v, v, sum[kRowsAtOnce + j]);
      }
    }
    if (i < d) {
      const __m256 q = _mm256_maskload_ps(query + i, rest);
#pragma GCC unroll 4
      for (int j = 0; j < kRowsAtOnce; ++j) {
        const __m256 v = _mm256_maskload_ps(x[j] + i, rest);
        sum[j] = _mm256_fmadd_ps(q, v, sum[j]);
        sum[kRowsAtOnce + j] = _mm256_fmadd_ps(v, v, sum[kRowsAtOnce + j]);
      }
    }
    const __m256 sums = sums_of(sum);
    _mm_storeu_ps(scores + first, _mm256_castps256_ps128(sums));
    _mm_storeu_ps(squares + first, _mm256_extractf128_ps(sums, 1));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
