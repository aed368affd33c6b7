// Implementations of kernel `select`; the contract is gpurec/select.hpp.
#pragma once
#include <cstdint>

namespace gpurec::cpu {

std::int64_t find_above_serial(const float* values, std::int64_t from, std::int64_t n, float threshold);
std::int64_t find_above_avx2(const float* values, std::int64_t from, std::int64_t n, float threshold);
std::int64_t find_above_avx512(const float* values, std::int64_t from, std::int64_t n, float threshold);

}  // namespace gpurec::cpu
