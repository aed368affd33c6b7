// Order keys, largest first. Many are sorted by the digits of their scores, as many as these differ in; runs of
// equal scores, which are short or rare, are then put in the order of their rows.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace gpurec::cpu {

inline void sort_keys(std::vector<std::uint64_t>& keys) {
  constexpr std::size_t kFewKeys = 512;  // below, comparing costs less than counting digits
  constexpr int kMostDigitBits = 12;     // so that the counts of a pass stay in the first-level cache
  if (keys.size() <= kFewKeys) {
    std::sort(keys.begin(), keys.end(), std::greater<std::uint64_t>());
    return;
  }
  std::uint32_t smallest = ~std::uint32_t(0), largest = 0;
  for (const std::uint64_t key : keys) {
    smallest = std::min(smallest, std::uint32_t(key >> 32));
    largest = std::max(largest, std::uint32_t(key >> 32));
  }
  int bits = 0;
  while (bits < 32 && (largest - smallest) >> bits != 0) ++bits;
  const int n_passes = (bits + kMostDigitBits - 1) / kMostDigitBits;
  const int digit_bits = n_passes == 0 ? 0 : (bits + n_passes - 1) / n_passes;
  const std::uint32_t n_digits = std::uint32_t(1) << digit_bits;
  const auto digit = [=](std::uint64_t key, int pass) {  // of the distance from the largest: that comes first
    return (largest - std::uint32_t(key >> 32)) >> (pass * digit_bits) & (n_digits - 1);
  };
  std::vector<std::uint64_t> sorted(n_passes == 0 ? 0 : keys.size());
  std::vector<std::uint32_t> starts(n_digits);
  for (int pass = 0; pass < n_passes; ++pass) {
    std::fill(starts.begin(), starts.end(), 0u);
    for (const std::uint64_t key : keys) ++starts[digit(key, pass)];
    std::uint32_t sum = 0;
    for (std::uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const std::uint64_t key : keys) sorted[starts[digit(key, pass)]++] = key;
    keys.swap(sorted);
  }
  for (std::size_t first = 0; first < keys.size();) {
    std::size_t end = first + 1;
    while (end < keys.size() && keys[end] >> 32 == keys[first] >> 32) ++end;
    if (end - first > 1) {
      std::sort(keys.begin() + std::ptrdiff_t(first), keys.begin() + std::ptrdiff_t(end), std::greater<std::uint64_t>());
    }
    first = end;
  }
}

}  // namespace gpurec::cpu
