// Implementations of kernel `multiply`; the contract is gpurec/multiply.hpp.
#pragma once
#include <cstdint>

#include "gpurec/multiply.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_MULTIPLY(isa)                                                                              \
  void multiply_tile_f32_##isa(const float* const* queries, int n_queries, const float* panels, std::int64_t d,   \
                               TileOut out);                                                                      \
  void multiply_in_order_f32_##isa(const float* const* queries, int n_queries, const float* panels,                 \
                                   std::int64_t d, TileOut out);                                                  \
  void distance_tile_f32_##isa(const float* const* queries, int n_queries, const float* panels, std::int64_t d,   \
                               const float* query_squares, const float* item_squares, TileOut out,                \
                               std::uint64_t* close)
GPUREC_DECLARE_MULTIPLY(serial);
GPUREC_DECLARE_MULTIPLY(avx2);
GPUREC_DECLARE_MULTIPLY(avx512);
#undef GPUREC_DECLARE_MULTIPLY

}  // namespace gpurec::cpu
