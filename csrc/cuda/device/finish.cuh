// The end of a search: thresholds from samples, answers from lists.
#pragma once
#include "near.cuh"
#include "rows.cuh"
#include "select.cuh"

namespace gpurec::cuda {

// Shared memory of a block that finishes.
struct FinishShared {
  Selection* selection;
  std::uint64_t* sorted;  // kSortedTogether
  GPUREC_DEVICE explicit FinishShared(SharedMemory& shared)
      : selection(shared.take<Selection>(1)), sorted(shared.take<std::uint64_t>(kSortedTogether)) {}
};
static_assert(shared_bytes<Selection>(1) + shared_bytes<std::uint64_t>(kSortedTogether) <= kFinishBytes, "a finishing block");

// The threshold that a query's sample supposes: what the rank-th best of it stands for; it is never below what is asked for.
GPUREC_DEVICE void suppose_threshold(const SearchParams& p, std::int64_t query, Selection& s) {
  const float* const samples = p.samples + query * p.samples_per_query;
  const auto get = [=](std::int64_t i) -> std::uint64_t {
    const float value = samples[i];
    return value > -std::numeric_limits<float>::infinity() ? monotone_u32(value) : 0;
  };
  if (thread_index() == 0) s.n = 0;
  sync_block();
  std::uint32_t found = 0;
  for_each_in_block(p.samples_per_query, [&](std::int64_t i) { found += get(i) != 0 ? 1 : 0; });
  found = sum_of_warp(found);
  if (lane_index() == 0) atomic_add(&s.n, found);
  sync_block();
  if (std::int64_t(s.n) < p.rank || p.rank < 1) return;
  const std::uint64_t reached = nth_largest(get, p.samples_per_query, std::uint32_t(p.rank), s);
  const std::uint64_t key = smallest_from(get, p.samples_per_query, reached, s);
  if (thread_index() != 0) return;
  const Metric metric = p.items.euclidean != 0 ? Metric::euclidean : Metric::dot;
  const QueryBound bound(metric, p.items.d, p.queries.squares[query]);
  const float supposed = round32(bound.estimate(score_of_monotone(std::uint32_t(key))));
  const float lowest = lowest_score(p);
  p.queries.taus[query] = supposed > lowest ? supposed : lowest;
}

// An answer's places from `n` on are nobody's.
GPUREC_DEVICE void pad_answer(const SearchParams& p, std::int64_t query, std::int64_t n) {
  for_each_in_block(p.k - n, [&](std::int64_t i) {
    p.out_rows[query * p.k + n + i] = -1;
    p.out_scores[query * p.k + n + i] = -std::numeric_limits<float>::infinity();
  });
}

// Answers a query with the best of n keys, of which n_keys are not 0. By all threads of the block.
template <class Get>
GPUREC_DEVICE void answer(const SearchParams& p, std::int64_t query, Get get, std::int64_t n, std::uint32_t n_keys,
                          FinishShared& shared) {
  in_order(get, n, n_keys, p.k, shared.sorted, *shared.selection, [&](std::int64_t place, std::uint64_t key) {
    p.out_rows[query * p.k + place] = row_of_key(key);
    p.out_scores[query * p.k + place] = score_of_key(key);
  });
  pad_answer(p, query, std::int64_t(n_keys) < p.k ? std::int64_t(n_keys) : p.k);
}

// Whether the query has to be answered by the exact path: its list was full, or too little in it reaches what was supposed.
GPUREC_DEVICE void flag(const SearchParams& p, std::int64_t query) {
  p.flagged[1 + atomic_add(p.flagged, 1u)] = std::uint32_t(query);
}

// Scores the n entries of a query's list; keys of those that reach the threshold, 0 of the others. How many did.
GPUREC_DEVICE std::uint32_t score_list(const SearchParams& p, std::int64_t query, std::int64_t n, float least, Selection& s) {
  const std::uint64_t* const entries = p.entries + query * p.capacity;
  std::uint64_t* const keys = p.keys + query * p.capacity;
  const float* const row = p.queries.rows + query * p.items.row_stride;
  const int n_warps = block_threads() / kWarp, lane = lane_index();
  if (thread_index() == 0) s.n = 0;
  sync_block();
  for (std::int64_t first = warp_index() * kRowsTogether; first < n; first += n_warps * kRowsTogether) {
    const float* items[kRowsTogether];
    GPUREC_UNROLL
    for (int c = 0; c < kRowsTogether; ++c) {
      const std::int64_t e = first + c < n ? first + c : n - 1;
      items[c] = p.items.rows + std::int64_t(entries[e] >> 32) * p.items.row_stride;
    }
    const float score = round32(canonical_sums(row, items, p.items.d, p.items.euclidean != 0));
    const std::int64_t e = first + lane / 4;
    const bool own = lane % 4 == 0 && e < n;
    const bool reaches = own && is_finite(score) && score >= least;
    if (own) {
      const std::uint32_t public_row = GPUREC_PLANTED(cuda_key_without_row) ? 0 : p.items.row_of[entries[e] >> 32];
      keys[e] = reaches ? order_key(score, public_row) : 0;
    }
    const std::uint32_t found = popcount(ballot(reaches));
    if (lane == 0 && found != 0) atomic_add(&s.n, found);
  }
  sync_block();
  const std::uint32_t found = s.n;
  sync_block();
  return found;
}

// A query whose list is complete is answered from it, one whose list is not is flagged. By all threads of the block.
GPUREC_DEVICE void finish_query(const SearchParams& p, std::int64_t query, FinishShared& shared) {
  if (p.queries.status[query] != kQueryFine) {
    pad_answer(p, query, 0);
    return;
  }
  const bool first = thread_index() == 0;
  const std::uint32_t came_near = load_relaxed(p.counts + query);
  sync_block();  // all have read it
  if (first) count(p, query, kCandidates, came_near);
  if (p.allow.indptr != nullptr) {
    if (first) flag(p, query);
  } else if (std::int64_t(came_near) > p.capacity && !GPUREC_PLANTED(cuda_overflow_dropped)) {
    if (first) {
      count(p, query, kOverflows, 1);
      flag(p, query);
    }
  } else {
    const std::int64_t n = std::int64_t(came_near) < p.capacity ? std::int64_t(came_near) : p.capacity;
    const float tau = p.queries.taus[query];
    const std::uint32_t found = score_list(p, query, n, tau, *shared.selection);
    if (first) count(p, query, kRescored, std::uint64_t(n));
    const bool supposed = tau > lowest_score(p) && !GPUREC_PLANTED(cuda_supposition_trusted);
    if (supposed && std::int64_t(found) < p.k) {
      if (first) {
        count(p, query, kSuppositionsRefuted, 1);
        flag(p, query);
      }
    } else {
      const std::uint64_t* const keys = p.keys + query * p.capacity;
      answer(p, query, [=](std::int64_t i) { return keys[i]; }, n, found, shared);
    }
  }
  if (first) store_relaxed(p.counts + query, 0u);  // the exact path shares a threshold here
}

}  // namespace gpurec::cuda
