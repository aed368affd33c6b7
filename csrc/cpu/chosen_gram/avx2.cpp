// Kernel `chosen_gram` for AVX2: tiles of 4 by 8 sums in registers.
#include "chosen_gram.hpp"

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

using Doubles = __m256d;
constexpr std::int64_t kVector = 4;
constexpr int kRows = 4;

inline Doubles zeros() { return _mm256_setzero_pd(); }
inline Doubles all(double x) { return _mm256_set1_pd(x); }
inline Doubles load(const double* x) { return _mm256_loadu_pd(x); }
inline void store(double* x, Doubles v) { _mm256_storeu_pd(x, v); }
inline Doubles plus_product(Doubles sum, Doubles a, Doubles b) { return _mm256_add_pd(sum, _mm256_mul_pd(a, b)); }

#include "tiles.hpp"

}  // namespace

void chosen_gram_f64_avx2(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
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
