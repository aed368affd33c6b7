// The canonical scores: what every backend, ISA and precision must return bit for bit.
//
// A sum runs over 32 float64 lanes: lane l adds the terms l, l+32, l+64, ... in that order from +0.0, then
// halves are added (16, 8, 4, 2, 1). The score is that sum rounded once to float32, with -0 made +0.
// The functions here are the plain form; cpu/rescore/ holds the same sums per ISA.
#pragma once
#include "gpurec/planted.hpp"
#include "gpurec/portable_std.hpp"
#include "gpurec/views.hpp"

namespace gpurec {

constexpr int kLanes = 32;

template <class Term>
GPUREC_HD inline double lane_sum(std::int64_t d, Term term) {
  double lane[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= d; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += term(i + l);
  }
  for (int l = 0; i < d; ++i, ++l) lane[l] += term(i);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

// q.x; each product of two float32 is exact in float64.
template <class Value>  // float, or the same as double
GPUREC_HD inline double dot64(const Value* q, const Value* x, std::int64_t d) {
  return lane_sum(d, [=](std::int64_t i) { return double(q[i]) * double(x[i]); });
}

// -|q - x|^2; difference, square and sum are each rounded in float64.
template <class Value>
GPUREC_HD inline double neg_squared_distance64(const Value* q, const Value* x, std::int64_t d) {
  return -lane_sum(d, [=](std::int64_t i) {
    const double difference = double(q[i]) - double(x[i]);
    return difference * difference;
  });
}

// The one rounding at the end. -0 becomes +0 so that equal scores have equal bits.
GPUREC_HD inline float round32(double v) {
  const float f = float(v);
  if (GPUREC_PLANTED(order_negative_zero)) return f;
  return f == 0.0f ? 0.0f : f;
}

GPUREC_HD inline bool is_finite(float v) { return v - v == 0.0f; }

// One row made ready for a plain dot: cosine divides by the norm, pearson centres first, the others copy.
// Everything between the float32 row and the one rounding at the end is float64, on a row scaled by a power
// of two so that no square under- or overflows. A zero row (cosine) or a constant row (pearson) becomes zero.
// `work` holds d doubles.
GPUREC_HD inline void prepare_row(const float* x, std::int64_t d, Metric metric, float* out, double* work) {
  if (metric == Metric::dot || metric == Metric::euclidean) {
    for (std::int64_t i = 0; i < d; ++i) out[i] = x[i];
    return;
  }
  // Finite floats without their signs are in the order of their bits, and integers are compared many at a time.
  std::int32_t largest_bits = 0;
  bool constant = true;
  for (std::int64_t i = 0; i < d; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    largest_bits = bits > largest_bits ? bits : largest_bits;
    constant &= x[i] == x[0];
  }
  float largest;
  std::memcpy(&largest, &largest_bits, sizeof largest);
  if (largest == 0.0f || (metric == Metric::pearson && constant)) {
    for (std::int64_t i = 0; i < d; ++i) out[i] = 0.0f;
    return;
  }
  int exponent = 0;
  std::frexp(double(largest), &exponent);
  const double scale = std::ldexp(1.0, -exponent);
  for (std::int64_t i = 0; i < d; ++i) {
    work[i] = GPUREC_PLANTED(prepare_scale_float32) ? double(x[i] / largest) : double(x[i]) * scale;
  }
  if (metric == Metric::pearson) {
    const double mean = lane_sum(d, [=](std::int64_t i) { return work[i]; }) / double(d);
    for (std::int64_t i = 0; i < d; ++i) {
      work[i] = GPUREC_PLANTED(prepare_centre_float32) ? double(float(work[i]) - float(mean)) : work[i] - mean;
    }
  }
  const double norm = std::sqrt(lane_sum(d, [=](std::int64_t i) { return work[i] * work[i]; }));
  for (std::int64_t i = 0; i < d; ++i) {
    if (GPUREC_PLANTED(prepare_norm_float32)) {
      out[i] = float(work[i]) / float(norm);
    } else {
      out[i] = norm == 0.0 ? 0.0f : float(work[i] / norm);
    }
  }
}

}  // namespace gpurec
