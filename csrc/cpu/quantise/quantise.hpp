// Implementations of kernels `quantise_query` and `quantise_tile`; their contract is gpurec/codes.hpp.
#pragma once
#include <cstdint>
#include <cstring>

#include "gpurec/codes.hpp"

namespace gpurec::cpu {

QueryCodes quantise_query_serial(const float* q, std::int64_t d, std::int8_t* codes);
QueryCodes quantise_query_in_words(const float* q, std::int64_t d, std::int8_t* codes);
QueryCodes quantise_query_avx512(const float* q, std::int64_t d, std::int8_t* codes);

#define GPUREC_DECLARE_QUANTISE_TILE(isa)                                                                             \
  void quantise_tile_i8_##isa(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,         \
                              float* error);                                                                          \
  void quantise_tile_i4_##isa(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,         \
                              float* error)
GPUREC_DECLARE_QUANTISE_TILE(serial);
GPUREC_DECLARE_QUANTISE_TILE(avx2);
GPUREC_DECLARE_QUANTISE_TILE(avx512);
#undef GPUREC_DECLARE_QUANTISE_TILE

// What implementations for vectors share: where 16 codes of an item go.
template <class Codes>
inline void put_16(const std::uint8_t* sixteen, std::int64_t j, std::int64_t i, std::int64_t d, std::uint8_t* codes);

// Bytes with their offset, four to a group.
template <>
inline void put_16<ByteCodes>(const std::uint8_t* sixteen, std::int64_t j, std::int64_t i, std::int64_t d,
                              std::uint8_t* codes) {
  for (int g = 0; g < 4 && i + g * kGroup < d; ++g) {
    std::memcpy(codes + ByteCodes::at(j, i + g * kGroup), sixteen + g * kGroup, kGroup);
  }
}

// The same for halves of bytes: of two groups the first is the lower half.
template <>
inline void put_16<HalfByteCodes>(const std::uint8_t* sixteen, std::int64_t j, std::int64_t i, std::int64_t d,
                                  std::uint8_t* codes) {
  for (int g = 0; g < 2 && i + g * 2 * kGroup < d; ++g) {
    std::uint32_t groups[2];
    std::memcpy(groups, sixteen + g * 2 * kGroup, sizeof groups);
    const std::uint32_t both = groups[0] | groups[1] << 4;
    std::memcpy(codes + HalfByteCodes::at(j, i + g * 2 * kGroup), &both, sizeof both);
  }
}

}  // namespace gpurec::cpu
