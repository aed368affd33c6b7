// Selection and order within a block: the same answer whatever the schedule, since keys alone decide.
#pragma once
#include "gpurec/order.hpp"
#include "params.hpp"
#include "rows.cuh"

namespace gpurec::cuda {

constexpr int kBins = 256;  // of a digit of kDigit bits
constexpr int kDigit = 8;
#ifdef GPUREC_EMULATED
constexpr int kSortedTogether = 64;  // so that a few hundred keys make several chunks
#else
constexpr int kSortedTogether = 2048;
#endif

// Shared memory of a block that selects.
struct Selection {
  std::uint32_t bins[kBins];
  std::uint64_t prefix;
  std::uint64_t set;
  std::uint64_t unset;
  std::uint32_t rank;      // within what has the prefix
  std::uint32_t in_bin;    // keys of the bin that was chosen
  std::uint32_t n;         // entered so far
  std::uint32_t flag;
};

// The block's threads take n numbers in turn.
template <class Body>
GPUREC_DEVICE void for_each_in_block(std::int64_t n, Body body) {
  for (std::int64_t i = thread_index(); i < n; i += block_threads()) body(i);
}

// Leaves in s the bits that any key has and those that any key has not; keys of 0 do not count. By all threads.
template <class Get>
GPUREC_DEVICE void bits_of_keys(Get get, std::int64_t n, Selection& s) {
  if (thread_index() == 0) s.set = s.unset = 0;
  sync_block();
  std::uint64_t set = 0, unset = 0;
  for_each_in_block(n, [&](std::int64_t i) {
    const std::uint64_t key = get(i);
    if (key == 0) return;
    set |= key;
    unset |= ~key;
  });
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) {
    set |= shfl_xor(set, half);
    unset |= shfl_xor(unset, half);
  }
  if (lane_index() == 0 && set != 0) {
    atomic_or(&s.set, set);
    atomic_or(&s.unset, unset);
  }
  sync_block();
}

// From the highest bin down, the one that the rank-th key lies in, by the first warp: leaves it in s.
GPUREC_DEVICE void choose_bin(Selection& s, int shift) {
  if (warp_index() != 0) return;
  constexpr int kEach = kBins / kWarp;
  const int lane = lane_index();
  const std::uint32_t rank = s.rank;
  const std::uint64_t prefix = s.prefix;
  std::uint32_t own = 0;  // in the lane's bins, of which lane 0 has the highest
  GPUREC_UNROLL
  for (int i = 0; i < kEach; ++i) own += s.bins[kBins - 1 - lane * kEach - i];
  std::uint32_t before = own;
  GPUREC_UNROLL
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const std::uint32_t other = shfl_up(before, distance);
    if (lane >= distance) before += other;
  }
  before -= own;
  sync_warp();
  if (before >= rank || before + own < rank) return;
  for (int i = 0; i < kEach; ++i) {
    const int bin = kBins - 1 - lane * kEach - i;
    const std::uint32_t in_bin = s.bins[bin];
    if (before + in_bin >= rank) {
      s.prefix = prefix | std::uint64_t(bin) << shift;
      s.rank = rank - before;
      s.in_bin = in_bin;
      return;
    }
    before += in_bin;
  }
}

// A key that exactly `rank` of the keys of `get` reach, where they are distinct, else the rank-th largest; keys of 0 do
// not count, and there are at least `rank` >= 1 others. By all threads of the block, which all get it.
template <class Get>
GPUREC_DEVICE std::uint64_t nth_largest(Get get, std::int64_t n, std::uint32_t rank, Selection& s) {
  bits_of_keys(get, n, s);
  const std::uint64_t set = s.set, differing = set & s.unset;
  sync_block();  // before s is used again
  if (differing == 0) return set;
  int shift = 64 - leading_zeros(differing) - kDigit;
  if (shift < 0) shift = 0;
  std::uint64_t known = shift + kDigit >= 64 ? 0 : ~std::uint64_t(0) << (shift + kDigit);
  if (thread_index() == 0) {
    s.prefix = set & known;
    s.rank = rank;
  }
  for (;;) {
    for_each_in_block(kBins, [&](std::int64_t i) { s.bins[i] = 0; });
    sync_block();
    const std::uint64_t prefix = s.prefix;
    for_each_in_block(n, [&](std::int64_t i) {
      const std::uint64_t key = get(i);
      if (key != 0 && (key & known) == prefix) atomic_add(&s.bins[key >> shift & (kBins - 1)], 1u);
    });
    sync_block();
    choose_bin(s, shift);
    sync_block();
    if (shift == 0 || s.in_bin == s.rank) break;  // all of the bin reach it
    known |= std::uint64_t(kBins - 1) << shift;
    shift = shift < kDigit ? 0 : shift - kDigit;
  }
  const std::uint64_t key = s.prefix;
  sync_block();  // before s is used again
  return key;
}

