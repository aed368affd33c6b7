// What a row leaves out where it is told in fewer bits, in bfloat16 or in codes (quantise.hpp), and how the CPU's codes lie
// in memory.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "gpurec/quantise.hpp"
#include "gpurec/scan_bf16.hpp"

namespace gpurec {

// Upper bound of |x - b|, with the components b of x rounded to bfloat16.
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

// The value that has to become code kMostQueryCode at most, so that codes of one sign add up to kMostOfWord at most in each
// word: each of its four is rounded up by a half at most, and what float32 rounds is less than one.
inline float largest_for_words(const float* q, std::int64_t d) {
  float most = 0.0f;
  for (std::int64_t i = 0; i < d; i += i % 4 == 0 ? 2 : 2 * kGroup - 2) {
    float above = 0.0f, below = 0.0f;
    for (const std::int64_t at : {i, i + 1, i + kGroup, i + kGroup + 1}) {
      if (at >= d) continue;
      (q[at] > 0.0f ? above : below) += std::fabs(q[at]);
    }
    most = std::fmax(most, std::fmax(above, below));
  }
  constexpr float kShare = float(kMostQueryCode) / float(kMostOfWord - 2);
  return GPUREC_PLANTED(int8_words_overflow) ? 0.0f : most * kShare;
}

// Kernel `quantise_query`, per ISA: all with the same bits, but those that go with a kernel which adds products in words
// (Kernels::adds_in_words), for which codes are made smaller. `codes` has room for d components, rounded up to whole
// pairs of groups; those past d become 0.
using QuantiseQuery = QueryCodes (*)(const float* q, std::int64_t d, std::int8_t* codes);

inline QueryCodes quantise_query(const float* q, std::int64_t d, bool in_words, std::int8_t* codes) {
  QueryCodes result;
  if (!fits_in_codes(d)) return result;
  const float largest = largest_of(q, d);
  result.scale = scale_for(in_words ? std::fmax(largest, largest_for_words(q, d)) : largest, kMostQueryCode);
  if (result.scale == 0.0f) return result;
  const float inverse = 1.0f / result.scale;
  std::int64_t squares = 0;
  for (std::int64_t i = 0; i < d; ++i) {
    const int code = code_of(q[i], inverse, float(kMostQueryCode));
    codes[i] = std::int8_t(code);
    result.sum += code;
    squares += code * code;
  }
  for (std::int64_t i = d; i % (2 * kGroup) != 0; ++i) codes[i] = GPUREC_PLANTED(int8_query_padding_left) ? codes[0] : 0;
  result.length = length_of_codes(result.scale, squares);
  result.error = quantisation_error(q, d, result.scale, [=](std::int64_t i) { return double(codes[i]); });
  return result;
}

// How the codes of a tile lie in memory: of a byte as scan_i8.hpp wants them, of half a byte as scan_i4.hpp does. Both
// are offset; a tile begins as zeros.
struct ByteCodes {
  static constexpr int kMost = 127;
  static std::int64_t n_bytes(std::int64_t d) { return (d + kGroup - 1) / kGroup * kGroup * kTileItems; }
  static constexpr std::uint8_t kZeros = 128;
  static int get(const std::uint8_t* codes, std::int64_t j, std::int64_t i) { return codes[at(j, i)] - 128; }
  static void put(std::uint8_t* codes, std::int64_t j, std::int64_t i, int code) {
    codes[at(j, i)] = std::uint8_t(code + 128);
  }
  static std::int64_t at(std::int64_t j, std::int64_t i) { return (i / kGroup * kTileItems + j) * kGroup + i % kGroup; }
};

struct HalfByteCodes {
  static constexpr int kMost = 7;
  static std::int64_t n_code_bytes(std::int64_t d) { return (d + 2 * kGroup - 1) / (2 * kGroup) * kGroup * kTileItems; }
  static std::int64_t n_bytes(std::int64_t d) { return n_code_bytes(d) + kTileItems; }  // with a share of each item
  static constexpr std::uint8_t kZeros = 0x88;
  static int get(const std::uint8_t* codes, std::int64_t j, std::int64_t i) {
    return (codes[at(j, i)] >> shift(i) & 15) - 8;
  }
  static void put(std::uint8_t* codes, std::int64_t j, std::int64_t i, int code) {
    std::uint8_t& two = codes[at(j, i)];
    two = std::uint8_t((two & ~(15 << shift(i))) | (code + 8) << shift(i));
  }
  static std::int64_t at(std::int64_t j, std::int64_t i) {
    return (i / (2 * kGroup) * kTileItems + j) * kGroup + i % kGroup;
  }
  static int shift(std::int64_t i) { return i / kGroup % 2 * 4; }
};

// What it takes to tell values in codes, in plain C++. cpu/quantise/ has the same for vectors, with the same bits.
struct PlainSteps {
  static float largest(const float* x, std::int64_t n) { return largest_of(x, n); }

