// Order keys, largest first. Many are sorted by the digits of their scores; runs of equal scores, which are short
// or rare, are then put in the order of their rows.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

namespace gpurec::cpu {

inline void sort_keys(std::vector<std::uint64_t>& keys) {
  constexpr std::size_t kFewKeys = 512;  // below, comparing costs less than counting digits
  constexpr int kDigitBits = 11;
  constexpr std::uint32_t kDigits = 1u << kDigitBits;
  if (keys.size() <= kFewKeys) {
    std::sort(keys.begin(), keys.end(), std::greater<std::uint64_t>());
    return;
  }
  const auto digit = [](std::uint64_t key, int pass) {
    return (~std::uint32_t(key >> 32) >> (pass * kDigitBits)) & (kDigits - 1);  // inverted: largest first
  };
  std::vector<std::array<std::uint32_t, kDigits>> starts(3);
  for (auto& pass : starts) pass.fill(0);
  for (const std::uint64_t key : keys) {
    for (int pass = 0; pass < 3; ++pass) ++starts[std::size_t(pass)][digit(key, pass)];
  }
  std::vector<std::uint64_t> sorted(keys.size());
  for (int pass = 0; pass < 3; ++pass) {
    auto& start = starts[std::size_t(pass)];
    std::uint32_t sum = 0;
    for (std::uint32_t& count : start) {
      const std::uint32_t here = count;
      count = sum;
      sum += here;
    }
    for (const std::uint64_t key : keys) sorted[start[digit(key, pass)]++] = key;
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
