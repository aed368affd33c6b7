// Implementations of kernel `chosen_gram`; the contract is gpurec/chosen_gram.hpp.
#pragma once
#include <cstdint>

#include "gpurec/chosen_gram.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_CHOSEN_GRAM(isa)                                                                              \
  void chosen_gram_f64_##isa(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,       \
                             std::int64_t stride, std::int64_t width, double* gram, double* sums)
GPUREC_DECLARE_CHOSEN_GRAM(serial);
GPUREC_DECLARE_CHOSEN_GRAM(avx2);
GPUREC_DECLARE_CHOSEN_GRAM(avx512);
#undef GPUREC_DECLARE_CHOSEN_GRAM

}  // namespace gpurec::cpu
