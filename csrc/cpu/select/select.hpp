// Implementations of kernel `select`; the contract is gpurec/select.hpp.
#pragma once
#include <cstdint>

namespace gpurec::cpu {

#define GPUREC_DECLARE_SELECT(isa)                                                                                \
  std::int64_t find_above_##isa(const float* values, std::int64_t from, std::int64_t n, float threshold);        \
  float near_kth_largest_##isa(const float* values, std::int64_t n, std::int64_t k);                                   \
  std::int64_t keep_above_##isa(float* values, std::uint32_t* positions, std::int64_t n, float threshold);       \
  int append_hits_##isa(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,             \
                        std::uint32_t* positions)
GPUREC_DECLARE_SELECT(serial);
GPUREC_DECLARE_SELECT(avx2);
GPUREC_DECLARE_SELECT(avx512);
#undef GPUREC_DECLARE_SELECT

}  // namespace gpurec::cpu
