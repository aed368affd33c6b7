// The select kernels in plain C++.
#include "select.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace gpurec::cpu {

std::int64_t find_above_serial(const float* values, std::int64_t from, std::int64_t n, float threshold) {
  while (from < n && !(values[from] > threshold)) ++from;
  return from;
}

float near_kth_largest_serial(const float* values, std::int64_t n, std::int64_t k) {
  std::vector<float> work(values, values + n);
  std::nth_element(work.begin(), work.begin() + (k - 1), work.end(), std::greater<float>());
  return work[std::size_t(k - 1)];
}

std::int64_t keep_above_serial(float* values, std::uint32_t* positions, std::int64_t n, float threshold) {
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (values[i] <= threshold) continue;
    values[kept] = values[i];
    positions[kept++] = positions[i];
  }
  return kept;
}

int append_hits_serial(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,
                       std::uint32_t* positions) {
  int count = 0;
  for (; bits != 0; bits &= bits - 1, ++count) {
    const int j = __builtin_ctzll(bits);
    values[count] = scores[j];
    positions[count] = first + std::uint32_t(j);
  }
  return count;
}

}  // namespace gpurec::cpu
