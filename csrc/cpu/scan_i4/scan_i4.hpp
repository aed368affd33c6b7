// Implementations of kernel `scan_i4`; the contract is gpurec/scan_i4.hpp.
#pragma once
#include <cstdint>

#include "gpurec/scan_i4.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_SCAN_TILE_I4(isa)                                                                     \
  bool scan_tile_i4_##isa(const std::int8_t* const* queries, const std::int32_t* start,                      \
                          const std::int32_t* weights, int n_queries, const std::uint8_t* codes,             \
                          std::int64_t n_pairs, std::uint64_t* hits, std::int32_t* sums, const std::uint8_t* next)
GPUREC_DECLARE_SCAN_TILE_I4(serial);
GPUREC_DECLARE_SCAN_TILE_I4(avx2);
GPUREC_DECLARE_SCAN_TILE_I4(avx512vnni);
#undef GPUREC_DECLARE_SCAN_TILE_I4

}  // namespace gpurec::cpu
