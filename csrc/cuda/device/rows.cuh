// Sums over rows by a warp, in the order of canonical.hpp: the 32 lanes of the sum are the lanes of the warp.
#pragma once
#include "gpurec/canonical.hpp"
#include "gpurec/quantise.hpp"
#include "simt/simt.hpp"

namespace gpurec::cuda {

using namespace simt;

// A number that code is made for.
template <int n>
struct Number {
  static constexpr int value = n;
};

static_assert(kLanes == kWarp, "a lane of a canonical sum is a lane of a warp");

// Halves added to halves; every lane gets the sum. Both lanes of a pair add the same two numbers, so they agree.
GPUREC_DEVICE double sum_of_lanes(double v) {
  const std::uint32_t mask = GPUREC_PLANTED(cuda_half_mask) ? kAllLanes >> 16 : kAllLanes;
  GPUREC_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2) v += shfl_xor(v, half, mask);
  return v;
}

// lane_sum of canonical.hpp.
template <class Term>
GPUREC_DEVICE double lane_sum_by_warp(std::int64_t d, Term term) {
  double sum = 0.0;
  for (std::int64_t i = lane_index(); i < d; i += kLanes) sum += term(i);
  return sum_of_lanes(sum);
}

template <class T, class Better>
GPUREC_DEVICE T best_of_warp(T v, Better better) {
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) {
    const T other = shfl_xor(v, half);
    v = better(other, v) ? other : v;
  }
  return v;
}
template <class T>
GPUREC_DEVICE T largest_of_warp(T v) {
  return best_of_warp(v, [](T a, T b) { return a > b; });
}
template <class T>
GPUREC_DEVICE T sum_of_warp(T v) {  // of integers: in any order
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) v += shfl_xor(v, half);
  return v;
}

// Canonical sums of a query with eight rows at a time, so that eight loads are on their way: lane l gets that of row
// l / 4. Each step of the sum is shared: of two rows' lanes a half keeps the one, the other half the other.
constexpr int kRowsTogether = 8;

template <class Term>
GPUREC_DEVICE double eight_sums(std::int64_t d, Term term) {
  double sums[kRowsTogether] = {};
  for (std::int64_t i = lane_index(); i < d; i += kLanes) {
    GPUREC_UNROLL
    for (int c = 0; c < kRowsTogether; ++c) sums[c] += term(c, i);
  }
  const int lane = lane_index();
  GPUREC_UNROLL
  for (int half = 4; half > 0; half /= 2) {
    const bool upper = (lane & (4 * half)) != 0;
    GPUREC_UNROLL
    for (int c = 0; c < half; ++c) {
      const double mine = upper ? sums[c + half] : sums[c];
      const double given = upper ? sums[c] : sums[c + half];
      sums[c] = mine + shfl_xor(given, 4 * half);
    }
  }
  const int next = GPUREC_PLANTED(cuda_lane_order) ? 1 : 2;
  sums[0] += shfl_xor(sums[0], next);
  sums[0] += shfl_xor(sums[0], 3 - next);
  return sums[0];
}

// The canonical sums of a query with rows[0..7], which all may be read; lane l gets that of rows[l / 4].
GPUREC_DEVICE double canonical_sums(const float* query, const float* const (&rows)[kRowsTogether], std::int64_t d,
                                    bool euclidean) {
  if (!euclidean) {
    return eight_sums(d, [&](int c, std::int64_t i) { return double(query[i]) * double(rows[c][i]); });
  }
  return -eight_sums(d, [&](int c, std::int64_t i) {
    const double difference = double(query[i]) - double(rows[c][i]);
    return difference * difference;
  });
}

// prepare_row of canonical.hpp by a warp: d components from `x`, zeros up to `stride`. False where the row is not finite; it
// becomes zeros. A lane writes and later reads the components that are its own of the sums.
GPUREC_DEVICE bool prepare_row_by_warp(const float* x, std::int64_t d, Metric metric, float* out, std::int64_t stride) {
  const int lane = lane_index();
  bool finite = true, constant = true;
  float largest = 0.0f;
  for (std::int64_t i = lane; i < d; i += kLanes) {
    finite = finite && is_finite(x[i]);
    constant = constant && x[i] == x[0];
    const float size = std::fabs(x[i]);
    largest = size > largest ? size : largest;
  }
  finite = all(finite);
  constant = all(constant);
  largest = largest_of_warp(largest);
  for (std::int64_t i = lane; i < stride; i += kLanes) {
    if (i >= d) out[i] = 0.0f;
  }
  const bool scaled = metric == Metric::cosine || metric == Metric::pearson;
  if (!finite || (scaled && (largest == 0.0f || (metric == Metric::pearson && constant)))) {
    for (std::int64_t i = lane; i < d; i += kLanes) out[i] = 0.0f;
    return finite;
  }
  if (!scaled) {
    for (std::int64_t i = lane; i < d; i += kLanes) out[i] = x[i];
    return true;
  }
  int exponent = 0;
  std::frexp(double(largest), &exponent);
  const double scale = std::ldexp(1.0, -exponent);
  double mean = 0.0;
  if (metric == Metric::pearson) {
    mean = lane_sum_by_warp(d, [=](std::int64_t i) { return double(x[i]) * scale; }) / double(d);
  }
  const auto value = [=](std::int64_t i) {
    const double work = double(x[i]) * scale;
    return metric == Metric::pearson ? work - mean : work;
  };
  const double norm = std::sqrt(lane_sum_by_warp(d, [=](std::int64_t i) { return value(i) * value(i); }));
  for (std::int64_t i = lane; i < d; i += kLanes) out[i] = norm == 0.0 ? 0.0f : float(value(i) / norm);
  return true;
}

// dot64(x, x) of a row.
GPUREC_DEVICE double squares_by_warp(const float* x, std::int64_t d) {
  return lane_sum_by_warp(d, [=](std::int64_t i) { return double(x[i]) * double(x[i]); });
}

// The largest size of a component of a finite row.
GPUREC_DEVICE float largest_by_warp(const float* x, std::int64_t d) {
  float largest = 0.0f;
  for (std::int64_t i = lane_index(); i < d; i += kLanes) {
    const float size = std::fabs(x[i]);
    largest = size > largest ? size : largest;
  }
  return largest_of_warp(largest);
}

// Codes of a row for a scale that is not 0, zeros up to `stride`; upper bounds of how long they are and how far off.
struct CodedRow {
  double length;
  double error;
};
GPUREC_DEVICE CodedRow quantise_row_by_warp(const float* x, std::int64_t d, float scale, std::int8_t* codes,
                                            std::int64_t stride) {
  const float inverse = 1.0f / scale;
  std::int64_t squares = 0;
  for (std::int64_t i = lane_index(); i < stride; i += kLanes) {
    const int code = i < d ? code_of(x[i], inverse, 127.0f) : 0;
    codes[i] = std::int8_t(code);
    squares += code * code;
  }
  const double error = lane_sum_by_warp(d, [=](std::int64_t i) {
    return squared_error_of_code(x[i], scale, double(code_of(x[i], inverse, 127.0f)));
  });
  return {length_of_codes(scale, sum_of_warp(squares)), error_norm_upper(error, d)};
}

}  // namespace gpurec::cuda
