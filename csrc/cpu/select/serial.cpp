// The select kernels in plain C++.
#include "select.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

namespace gpurec::cpu {

float halve_to_kth_largest(const float* values, std::int64_t n, std::int64_t k, float smallest, float largest,
                           std::int64_t (*count_at_least)(const float*, std::int64_t, float)) {
  std::int32_t low, high;
  std::memcpy(&low, &smallest, sizeof low);
  std::memcpy(&high, &largest, sizeof high);
  low = ordered_bits(low);
  high = ordered_bits(high);
  const std::int64_t enough = k + std::max(k / 128, std::min<std::int64_t>(k / 32, 8));
  while (low < high) {  // the k-th largest lies in [low, high]
    const std::int32_t middle = std::int32_t((std::int64_t(low) + high + 1) >> 1);
    const std::int32_t bits = ordered_bits(middle);
    float pivot;
    std::memcpy(&pivot, &bits, sizeof pivot);
    const std::int64_t count = count_at_least(values, n, pivot);
    if (count >= k) {
      low = middle;
      if (count <= enough) break;
    } else {
      high = middle - 1;
    }
  }
  low = ordered_bits(low);
  float result;
  std::memcpy(&result, &low, sizeof result);
  return result;
}

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

void range_of_keys_serial(const std::uint64_t* keys, std::int64_t n, std::uint64_t* smallest, std::uint64_t* largest) {
  *smallest = *std::min_element(keys, keys + n);
  *largest = *std::max_element(keys, keys + n);
}

std::int64_t find_tie_serial(const std::uint64_t* keys, std::int64_t from, std::int64_t n) {
  while (from < n - 1 && keys[from] >> 32 != keys[from + 1] >> 32) ++from;
  return from;
}

}  // namespace gpurec::cpu
