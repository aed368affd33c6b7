// Implementations of kernel `weighted_rows`; the contract is gpurec/weighted_rows.hpp.
#pragma once
#include <cstdint>

#include "gpurec/weighted_rows.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_WEIGHTED_ROWS(isa)                                                                            \
  void weighted_rows_f32_##isa(const std::int32_t* rows, const float* weights, std::int64_t n, const float* x,      \
                               std::int64_t row_stride, std::int64_t width, float* out)
GPUREC_DECLARE_WEIGHTED_ROWS(serial);
GPUREC_DECLARE_WEIGHTED_ROWS(avx2);
GPUREC_DECLARE_WEIGHTED_ROWS(avx512);
#undef GPUREC_DECLARE_WEIGHTED_ROWS

}  // namespace gpurec::cpu
