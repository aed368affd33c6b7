// Order keys, largest first. Many are sorted by the digits of their scores, as many as these differ in; runs of
// equal scores, which are short or rare, are then put in the order of their rows.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/order.hpp"

namespace gpurec::cpu {

// Leaves new elements as they are: they are about to be written.
template <class T>
struct Uninitialised : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Uninitialised<U>;
  };
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }
};

using Keys = std::vector<std::uint64_t, Uninitialised<std::uint64_t>>;

constexpr std::size_t kFewKeys = 512;  // below, comparing costs less than counting digits

// What sorting needs besides the keys: a thread's own, so that it is not asked of the system each time.
struct SortRoom {
  static constexpr std::size_t kMostKept = 1 << 16;

  Keys keys;
  std::vector<std::uint32_t> starts;

  static SortRoom& of_thread() {
    thread_local SortRoom room;
    return room;
  }
};

// By kPasses digits of the distance from the largest score, that of the last digit first.
template <int kPasses>
void sort_by_digits(Keys& keys, std::uint32_t top, int digit_bits) {
  const std::uint32_t n_digits = std::uint32_t(1) << digit_bits;
  const auto digit = [=](std::uint64_t key, int pass) {
    return (top - std::uint32_t(key >> 32)) >> (pass * digit_bits) & (n_digits - 1);
  };
  SortRoom& room = SortRoom::of_thread();
  std::vector<std::uint32_t>& starts = room.starts;
  starts.assign(kPasses * n_digits, 0);
  std::uint32_t* start[kPasses];
  for (int pass = 0; pass < kPasses; ++pass) start[pass] = starts.data() + std::uint32_t(pass) * n_digits;
  for (const std::uint64_t key : keys) {
    for (int pass = 0; pass < kPasses; ++pass) ++start[pass][digit(key, pass)];
  }
  Keys& sorted = room.keys;
  sorted.resize(keys.size());
  for (int pass = 0; pass < kPasses; ++pass) {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < n_digits; ++i) sum += std::exchange(start[pass][i], sum);
    for (const std::uint64_t key : keys) sorted[start[pass][digit(key, pass)]++] = key;
    keys.swap(sorted);
  }
  if (sorted.capacity() > SortRoom::kMostKept) Keys().swap(sorted);
}

inline void sort_keys(Keys& keys, const Kernels& kernels) {
  if (keys.size() <= kFewKeys) {
    std::sort(keys.begin(), keys.end(), std::greater<std::uint64_t>());
    return;
  }
  const auto n = std::int64_t(keys.size());
  std::uint64_t smallest, largest;
  kernels.range_of_keys(keys.data(), n, &smallest, &largest);
  const auto top = std::uint32_t(largest >> 32);
  int bits = 0;
  while (bits < 32 && (top - std::uint32_t(smallest >> 32)) >> bits != 0) ++bits;
  // Digits of at most 12 bits, so that the counts of two passes stay in the first-level cache.
  if (bits > 24) {
    sort_by_digits<3>(keys, top, (bits + 2) / 3);
  } else if (bits > 12) {
    sort_by_digits<2>(keys, top, (bits + 1) / 2);
  } else if (bits > 0) {
    sort_by_digits<1>(keys, top, bits);
  }
  for (std::int64_t first = 0; (first = kernels.find_tie(keys.data(), first, n)) < n - 1;) {
    std::int64_t end = first + 2;
    while (end < n && keys[std::size_t(end)] >> 32 == keys[std::size_t(first)] >> 32) ++end;
    std::sort(keys.begin() + first, keys.begin() + end, std::greater<std::uint64_t>());
    first = end < n ? end : n - 1;
  }
}

// How many keys reach a score.
inline std::int64_t count_reaching(const Keys& keys, float score, const Kernels& kernels) {
  const auto n = std::int64_t(keys.size());
  if (n == 0) return 0;
  const std::uint64_t least = std::uint64_t(monotone_u32(score)) << 32;
  std::uint64_t smallest, largest;
  kernels.range_of_keys(keys.data(), n, &smallest, &largest);
  if (smallest >= least) return n;  // mostly
  return std::count_if(keys.begin(), keys.end(), [=](std::uint64_t key) { return key >= least; });
}

// How many from the first-th on have a score.
inline std::int64_t count_ties(const Keys& keys, std::size_t first, float score) {
  std::int64_t n = 0;
  for (std::size_t i = first; i < keys.size(); ++i) n += score_of_key(keys[i]) == score;
  return n;
}

// Leaves the largest k, in order. Returns how many of the others score the same as the last of them.
inline std::int64_t keep_best(Keys& keys, std::int64_t most, const Kernels& kernels) {
  const auto k = std::size_t(std::min<std::int64_t>(most, std::int64_t(keys.size())));
  std::int64_t n_ties = 0;
  // A few more are quicker sorted than told apart, and where digits are counted more than a few.
  if (keys.size() > (keys.size() > kFewKeys ? 4 * k : k + k / 2)) {
    std::nth_element(keys.begin(), keys.begin() + std::ptrdiff_t(k), keys.end(), std::greater<std::uint64_t>());
    n_ties = count_ties(keys, k, score_of_key(*std::min_element(keys.begin(), keys.begin() + std::ptrdiff_t(k))));
    keys.resize(k);
  }
  sort_keys(keys, kernels);
  if (keys.size() > k) {
    n_ties = count_ties(keys, k, score_of_key(keys[k - 1]));
    keys.resize(k);
  }
  return n_ties;
}

}  // namespace gpurec::cpu
