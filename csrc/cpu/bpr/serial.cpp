// Kernel `bpr`, plain C++: the form that the others are checked against and that any processor runs.
#include <cstdint>

#include "blocks.hpp"
#include "bpr.hpp"

namespace gpurec::cpu {
namespace {

constexpr int kWidth = 4, kAtOnce = 2;

struct Vec {
  float lane[kWidth];
};

inline Vec splat(float value) { return {{value, value, value, value}}; }
inline Vec load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
inline Vec load_part(const float* from, std::int64_t n) {
  Vec v = splat(0.0f);
  for (std::int64_t l = 0; l < n; ++l) v.lane[l] = from[l];
  return v;
}
inline void store(float* to, Vec v) {
  for (int l = 0; l < kWidth; ++l) to[l] = v.lane[l];
}
inline void store_part(float* to, Vec v, std::int64_t n) {
  for (std::int64_t l = 0; l < n; ++l) to[l] = v.lane[l];
}

inline Vec operator+(Vec a, Vec b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] += b.lane[l];
  return a;
}
inline Vec operator-(Vec a, Vec b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] -= b.lane[l];
  return a;
}
inline Vec operator*(Vec a, Vec b) {
  for (int l = 0; l < kWidth; ++l) a.lane[l] *= b.lane[l];
  return a;
}

inline float sum_lanes(const Vec* sum) {
  const Vec four = (sum[0] + sum[2]) + (sum[1] + sum[3]);
  return (four.lane[0] + four.lane[2]) + (four.lane[1] + four.lane[3]);
}

#include "visits.hpp"

}  // namespace

void bpr_visits_f32_serial(const RankingVisits& visits, const RankingFactors& factors, const RankingSteps& steps,
                           float* scratch, RankingSums& sums) {
  visit_all(visits, factors, steps, scratch, sums);
}

void bpr_draws_serial(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n, std::int32_t* places) {
  draw_places(stream, first, n_left, n, places);
}

}  // namespace gpurec::cpu
