// Implementations of kernel `select`; the contract is gpurec/select.hpp.
#pragma once
#include <cstdint>

namespace gpurec::cpu {

#define GPUREC_DECLARE_SELECT(isa)                                                                                \
  std::int64_t find_above_##isa(const float* values, std::int64_t from, std::int64_t n, float threshold);        \
  float near_kth_largest_##isa(const float* values, std::int64_t n, std::int64_t k);                                   \
  std::int64_t keep_above_##isa(float* values, std::uint32_t* positions, std::int64_t n, float threshold);       \
  int append_hits_##isa(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,             \
                        std::uint32_t* positions);                                                               \
  void range_of_keys_##isa(const std::uint64_t* keys, std::int64_t n, std::uint64_t* smallest,                   \
                           std::uint64_t* largest);                                                              \
  std::int64_t find_tie_##isa(const std::uint64_t* keys, std::int64_t from, std::int64_t n)
GPUREC_DECLARE_SELECT(serial);
GPUREC_DECLARE_SELECT(avx2);
GPUREC_DECLARE_SELECT(avx512);
#undef GPUREC_DECLARE_SELECT

// Floats as signed integers in the same order (-0 below +0); the map is its own inverse.
inline std::int32_t ordered_bits(std::int32_t bits) { return bits ^ std::int32_t(std::uint32_t(bits >> 31) >> 1); }

// near_kth_largest of values in [smallest, largest]: halves the range of the answer's bits until few more values
// than wanted reach its lower end. `count_at_least(values, n, pivot)` counts those that a float reaches.
float halve_to_kth_largest(const float* values, std::int64_t n, std::int64_t k, float smallest, float largest,
                           std::int64_t (*count_at_least)(const float*, std::int64_t, float));

}  // namespace gpurec::cpu
