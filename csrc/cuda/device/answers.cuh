// The kernels that end a search: thresholds from samples, answers from lists, from units and from parts.
#pragma once
#include "finish.cuh"

namespace gpurec::cuda {

// Kernel find_threshold: taus from samples (n_queries, samples_per_query).
// Launch: any grid, a block a query in turn; shared: kFinishBytes. Bytes: 4 a sample, read five times (cache). Not measured.
GPUREC_KERNEL(find_threshold, SearchParams, 256) {
  SharedMemory memory;
  FinishShared shared(memory);
  for (std::int64_t query = block_index(); query < p.queries.n_queries; query += grid_blocks()) {
    if (p.queries.status[query] == kQueryFine) suppose_threshold(p, query, *shared.selection);
    sync_block();
  }
}

// Kernel finish: entries (n_queries, capacity) and counts -> answers of queries whose lists are complete, or flags.
// Keys in `keys` (n_queries, capacity); of counts zeros are left. Any k.
// Launch: any grid, a block a query in turn; shared: kFinishBytes.
// Bytes: 4 d + 16 at random a candidate, then 8 for each pass of the selection. Not measured.
GPUREC_KERNEL(finish, SearchParams, 256, 2) {
  SharedMemory memory;
  FinishShared shared(memory);
  for (std::int64_t query = block_index(); query < p.queries.n_queries; query += grid_blocks()) {
    finish_query(p, query, shared);
    sync_block();
  }
}

// Answers a query from its units' keys.
GPUREC_DEVICE void merge_query(const SearchParams& p, std::int64_t f, FinishShared& shared) {
  const std::int64_t query = p.flagged[1 + f];
  Selection& s = *shared.selection;
  std::uint64_t* const merged = p.merged_keys + f * p.n_units * p.unit_capacity;
  const std::uint32_t least = load_relaxed(p.counts + query);
  if (thread_index() == 0) s.n = 0;
  sync_block();
  for (std::int64_t u = 0; u < p.n_units; ++u) {
    const std::int64_t unit = f * p.n_units + u;
    const std::uint64_t* const keys = p.unit_keys + unit * p.unit_capacity;
    for_each_in_block(p.unit_counts[unit], [&](std::int64_t i) {
      const std::uint64_t key = keys[i];
      if (std::uint32_t(key >> 32) < least) return;
      if (GPUREC_PLANTED(cuda_filter_late) && p.n_deny != 0 && is_denied(p, query, std::uint32_t(row_of_key(key)))) return;
      merged[atomic_add(&s.n, 1u)] = key;
    });
  }
  sync_block();
  const std::uint32_t n = s.n;
  sync_block();
  answer(p, query, [=](std::int64_t i) { return merged[i]; }, n, n, shared);
  if (thread_index() == 0) store_relaxed(p.counts + query, 0u);
}

// Kernel merge_units: answers of all flagged queries from unit_keys and unit_counts. Leaves their counts zero. Any k.
// Launch: any grid, a block a flagged query in turn; shared: kFinishBytes. Bytes: 16 a key, then as finish. Not measured.
GPUREC_KERNEL(merge_units, SearchParams, 256) {
  SharedMemory memory;
  FinishShared shared(memory);
  const std::int64_t n = p.flagged[0];
  for (std::int64_t f = block_index(); f < n; f += grid_blocks()) {
    merge_query(p, f, shared);
    sync_block();
  }
}

// Kernel merge_answers: the best of several answers to the same queries, whose rows are distinct; row -1 is nobody.
// rows, scores (n_parts, n_queries, k_part) -> out_rows, out_scores (n_queries, k).
// Launch: any grid, a block a query in turn; shared: kFinishBytes. Bytes: 12 a place, for each pass. Not measured.
GPUREC_KERNEL(merge_answers, MergeParams, 256) {
  SharedMemory memory;
  FinishShared shared(memory);
  Selection& s = *shared.selection;
  for (std::int64_t query = block_index(); query < p.n_queries; query += grid_blocks()) {
    const auto get = [&](std::int64_t i) -> std::uint64_t {
      const std::int64_t at = (i / p.k_part * p.n_queries + query) * p.k_part + i % p.k_part;
      const std::int64_t row = p.rows[at];
      return row < 0 ? 0 : order_key(p.scores[at], row);
    };
    const std::int64_t n = p.n_parts * p.k_part;
    if (thread_index() == 0) s.n = 0;
    sync_block();
    std::uint32_t found = 0;
    for_each_in_block(n, [&](std::int64_t i) { found += get(i) != 0 ? 1 : 0; });
    found = sum_of_warp(found);
    if (lane_index() == 0) atomic_add(&s.n, found);
    sync_block();
    found = s.n;
    sync_block();
    in_order(get, n, found, p.k, shared.sorted, s, [&](std::int64_t place, std::uint64_t key) {
      p.out_rows[query * p.k + place] = row_of_key(key);
      p.out_scores[query * p.k + place] = score_of_key(key);
    });
    for_each_in_block(p.k, [&](std::int64_t i) {
      if (i < std::int64_t(found)) return;
      p.out_rows[query * p.k + i] = -1;
      p.out_scores[query * p.k + i] = -std::numeric_limits<float>::infinity();
    });
    sync_block();
  }
}

}  // namespace gpurec::cuda
