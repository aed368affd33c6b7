// The arithmetic of int8 and 4-bit codes, one value and one row at a time. Int8 codes are -127..127, those of half a byte
// -7..7, the nearest to x / scale; a scale of 0 says that there are none, since the numbers are too large, too small or
// too many.
#pragma once
#include "gpurec/bounds.hpp"
#include "gpurec/canonical.hpp"
#include "gpurec/scan_i8.hpp"

namespace gpurec {

// Whether a dot of so many codes stays within int32, whatever the start of its sum.
GPUREC_HD inline bool fits_in_codes(std::int64_t d) {
  return d <= kMostGroups * kGroup || GPUREC_PLANTED(int8_wide_rows_coded);
}

// The scale for values of at most that size, 1 where all are zero.
GPUREC_HD inline float scale_for(float largest, int most_code) {
  if (largest == 0.0f) return 1.0f;
  const float scale = largest / float(most_code);
  return can_be_scale(scale) ? scale : 0.0f;
}

GPUREC_HD inline float largest_of(const float* x, std::int64_t d) {
  float largest = 0.0f;
  for (std::int64_t i = 0; i < d; ++i) {
    const float size = std::fabs(x[i]);
    largest = size > largest ? size : largest;  // rows are finite
  }
  return largest;
}

// Rounded by adding and taking off 1.5 * 2^23. Which way does not matter: errors are measured.
GPUREC_HD inline float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

GPUREC_HD inline int code_of(float x, float inverse_scale, float most_code) {
  const float code = x * inverse_scale;
  return int(nearest(code > most_code ? most_code : code < -most_code ? -most_code : code));
}

// The square of what a code leaves out: a term of the sums that error_norm_upper wants.
GPUREC_HD inline double squared_error_of_code(float x, float scale, double code) {
  const bool rounded = GPUREC_PLANTED(int8_error_float32);
  const double difference = rounded ? double(x - scale * float(code)) : double(x) - double(scale) * code;
  return difference * difference;
}

// Upper bound of |x - scale * codes|; `code(i)` is component i's.
template <class Code>
GPUREC_HD double quantisation_error(const float* x, std::int64_t d, float scale, Code code) {
  return error_norm_upper(lane_sum(d, [=](std::int64_t i) { return squared_error_of_code(x[i], scale, code(i)); }), d);
}

// Upper bound of |scale * codes| from the sum of the codes' squares.
GPUREC_HD inline double length_of_codes(float scale, std::int64_t squares) {
  if (GPUREC_PLANTED(int8_length_nearest)) return double(scale) * std::sqrt(double(squares));
  return next_up(double(scale) * std::sqrt(double(squares)) * (1.0 + 0x1p-50));
}

}  // namespace gpurec
