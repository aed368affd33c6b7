// Kernel `sgd`, plain C++: the form that the others are checked against and that any processor runs.
#include <cstdint>

#include "sgd.hpp"

namespace gpurec::cpu {
namespace {

constexpr int kWidth = 8;

struct Vec {
  float lane[kWidth];
};
using Part = std::int64_t;  // so many, the first ones

inline Part first(std::int64_t n) { return n; }
inline Vec splat(float value) {
  Vec v;
  for (int l = 0; l < kWidth; ++l) v.lane[l] = value;
  return v;
}
inline Vec load(const float* from) {
  Vec v;
  for (int l = 0; l < kWidth; ++l) v.lane[l] = from[l];
  return v;
}
inline Vec load_part(const float* from, Part n) {
  Vec v = splat(0.0f);
  for (std::int64_t l = 0; l < n; ++l) v.lane[l] = from[l];
  return v;
}
inline void store(float* to, const Vec& v) {
  for (int l = 0; l < kWidth; ++l) to[l] = v.lane[l];
}
inline void store_part(float* to, const Vec& v, Part n) {
  for (std::int64_t l = 0; l < n; ++l) to[l] = v.lane[l];
}

inline Vec operator+(Vec a, const Vec& b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] += b.lane[l];
  return a;
}
inline Vec operator-(Vec a, const Vec& b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] -= b.lane[l];
  return a;
}
inline Vec operator*(Vec a, const Vec& b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] *= b.lane[l];
  return a;
}

inline float sum_lanes(const Vec& sum) {
  const float* const v = sum.lane;
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

#include "visits.hpp"

}  // namespace

double sgd_epoch_f32_serial(const RatingsView& ratings, const FactorTable& users, const FactorTable& items,
                            const SgdRates& rates) {
  return sgd_epoch(ratings, users, items, rates);
}

}  // namespace gpurec::cpu