  // The sum of squared errors of n values in codes of half a byte, as float32 tells: in lanes that are added by halves.
  static float squared_errors(const float* x, std::int64_t n, float scale) {
    constexpr int kErrorLanes = 16;
    const float inverse = 1.0f / scale;
    float lane[kErrorLanes] = {};
    for (std::int64_t i = 0; i < n; ++i) {
      const float error = x[i] - scale * float(code_of(x[i], inverse, HalfByteCodes::kMost));
      lane[i % kErrorLanes] += error * error;
    }
    for (int half = kErrorLanes / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    }
    return lane[0];
  }

  // Puts the codes of item j in place and bounds what they leave out.
  template <class Codes>
  static double code_item(const float* item, std::int64_t d, float scale, std::int64_t j, std::uint8_t* codes) {
    const float inverse = 1.0f / scale;
    for (std::int64_t i = 0; i < d; ++i) Codes::put(codes, j, i, code_of(item[i], inverse, Codes::kMost));
    return quantisation_error(item, d, scale, [=](std::int64_t i) { return double(Codes::get(codes, j, i)); });
  }
};

// The share of the largest value that codes of half a byte reach up to: what lies beyond is cut off, so that what lies
// below is told apart better. The one with the least squared errors of all; any would do.
template <class Steps>
float reach_of_half_bytes(const float* x, std::int64_t n, float largest) {
  float best = 1.0f, least = std::numeric_limits<float>::infinity();
  for (const float reach : {1.0f, 0.85f, 0.7f, 0.6f, 0.5f, 0.4f}) {
    const float sum = Steps::squared_errors(x, n, largest * reach / HalfByteCodes::kMost);
    if (!(sum < least)) continue;
    least = sum;
    best = reach;
  }
  return best;
}

// The errors of a tile's items as shares of a byte: item j's is at most share j times what is returned.
inline float shares_of_errors(const double* errors, int n_items, std::uint8_t* shares) {
  double most = 0.0;
  for (int j = 0; j < n_items; ++j) most = std::fmax(most, errors[j]);
  const float unit = unit_of_errors(most);
  for (int j = 0; j < n_items && unit > 0.0f; ++j) shares[j] = std::uint8_t(share_of_error(errors[j], unit));
  return unit;
}

// Kernels `quantise_tile_i8` and `quantise_tile_i4`, per ISA: all with the same bits. Codes of one tile: item j of n_items
// is x[j * d]. Missing items are zero. Writes the scale, 0 where there can be none, and the largest error; for codes of
// half a byte the unit of the errors of which each item has a share.
using QuantiseTile = void (*)(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                              float* error);

template <class Codes, class Steps>
void quantise_tile(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale, float* error) {
  constexpr bool kHasShares = Codes::kMost == HalfByteCodes::kMost;
  std::fill_n(codes, Codes::n_bytes(d), Codes::kZeros);
  if (kHasShares) std::fill_n(codes + HalfByteCodes::n_code_bytes(d), kTileItems, std::uint8_t(0));
  *error = 0.0f;
  *scale = 0.0f;
  if (!fits_in_codes(d)) return;
  const float largest = Steps::largest(x, n_items * d);
  *scale = scale_for(largest, Codes::kMost);
  if (kHasShares && *scale != 0.0f && largest != 0.0f) {
    const float reached = scale_for(largest * reach_of_half_bytes<Steps>(x, n_items * d, largest), Codes::kMost);
    if (reached != 0.0f) *scale = reached;
  }
  if (*scale == 0.0f) return;
  double errors[kTileItems];
  for (int j = 0; j < n_items; ++j) {
    const double e = errors[j] = Steps::template code_item<Codes>(x + j * d, d, *scale, j, codes);
    *error = GPUREC_PLANTED(int8_tile_error_of_last) ? round_up32(e) : std::fmax(*error, round_up32(e));
  }
  if (kHasShares) *error = shares_of_errors(errors, n_items, codes + HalfByteCodes::n_code_bytes(d));
}

}  // namespace gpurec
