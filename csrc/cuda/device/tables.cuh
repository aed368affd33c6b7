// Rows made ready for a search: items once, queries each time. docs/design/0013-kernels-of-a-search.md says why they lie so.
#pragma once
#include "near.cuh"
#include "params.hpp"
#include "rows.cuh"

namespace gpurec::cuda {

// This warp among all of the grid, and how many there are.
GPUREC_DEVICE std::int64_t warp_of_grid() {
  return std::int64_t(block_index()) * (block_threads() / kWarp) + warp_index();
}
GPUREC_DEVICE std::int64_t warps_of_grid() { return std::int64_t(grid_blocks()) * (block_threads() / kWarp); }

// Kernel prepare_items: raw rows made ready for the metric.
// source (any, source_stride), source_rows (n) or null -> rows (n, row_stride) zero past d, on to n_tiles * 64 of them;
// squares (n), status (n), each unless null. Position r has source row source_rows[r], or r; kNoRow: zeros. A row that is
// not finite becomes zeros; without a status to tell it NaN comes first, and so into all that it is multiplied with.
// Launch: any grid, blocks of whole warps, a warp a row in turn; no shared memory.
// Bytes: 4 d read twice to four times (cache) and 4 row_stride written a row. Not measured.
GPUREC_KERNEL(prepare_items, TableParams, 256, 3) {
  const std::int64_t end = p.n_tiles << kTileBits > p.n ? p.n_tiles << kTileBits : p.n;
  for (std::int64_t r = warp_of_grid(); r < end; r += warps_of_grid()) {
    float* const row = p.rows + r * p.row_stride;
    const std::int64_t found = r >= p.n ? std::int64_t(kNoRow) : p.source_rows == nullptr ? r : p.source_rows[r];
    bool finite = true;
    if (found == std::int64_t(kNoRow)) {
      for (std::int64_t i = lane_index(); i < p.row_stride; i += kWarp) row[i] = 0.0f;
    } else {
      finite = prepare_row_by_warp(p.source + found * p.source_stride, p.d, Metric(p.metric), row, p.row_stride);
    }
    // Lane 0 reads what it writes.
    if (!finite && p.status == nullptr && lane_index() == 0) row[0] = std::numeric_limits<float>::quiet_NaN();
    const double squares = squares_by_warp(row, p.d);
    if (lane_index() != 0 || r >= p.n) continue;
    if (p.squares != nullptr) p.squares[r] = squares;
    if (p.status != nullptr) p.status[r] = finite ? kQueryFine : kQueryNotFinite;
  }
}

// Kernel gather_rows: prepared rows to where the index wants them, with what an item has besides.
// source (n, source_stride) prepared, source_rows (n_tiles * 64) -> rows, norms, row_of of tiles first_tile and on;
// positions without a row become zeros and kNoRow. `squares` is of source rows; null: they are calculated.
// Launch: any grid, blocks of whole warps, a warp a position in turn; no shared memory.
// Bytes: 4 d read and 4 row_stride written an item. Not measured.
GPUREC_KERNEL(gather_rows, TableParams, 256, 4) {
  const std::int64_t end = p.n_tiles << kTileBits;
  for (std::int64_t at = (p.first_tile << kTileBits) + warp_of_grid(); at < end; at += warps_of_grid()) {
    const std::int64_t found = p.source_rows == nullptr ? at : std::int64_t(p.source_rows[at]);
    const bool is_item = found < p.n;  // kNoRow is beyond every row
    const float* const x = p.source + (is_item ? found : 0) * p.source_stride;
    float* const row = p.rows + at * p.row_stride;
    for (std::int64_t i = lane_index(); i < p.row_stride; i += kWarp) row[i] = is_item && i < p.d ? x[i] : 0.0f;
    const double squares = !is_item               ? 0.0
                           : p.squares != nullptr ? p.squares[found]
                                                  : squares_by_warp(row, p.d);
    if (lane_index() != 0) continue;
    p.norms[at] = is_item ? stored_norm(squares, p.d) : 0.0f;
    if (p.row_of != nullptr) p.row_of[at] = is_item ? std::uint32_t(found) : kNoRow;
  }
}

// Kernel tile_norms: smallest and largest stored norm of the items of a tile, zeros where it has none.
// norms (n_tiles * 64), made from squares (n) where those are given; an item lies where row_of says so, or below n where
// that is null -> smallest, largest (n_tiles). Launch: any grid, blocks of whole warps, a warp a tile in turn; no shared
// memory. Bytes: 8 an item. Not measured.
GPUREC_KERNEL(tile_norms, TableParams, 256) {
  for (std::int64_t t = p.first_tile + warp_of_grid(); t < p.n_tiles; t += warps_of_grid()) {
    float smallest = std::numeric_limits<float>::infinity();
    float largest = 0.0f;
    bool found = false;
    for (int half = 0; half < 2; ++half) {
      const std::int64_t at = (t << kTileBits) + half * kWarp + lane_index();
      if (p.squares != nullptr) p.norms[at] = at < p.n ? stored_norm(p.squares[at], p.d) : 0.0f;
      if (p.row_of == nullptr ? at >= p.n : p.row_of[at] == kNoRow) continue;
      const float norm = p.norms[at];
      smallest = norm < smallest ? norm : smallest;
      largest = norm > largest ? norm : largest;
      found = true;
    }
    found = any(found);
    smallest = best_of_warp(smallest, [](float a, float b) { return a < b; });
    largest = largest_of_warp(largest);
    if (lane_index() != 0) continue;
    p.smallest[t] = found ? smallest : 0.0f;
    p.largest[t] = largest;
  }
}

// Kernel quantise_tiles: a code of a byte for each component, one scale a tile.
// rows (n_tiles * 64, row_stride) -> codes (n_tiles * 64, code_stride) zero past d, scales, errors (n_tiles).
// Launch: any grid, blocks of whole warps, a block a tile in turn; shared memory: 2 floats for each warp.
// Bytes: 4 d read three times (cache) and code_stride written an item. Not measured.
GPUREC_KERNEL(quantise_tiles, TableParams, 256, 4) {
  SharedMemory shared;
  const int n_warps = block_threads() / kWarp;
  float* const of_warps = shared.take<float>(n_warps);
  float* const errors = shared.take<float>(n_warps);
  for (std::int64_t t = p.first_tile + block_index(); t < p.n_tiles; t += grid_blocks()) {
    const std::int64_t first = t << kTileBits;
    float largest = 0.0f;
    for (int j = warp_index(); j < kTile; j += n_warps) {
      const float of_row = largest_by_warp(p.rows + (first + j) * p.row_stride, p.d);
      largest = of_row > largest ? of_row : largest;
    }
    if (lane_index() == 0) of_warps[warp_index()] = largest;
    sync_block();
    for (int w = 0; w < n_warps; ++w) largest = of_warps[w] > largest ? of_warps[w] : largest;
    const float scale = fits_in_codes(p.d) ? scale_for(largest, 127) : 0.0f;
    float error = 0.0f;
    for (int j = warp_index(); j < kTile; j += n_warps) {
      std::int8_t* const codes = p.codes + (first + j) * p.code_stride;
      if (scale == 0.0f) {
        for (std::int64_t i = lane_index(); i < p.code_stride; i += kWarp) codes[i] = 0;
        continue;
      }
      const CodedRow row = quantise_row_by_warp(p.rows + (first + j) * p.row_stride, p.d, scale, codes, p.code_stride);
      const float of_row = round_up32(row.error);
      error = of_row > error ? of_row : error;
    }
    if (lane_index() == 0) errors[warp_index()] = error;
    sync_block();
    if (thread_index() == 0) {
      for (int w = 0; w < n_warps; ++w) error = errors[w] > error ? errors[w] : error;
      p.scales[t] = scale;
      p.errors[t] = error;
    }
  }
}

// Kernel permit: which items may be returned, a bit each.
// row_of (n_tiles * 64), mask (n_rows) or null -> permits (n_tiles). Launch: any grid, blocks of whole warps, a warp a tile
// in turn; no shared memory. Bytes: 4 read in turn and 1 at random an item. Not measured.
GPUREC_KERNEL(permit, TableParams, 256) {
  for (std::int64_t t = p.first_tile + warp_of_grid(); t < p.n_tiles; t += warps_of_grid()) {
    std::uint64_t word = 0;
    for (int half = 0; half < 2; ++half) {
      const std::int64_t row = p.row_of[(t << kTileBits) + half * kWarp + lane_index()];
      const bool may = row < p.n_rows && (p.mask == nullptr || p.mask[row] != 0);
      word |= std::uint64_t(ballot(may)) << (half * kWarp);
    }
    if (lane_index() == 0) p.permits[t] = word;
  }
}

// Kernel prepare_queries: raw queries made ready: all of Queries but its source; counts and flagged[0] become zero.
// source (n_queries, source_stride) -> rows, squares, status, taus; where there are codes: codes of n_queries rounded up
// to 128, scales, lengths, errors. A query that is not finite becomes zeros and is answered by padding.
// Launch: any grid, blocks of whole warps, a warp a query in turn; no shared memory.
// Bytes: 4 d read and 4 row_stride + code_stride written a query. Not measured.
GPUREC_KERNEL(prepare_queries, SearchParams, 256, 2) {
  const Queries& q = p.queries;
  const std::int64_t d = p.items.d;
  const std::int64_t n = q.codes == nullptr ? q.n_queries : round_up(q.n_queries, kCodedQueries);
  if (block_index() == 0 && thread_index() == 0) p.flagged[0] = 0;
  for (std::int64_t i = warp_of_grid(); i < n; i += warps_of_grid()) {
    std::int8_t* const codes = q.codes == nullptr ? nullptr : q.codes + i * p.items.code_stride;
    bool coded = false;
    if (i < q.n_queries) {
      float* const row = q.rows + i * p.items.row_stride;
      const bool finite = prepare_row_by_warp(q.source + i * q.source_stride, d - q.appended, Metric(q.metric), row,
                                              p.items.row_stride);
      if (q.appended != 0 && finite && lane_index() == (d - 1) % kWarp) row[d - 1] = 1.0f;
      const double squares = squares_by_warp(row, d);
      const float scale = codes != nullptr && fits_in_codes(d) ? scale_for(largest_by_warp(row, d), 127) : 0.0f;
      coded = scale != 0.0f;
      CodedRow result = {0.0, 0.0};
      if (coded) result = quantise_row_by_warp(row, d, scale, codes, p.items.code_stride);
      if (lane_index() == 0) {
        q.squares[i] = squares;
        q.taus[i] = lowest_score(p);
        if (!finite || !GPUREC_PLANTED(cuda_status_stale)) q.status[i] = finite ? kQueryFine : kQueryNotFinite;
        p.counts[i] = 0;
        if (codes != nullptr) {
          q.scales[i] = scale;
          q.lengths[i] = result.length;
          q.errors[i] = result.error;
        }
      }
    }
    if (codes == nullptr || coded) continue;
    for (std::int64_t c = lane_index(); c < p.items.code_stride; c += kWarp) codes[c] = 0;
  }
}

// Finds out whether a query's set ascends; true where it holds what is no row. By a warp.
GPUREC_DEVICE bool check_set(const Sets& sets, std::int64_t query, std::int64_t n_rows) {
  if (sets.indptr == nullptr || sets.unsorted == nullptr) return false;
  const std::int64_t set = set_of(sets, query);
  const std::int64_t first = sets.indptr[set], end = sets.indptr[set + 1];
  bool falls = false, outside = false;
  for (std::int64_t e = first + lane_index(); e < end; e += kWarp) {
    const std::int64_t row = sets.rows[e];
    falls = falls || (e > first && sets.rows[e - 1] > row);
    outside = outside || row < -1 || row >= n_rows;
  }
  falls = any(falls);
  if (lane_index() == 0) store_relaxed(sets.unsorted + set, falls ? 1u : 0u);  // all queries of a set write the same
  return any(outside);
}

// Kernel check_sets: looks through sets of rows that come from a device. For each query and each kind of set that has room
// for it: whether the set's rows ascend, and, in status, whether all are rows, or -1. After prepare_queries.
// Launch: any grid, blocks of whole warps, a warp a query in turn; no shared memory. Bytes: 8 an entry. Not measured.
GPUREC_KERNEL(check_sets, SearchParams, 256) {
  for (std::int64_t i = warp_of_grid(); i < p.queries.n_queries; i += warps_of_grid()) {
    bool outside = check_set(p.allow, i, p.items.n_rows);
    GPUREC_NO_UNROLL
    for (int s = 0; s < p.n_deny; ++s) outside = check_set(p.deny[s], i, p.items.n_rows) || outside;
    if (outside && lane_index() == 0) atomic_or(p.queries.status + i, std::uint32_t(kRowOutOfRange));
  }
}

}  // namespace gpurec::cuda
