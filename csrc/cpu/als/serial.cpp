// Op `als` in vectors that every processor of the build has.
#include "als/als.hpp"

#define GPUREC_ALS_NAME(name) name##_serial

namespace gpurec::cpu {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(16)));
constexpr std::int64_t kWide = 4;
constexpr int kTileRows = 4, kTileVectors = 2;
constexpr int kHeldVectors = 4;  // of a row's sums, and as many of what it is multiplied by

inline Floats load(const float* x) {
  Floats v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
inline Doubles load(const double* x) {
  Doubles v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}
inline void store(float* x, Floats v) { __builtin_memcpy(x, &v, sizeof v); }
inline void store(double* x, Doubles v) { __builtin_memcpy(x, &v, sizeof v); }
inline Floats all(float x) { return Floats{x, x, x, x}; }
inline Doubles all(double x) { return Doubles{x, x}; }
inline Floats fused(Floats a, Floats b, Floats c) { return a * b + c; }
inline Doubles fused(Doubles a, Doubles b, Doubles c) { return a * b + c; }
inline Doubles widened(const float* x) { return Doubles{double(x[0]), double(x[1])}; }
inline void store_narrowed(float* x, Doubles v) {
  x[0] = float(v[0]);
  x[1] = float(v[1]);
}
inline Doubles larger(Doubles a, Doubles b) { return Doubles{a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]}; }
inline Floats root(Floats a) {
  return Floats{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
inline float total(Floats v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline void totals4(Floats a, Floats b, Floats c, Floats d, float* out) {
  out[0] = total(a);
  out[1] = total(b);
  out[2] = total(c);
  out[3] = total(d);
}
// The kWide x kWide floats at `from` to `to`, rows as columns.
inline void transpose(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride) {
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

}  // namespace
}  // namespace gpurec::cpu

#include "als/tiles.hpp"
#include "als/solvers.hpp"
