// find_above in plain C++.
#include "select.hpp"

namespace gpurec::cpu {

std::int64_t find_above_serial(const float* values, std::int64_t from, std::int64_t n, float threshold) {
  while (from < n && !(values[from] > threshold)) ++from;
  return from;
}

}  // namespace gpurec::cpu
