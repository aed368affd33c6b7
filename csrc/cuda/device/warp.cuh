// Sums and extremes over a warp, in the order that the canonical scores ask for.
#pragma once
#include "simt/simt.hpp"

namespace gpurec::cuda {

using namespace gpurec::simt;

// The sum of term(0) .. term(d - 1) as canonical.hpp's `lane_sum` adds them: lane l takes l, l + 32, ..., then halves
// are added. All 32 lanes call it and have the result. Where lanes l and l + h add each other's sums, addition commutes.
template <class Term>
GPUREC_DEVICE double lane_sum_of_warp(std::int64_t d, Term term) {
  double sum = 0.0;
  for (std::int64_t i = lane_index(); i < d; i += kWarp) sum += term(i);
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) sum += shfl_xor(sum, half);
  return sum;
}

template <class T>
GPUREC_DEVICE T max_of_warp(T v) {
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) {
    const T other = shfl_xor(v, half);
    v = v < other ? other : v;
  }
  return v;
}

}  // namespace gpurec::cuda
