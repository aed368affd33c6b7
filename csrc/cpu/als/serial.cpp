// Op `als` in vectors that every processor of the build has.
#include "als.hpp"

#define GPUREC_ALS_NAME(name) name##_serial

namespace gpurec::cpu {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef double Doubles __attribute__((vector_size(16)));
constexpr std::int64_t kWide = 4;
constexpr int kTileRows = 4, kTileVectors = 2;

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

#include "rows.hpp"
