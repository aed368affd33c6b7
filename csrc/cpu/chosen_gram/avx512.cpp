// Kernel `chosen_gram` for AVX-512: tiles of 8 by 8 sums in registers.
#include "chosen_gram.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

using Doubles = __m512d;
constexpr std::int64_t kVector = 8;
constexpr int kRows = 8;

inline Doubles zeros() { return _mm512_setzero_pd(); }
inline Doubles all(double x) { return _mm512_set1_pd(x); }
inline Doubles load(const double* x) { return _mm512_loadu_pd(x); }
inline void store(double* x, Doubles v) { _mm512_storeu_pd(x, v); }
inline Doubles plus_product(Doubles sum, Doubles a, Doubles b) { return _mm512_add_pd(sum, _mm512_mul_pd(a, b)); }

#include "tiles.hpp"

}  // namespace

void chosen_gram_f64_avx512(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
                          std::int64_t stride, std::int64_t width, double* gram, double* sums) {
  add_all(rows, weights, n, x, stride, width, gram, sums);
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
