// Implementations of kernel `scan_bf16`; the contract is gpurec/scan_bf16.hpp.
#pragma once
#include <cstdint>

#include "gpurec/scan_bf16.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_SCAN_BF16(isa)                                                                             \
  void scan_tile_bf16_##isa(const std::uint32_t* const* queries, int n_queries, const std::uint32_t* tile,        \
                            std::int64_t n_pairs, const float* start, const float* reject, float* scores,         \
                            std::uint64_t* hits);                                                                 \
  float round_tile_bf16_##isa(const float* panels, std::int64_t d, std::uint32_t* tile)
GPUREC_DECLARE_SCAN_BF16(serial);
GPUREC_DECLARE_SCAN_BF16(avx512bf16);
#undef GPUREC_DECLARE_SCAN_BF16

// Where an ISA has no such arithmetic.
constexpr ScanTileBf16 scan_tile_bf16_none = nullptr;
constexpr RoundTileBf16 round_tile_bf16_none = nullptr;

}  // namespace gpurec::cpu
