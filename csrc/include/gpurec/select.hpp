// Kernel `select`: what a threshold does to lists of values, per ISA. Arrays may be unaligned; values are finite
// unless said otherwise.
#pragma once
#include <cstdint>

namespace gpurec {

// The first index in [from, n) whose value lies above a threshold, n where there is none; NaN is above nothing.
using FindAbove = std::int64_t (*)(const float* values, std::int64_t from, std::int64_t n, float threshold);

// A value t that at least k of the n values reach, 1 <= k <= n, and hardly more than k + k/128 (8 for k of hundreds) where none are equal:
// a threshold that is quick to find.
using NearKthLargest = float (*)(const float* values, std::int64_t n, std::int64_t k);

// Moves the (value, position) pairs whose value is not <= threshold to the front, in order; returns how many.
using KeepAbove = std::int64_t (*)(float* values, std::uint32_t* positions, std::int64_t n, float threshold);

// Appends scores[j] and first + j for each set bit j, in order; returns how many. May write 64 places past
// the last one that counts.
using AppendHits = int (*)(const float* scores, std::uint32_t first, std::uint64_t bits, float* values,
                           std::uint32_t* positions);

// Smallest and largest of n >= 1 order keys.
using RangeOfKeys = void (*)(const std::uint64_t* keys, std::int64_t n, std::uint64_t* smallest, std::uint64_t* largest);

// The first index in [from, n) whose key has the score of the next one, n - 1 where there is none; n >= 1.
using FindTie = std::int64_t (*)(const std::uint64_t* keys, std::int64_t from, std::int64_t n);

}  // namespace gpurec
