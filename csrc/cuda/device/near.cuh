// What all scans share: filters, the bounds of a query, which tiles it needs, what comes near, and who is last.
#pragma once
#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"
#include "gpurec/scan_i8.hpp"
#include "params.hpp"
#include "simt/simt.hpp"

namespace gpurec::cuda {

using namespace simt;

constexpr int kTile = 1 << kTileBits;
constexpr int kCodedQueries = 128;  // queries' codes are rounded up to so many

// --- Filters ---
GPUREC_DEVICE std::int64_t set_of(const Sets& sets, std::int64_t query) {
  return sets.which == nullptr ? query : sets.which[query];
}

GPUREC_DEVICE bool holds(const Sets& sets, std::int64_t query, std::int64_t row) {
  const std::int64_t set = set_of(sets, query);
  std::int64_t first = sets.indptr[set], end = sets.indptr[set + 1];
  if (sets.unsorted != nullptr && sets.unsorted[set] != 0) {
    for (; first < end; ++first) {
      if (sets.rows[first] == row) return true;
    }
    return false;
  }
  const std::int64_t last = end;
  while (first < end) {
    const std::int64_t middle = first + (end - first) / 2;
    if (sets.rows[middle] < row) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first < last && sets.rows[first] == row;
}

GPUREC_DEVICE bool is_denied(const SearchParams& p, std::int64_t query, std::uint32_t row) {
  for (int s = 0; s < p.n_deny; ++s) {
    if (holds(p.deny[s], query, row)) return true;
  }
  return false;
}

// Whether the mask lets anybody have the item at a position; positions without one have no permit.
GPUREC_DEVICE bool is_permitted(const Items& items, std::int64_t position) {
  return (items.permits[position >> kTileBits] >> (position & (kTile - 1)) & 1) != 0;
}

// Scores below it are not asked for.
GPUREC_DEVICE float lowest_score(const SearchParams& p) { return round_up32(p.threshold); }

GPUREC_DEVICE void count(const SearchParams& p, std::int64_t query, Counter counter, std::uint64_t n) {
  if (p.counters != nullptr && n != 0) atomic_add(p.counters + query * kCounters + counter, n);
}

// --- What a query rules out. Both arithmetics have the same words, so that a scan is written once for both ---
struct TileOfItems {
  float smallest;
  float largest;
  float scale;  // of codes
  float error;
};

template <bool with_codes>
GPUREC_DEVICE TileOfItems tile_of(const Items& items, std::int64_t t) {
  const TileOfItems tile = {ld_readonly(items.smallest + t), ld_readonly(items.largest + t), 0.0f, 0.0f};
  if constexpr (with_codes) {
    return {tile.smallest, tile.largest, ld_readonly(items.scales + t), ld_readonly(items.errors + t)};
  }
  return tile;
}

// In float32, whatever multiplies. `Limit` is what a scan value has to get past.
template <class Bound>
struct FloatQuery {
  using Value = float;
  using Limit = float;
  static constexpr bool kCodes = false;

  Bound bound;
  float tau;
  std::uint32_t is_asked;

  // Becomes query i; `more` is what the bound wants to know besides.
  template <class... More>
  GPUREC_DEVICE void ask(const SearchParams& p, std::int64_t i, More... more) {
    is_asked = i < p.queries.n_queries && p.queries.status[i] == kQueryFine ? 1u : 0u;
    if (is_asked == 0) return;
    bound = Bound(p.items.euclidean != 0 ? Metric::euclidean : Metric::dot, p.items.d, p.queries.squares[i], more...);
    tau = p.queries.taus[i];
  }
  // What does not get past is ruled out. NaN rules nothing out: these items could overflow on the way.
  GPUREC_DEVICE Limit limit(const TileOfItems& tile, bool) const {
    if (is_asked == 0) return never();
    if (!bound.valid(double(tile.largest))) return std::numeric_limits<float>::quiet_NaN();
    return bound.reject_at(tau, bound.slack(double(tile.largest)));
  }
  GPUREC_DEVICE static bool is_near(Value v, Limit limit) {
    if (GPUREC_PLANTED(cuda_near_above)) return v > limit;
    return !(v <= limit);
  }
  GPUREC_DEVICE static Limit never() { return std::numeric_limits<float>::infinity(); }
  GPUREC_DEVICE float dot_value(Value v, const TileOfItems&) const { return v; }
  GPUREC_DEVICE float scan_value(Value v, const TileOfItems&) const { return v; }
};

using Float32Query = FloatQuery<Float32Bound>;

// In codes. A sum of codes has to reach the limit.
struct Int8Query {
  using Value = std::int32_t;
  using Limit = std::int32_t;
  static constexpr bool kCodes = true;
  static constexpr std::int32_t kNever = (1 << 30) + 1;   // above every sum of codes
  static constexpr std::int32_t kAlways = -(1 << 30);     // below every one

  Int8Bound bound;
  float below, inverse_scale;
  float tau;
  std::uint32_t is_asked;

  GPUREC_DEVICE void ask(const SearchParams& p, std::int64_t i) {
    const Queries& q = p.queries;
    is_asked = i < q.n_queries && q.status[i] == kQueryFine && q.scales[i] != 0.0f ? 1u : 0u;
    if (is_asked == 0) return;
    const Metric metric = p.items.euclidean != 0 ? Metric::euclidean : Metric::dot;
    bound = Int8Bound(metric, p.items.d, q.squares[i], q.scales[i], q.lengths[i], q.errors[i]);
    tau = q.taus[i];
    below = bound.below(tau);
    inverse_scale = 1.0f / q.scales[i];
  }
  GPUREC_DEVICE Limit limit(const TileOfItems& tile, bool euclidean) const {
    if (is_asked == 0) return never();
    if (tile.scale == 0.0f) return kAlways;
    const float shift = euclidean ? bound.start_shift(bounds_of(tile)) : 0.0f;
    return least_sum(below, bound.length(), bound.error_per_norm(), inverse_scale,
                     {tile.error, tile.largest, 1.0f / tile.scale, shift});
  }
  GPUREC_DEVICE static Limit never() { return kNever; }
  GPUREC_DEVICE static bool is_near(Value v, Limit limit) { return v >= limit; }
  GPUREC_DEVICE float scan_value(Value v, const TileOfItems& tile) const {
    return dot_value(v, tile) - bound.shift(bounds_of(tile));
  }
  GPUREC_DEVICE float dot_value(Value v, const TileOfItems& tile) const {
    if (is_asked == 0 || tile.scale == 0.0f) return std::numeric_limits<float>::quiet_NaN();
    return float(v) * (bound.scale() * tile.scale);
  }
  GPUREC_DEVICE static TileBounds bounds_of(const TileOfItems& tile) {
    return {tile.scale, tile.error, norm_lower(tile.smallest), double(tile.largest)};
  }
};

// Whether norms leave it possible that a query is given an item of the tile.
template <class Query>
GPUREC_DEVICE bool needs(const Query& query, const TileOfItems& tile) {
  if (query.is_asked == 0) return false;
  return !(query.bound.best_possible(norm_lower(tile.smallest), double(tile.largest)) < query.tau);
}

// --- The lists of a scan ---
// Enters an item that came near and that the query may be given; what finds no room is counted all the same.
GPUREC_DEVICE void enter(const SearchParams& p, std::int64_t query, std::int64_t position, float scan_value) {
  if (!is_permitted(p.items, position)) return;
  if (p.n_deny != 0 && is_denied(p, query, p.items.row_of[position])) {
    count(p, query, kDenied, 1);
    return;
  }
  std::uint32_t slot;
  if (GPUREC_PLANTED(cuda_count_not_atomic)) {
    slot = load_relaxed(p.counts + query);
    store_relaxed(p.counts + query, slot + 1);
  } else {
    slot = atomic_add(p.counts + query, 1u);
  }
  if (std::int64_t(slot) >= p.capacity) return;
  p.entries[query * p.capacity + slot] = std::uint64_t(position) << 32 | bits_of(scan_value);
}

// The counts of queries that a scan of codes can not answer: too large to find room, so that the exact path takes them.
GPUREC_DEVICE void give_up_queries_without_codes(const SearchParams& p) {
  if (block_index() != 0) return;
  for (std::int64_t i = thread_index(); i < p.queries.n_queries; i += block_threads()) {
    if (p.queries.status[i] == kQueryFine && p.queries.scales[i] == 0.0f) {
      atomic_add(p.counts + i, std::uint32_t(p.capacity) + 1u);
    }
  }
}

// --- Samples: the best scan value of each group of items of a sampled tile, as a key that tells the item too ---
// Codes' values are dots; for distances each item's own norm tells more than what is amid those of its tile.
template <bool with_codes>
GPUREC_DEVICE std::uint64_t sample_key(const Items& items, std::int64_t position, float value) {
  if (with_codes && items.euclidean != 0) value += scan_start_of_norm(items.norms[position]);
  if (!is_finite(value) || !is_permitted(items, position)) return 0;
  return std::uint64_t(monotone_u32(value)) << 32 | std::uint32_t(position);
}
GPUREC_DEVICE void write_sample(const SearchParams& p, std::int64_t query, std::int64_t group, std::uint64_t best) {
  float value = -std::numeric_limits<float>::infinity();
  const bool asked = GPUREC_PLANTED(cuda_sample_unfiltered) || p.n_deny == 0;
  if (best != 0 && (asked || !is_denied(p, query, p.items.row_of[std::uint32_t(best)]))) {
    value = score_of_monotone(std::uint32_t(best >> 32));
  }
  p.samples[query * p.samples_per_query + group] = value;
}

// --- The last block ---
// True in all threads of the block that comes last of n; what the others wrote is there for it. `flag` is shared.
GPUREC_DEVICE bool is_last_block(std::uint32_t* arrivals, std::uint32_t n, std::uint32_t* flag) {
  sync_block();
  if (thread_index() == 0) {
    if (!GPUREC_PLANTED(cuda_fence_missing)) fence_device();  // for what the whole block wrote, since all came before
    const bool last = atomic_add(arrivals, 1u) == n - 1;
    fence_device();
    if (last) store_relaxed(arrivals, 0u);
    *flag = last ? 1u : 0u;
  }
  sync_block();
  return *flag != 0;
}
GPUREC_DEVICE std::uint32_t blocks_of_grid() {
  return std::uint32_t(grid_blocks()) * std::uint32_t(grid_blocks_y()) * std::uint32_t(grid_blocks_z());
}

}  // namespace gpurec::cuda
