// What a row leaves out where it is told in fewer bits, in bfloat16 or in int8 codes. Codes are -127..127, the nearest to x / scale; a
// scale of 0 says that there are none, since the numbers are too large, too small or too many.
#pragma once
#include <cmath>
#include <cstdint>

#include "gpurec/bounds.hpp"
#include "gpurec/canonical.hpp"
#include "gpurec/scan_bf16.hpp"
#include "gpurec/scan_i8.hpp"

namespace gpurec {

// Whether a dot of so many codes stays within int32, whatever the start of its sum.
inline bool fits_in_codes(std::int64_t d) { return d <= kMostGroups * kGroup || GPUREC_PLANTED(int8_wide_rows_coded); }

// The scale for values of at most that size, 1 where all are zero.
inline float scale_for(float largest) {
  if (largest == 0.0f) return 1.0f;
  const float scale = largest / 127.0f;
  return can_be_scale(scale) ? scale : 0.0f;
}

inline float largest_of(const float* x, std::int64_t d) {
  float largest = 0.0f;
  for (std::int64_t i = 0; i < d; ++i) largest = std::fmax(largest, std::fabs(x[i]));
  return largest;
}

inline int code_of(float x, float scale) {
  const int code = int(std::lrint(double(x) / double(scale)));
  return code > 127 ? 127 : code < -127 ? -127 : code;
}

// Upper bound of |x - scale * codes|; `code(i)` is component i's.
template <class Code>
double quantisation_error(const float* x, std::int64_t d, float scale, Code code) {
  const double squares = lane_sum(d, [=](std::int64_t i) {
    const bool rounded = GPUREC_PLANTED(int8_error_float32);
    const double difference = rounded ? double(x[i] - scale * float(code(i))) : double(x[i]) - double(scale) * code(i);
    return difference * difference;
  });
  return error_norm_upper(squares, d);
}

// The same for a row rounded to bfloat16.
inline double bf16_error(const float* x, std::int64_t d, const std::uint32_t* pairs) {
  return quantisation_error(x, d, 1.0f, [=](std::int64_t i) { return double(component_of_pairs(pairs, i)); });
}

// A query's codes and what the scan needs besides them.
struct QueryCodes {
  float scale = 0.0f;
  double length = 0.0;  // upper bounds: of |scale * codes|
  double error = 0.0;   // and of |q - scale * codes|
  std::int32_t sum = 0;
};

// `codes` has room for d components, rounded up to whole groups.
inline QueryCodes quantise_query(const float* q, std::int64_t d, std::int8_t* codes) {
  QueryCodes result;
  if (!fits_in_codes(d)) return result;
  result.scale = scale_for(largest_of(q, d));
  if (result.scale == 0.0f) return result;
  std::int64_t squares = 0;
  for (std::int64_t i = 0; i < d; ++i) {
    const int code = code_of(q[i], result.scale);
    codes[i] = std::int8_t(code);
    result.sum += code;
    squares += code * code;
  }
  for (std::int64_t i = d; i % kGroup != 0; ++i) codes[i] = GPUREC_PLANTED(int8_query_padding_left) ? codes[0] : 0;
  result.length = next_up(double(result.scale) * std::sqrt(double(squares)) * (1.0 + 0x1p-50));
  if (GPUREC_PLANTED(int8_length_nearest)) result.length = double(result.scale) * std::sqrt(double(squares));
  result.error = quantisation_error(q, d, result.scale, [=](std::int64_t i) { return double(codes[i]); });
  return result;
}

// Codes of one tile, offset and grouped as scan_i8.hpp wants them: item j of n_items is x[j * d]. Missing items are
// zero. Writes the scale, 0 where there can be none, and the largest error.
inline void quantise_tile(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                          float* error) {
  const std::int64_t n_groups = (d + kGroup - 1) / kGroup;
  for (std::int64_t c = 0; c < n_groups * kGroup * kTileItems; ++c) codes[c] = 128;
  *scale = fits_in_codes(d) ? scale_for(largest_of(x, n_items * d)) : 0.0f;
  *error = 0.0f;
  if (*scale == 0.0f) return;
  for (int j = 0; j < n_items; ++j) {
    const float* const item = x + j * d;
    std::uint8_t* const of_item = codes + j * kGroup;
    for (std::int64_t i = 0; i < d; ++i) {
      of_item[i / kGroup * (kTileItems * kGroup) + i % kGroup] = std::uint8_t(code_of(item[i], *scale) + 128);
    }
    const float s = *scale;
    const double e = quantisation_error(item, d, s, [=](std::int64_t i) {
      return double(int(of_item[i / kGroup * (kTileItems * kGroup) + i % kGroup]) - 128);
    });
    *error = GPUREC_PLANTED(int8_tile_error_of_last) ? round_up32(e) : std::fmax(*error, round_up32(e));
  }
}

}  // namespace gpurec
