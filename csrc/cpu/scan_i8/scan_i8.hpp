// Implementations of kernel `scan_i8`; the contract is gpurec/scan_i8.hpp.
#pragma once
#include <cstdint>

#include "gpurec/scan_i8.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_SCAN_TILE_I8(isa)                                                                        \
  int scan_tile_i8_##isa(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,           \
                         const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits, \
                         std::int32_t* sums, const std::uint8_t* next)
GPUREC_DECLARE_SCAN_TILE_I8(serial);
GPUREC_DECLARE_SCAN_TILE_I8(avx2);
GPUREC_DECLARE_SCAN_TILE_I8(avxvnni);
GPUREC_DECLARE_SCAN_TILE_I8(avx512vnni);
GPUREC_DECLARE_SCAN_TILE_I8(neon);
#undef GPUREC_DECLARE_SCAN_TILE_I8

// Whether a tile adds products in words.
constexpr bool adds_in_words_serial = false, adds_in_words_avx2 = true, adds_in_words_avxvnni = false;
constexpr bool adds_in_words_avx512vnni = false, adds_in_words_neon = false;

// Rows of n_queries queries, of which the first has number `first`: those of which an item comes near move up to the
// place of the others and are told. Returns their number.
int keep_near_avx2(int n_queries, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums);

// Their float32 arithmetic needs no more than the instruction sets that float32 scans are written for.
#define GPUREC_DECLARE_START_VALUES_I8(isa)                                                                      \
  void start_values_i8_##isa(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile,                 \
                             std::int32_t* start);                                                               \
  void scores_of_sums_##isa(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores)
GPUREC_DECLARE_START_VALUES_I8(serial);
GPUREC_DECLARE_START_VALUES_I8(avx2);
GPUREC_DECLARE_START_VALUES_I8(avx512);
GPUREC_DECLARE_START_VALUES_I8(neon);
#undef GPUREC_DECLARE_START_VALUES_I8

}  // namespace gpurec::cpu
