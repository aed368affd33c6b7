// The total order of answers in one 64-bit key: higher score first, then smaller public row.
#pragma once
#include "gpurec/planted.hpp"
#include "gpurec/portable_std.hpp"

namespace gpurec {

// Rows fill the low word of the key, so a table holds fewer than 2^32 - 1 of them.
constexpr std::int64_t kMaxRows = (std::int64_t(1) << 32) - 2;

// Unsigned integers in the order of the floats (-0 below +0; canonical scores hold no -0).
GPUREC_HD inline std::uint32_t monotone_u32(float score) {
  std::uint32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  if (GPUREC_PLANTED(order_negative_scores)) return bits | 0x80000000u;
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

GPUREC_HD inline float score_of_monotone(std::uint32_t ordered) {
  const std::uint32_t bits = ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered;
  float score;
  std::memcpy(&score, &bits, sizeof score);
  return score;
}

GPUREC_HD inline std::uint64_t order_key(float score, std::int64_t row) {
  const std::uint32_t low = GPUREC_PLANTED(order_larger_row_first) ? std::uint32_t(row) : ~std::uint32_t(row);
  return std::uint64_t(monotone_u32(score)) << 32 | low;
}

GPUREC_HD inline std::int64_t row_of_key(std::uint64_t key) {
  return GPUREC_PLANTED(order_larger_row_first) ? std::int64_t(std::uint32_t(key)) : std::int64_t(~std::uint32_t(key));
}

GPUREC_HD inline float score_of_key(std::uint64_t key) { return score_of_monotone(std::uint32_t(key >> 32)); }

}  // namespace gpurec
