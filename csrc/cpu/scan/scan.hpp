// Implementations of kernel `scan`; the contract is gpurec/scan.hpp.
#pragma once
#include <cstdint>

namespace gpurec::cpu {

#define GPUREC_DECLARE_SCAN(isa)                                                                          \
  void scan_tile_f32_##isa(const float* const* queries, int n_queries, const float* panels, std::int64_t d, \
                           const float* start, const float* reject, float* scores, std::uint64_t* hits,  \
                           const float* next, int n_next);                                                  \
  void scan_rows_f32_##isa(const float* query, const float* rows, std::int64_t row_stride, int n_rows,      \
                           std::int64_t d, float* scores, float* squares)
GPUREC_DECLARE_SCAN(serial);
GPUREC_DECLARE_SCAN(avx2);
GPUREC_DECLARE_SCAN(avx512);
#undef GPUREC_DECLARE_SCAN

}  // namespace gpurec::cpu