// The smallest key of `get` from `bound` on; there is one. By all threads of the block, which all get it.
template <class Get>
GPUREC_DEVICE std::uint64_t smallest_from(Get get, std::int64_t n, std::uint64_t bound, Selection& s) {
  if (thread_index() == 0) s.set = ~std::uint64_t(0);
  sync_block();
  std::uint64_t smallest = ~std::uint64_t(0);
  for_each_in_block(n, [&](std::int64_t i) {
    const std::uint64_t key = get(i);
    if (key >= bound && key < smallest) smallest = key;
  });
  smallest = best_of_warp(smallest, [](std::uint64_t a, std::uint64_t b) { return a < b; });
  if (lane_index() == 0) atomic_min(&s.set, smallest);
  sync_block();
  smallest = s.set;
  sync_block();
  return smallest;
}

// Sorts n <= kSortedTogether keys in shared memory, the largest first; room for the next power of two.
GPUREC_DEVICE void sort_in_shared(std::uint64_t* keys, int n) {
  int room = 1;
  while (room < n) room *= 2;
  for_each_in_block(GPUREC_PLANTED(cuda_past_shared) ? 2 * room : room, [&](std::int64_t i) {
    if (i >= n && !GPUREC_PLANTED(cuda_slot_unwritten)) keys[i] = 0;
  });
  sync_block();
  for (int run = 2; run <= room; run *= 2) {
    for (int distance = run / 2; distance > 0; distance /= 2) {
      for (int pair = thread_index(); pair < room / 2; pair += block_threads()) {
        const int i = pair / distance * distance * 2 + pair % distance;
        const int j = i + distance;
        const std::uint64_t a = keys[i], b = keys[j];
        const bool falling = (i & run) == 0;
        if ((a < b) == falling) {
          keys[i] = b;
          keys[j] = a;
        }
      }
      if (!GPUREC_PLANTED(cuda_barrier_missing)) sync_block();
    }
  }
  if (GPUREC_PLANTED(cuda_barrier_missing)) sync_block();
}

// The best `wanted` of the n keys of `get`, of which n_keys are not 0 and distinct, in order: emit(place, key). A chunk of
// kSortedTogether places at a time: the key that bounds it is selected, what lies above is sorted in shared memory.
// By all threads of the block.
template <class Get, class Emit>
GPUREC_DEVICE void in_order(Get get, std::int64_t n, std::uint32_t n_keys, std::int64_t wanted, std::uint64_t* sorted,
                            Selection& s, Emit emit) {
  if (std::int64_t(n_keys) < wanted) wanted = n_keys;
  std::uint64_t upper = 0;  // all keys from it on have been emitted; 0: none
  for (std::int64_t done = 0; done < wanted;) {
    const std::int64_t left = std::int64_t(n_keys) - done;
    const std::int64_t here = wanted - done < kSortedTogether ? wanted - done : kSortedTogether;
    std::uint64_t lower = 1;
    if (left > kSortedTogether) {
      lower = nth_largest(get, n, std::uint32_t(done + here), s);
    }
    if (thread_index() == 0) s.n = 0;
    sync_block();
    for_each_in_block(n, [&](std::int64_t i) {
      const std::uint64_t key = get(i);
      if (key >= lower && (upper == 0 || key < upper)) sorted[atomic_add(&s.n, 1u)] = key;
    });
    sync_block();
    sort_in_shared(sorted, int(s.n));
    for_each_in_block(here, [&](std::int64_t i) { emit(done + i, sorted[i]); });
    upper = lower;
    done += here;
    sync_block();
  }
}

}  // namespace gpurec::cuda
