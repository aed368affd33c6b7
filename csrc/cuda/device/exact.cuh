// The exact path: canonical scores of all that a query may be given, for queries that no list answers, and the best of
// given scores. A query is split into units of one block each; each keeps keys in a buffer, cut to the best k when full.
#pragma once
#include "finish.cuh"

namespace gpurec::cuda {

// What a unit has, and the threshold that units of a query share: of k items that it may be given the least score, as
// monotone_u32. It may lag, never lead.
class Unit {
 public:
  struct Shared {
    std::uint32_t n;      // keys in the buffer
    std::uint32_t least;  // of scores that are of use, as monotone_u32
  };

  // Query `query`, the f-th of the exact path, unit u. By all threads of the block.
  GPUREC_DEVICE Unit(const SearchParams& p, std::int64_t query, std::int64_t f, std::int64_t u, Shared* shared)
      : p_(p),
        query_(query),
        shared_(shared),
        number_(f * p.n_units + u),
        keys_(p.unit_keys + number_ * p.unit_capacity),
        common_(p.counts + query) {
    sync_block();  // the unit before this one is done with it
    if (thread_index() == 0) {
      shared_->n = 0;
      shared_->least = 0;
      keep_up(monotone_u32(lowest_score(p)));
    }
    sync_block();
  }

  // What scores below are of no use.
  GPUREC_DEVICE std::uint32_t least() const { return shared_->least; }

  // Enters an item of which the score is not NaN or infinite. At most kMostEntered between two settles.
  GPUREC_DEVICE void enter(std::uint64_t key) { keys_[atomic_add(&shared_->n, 1u)] = key; }

  // Once all threads have entered what they had: makes room, and learns of other units' thresholds.
  GPUREC_DEVICE void settle(int most_entered, Selection& selection) {
    sync_block();
    const std::uint32_t n = shared_->n;
    sync_block();
    const bool full = std::int64_t(n) > p_.unit_capacity - most_entered && std::int64_t(n) > p_.k;
    std::uint32_t threshold = 0;
    if (full) threshold = compress(n, selection);
    if (thread_index() == 0) keep_up(threshold);
    sync_block();
  }

  GPUREC_DEVICE void finish() const {
    if (thread_index() == 0) p_.unit_counts[number_] = shared_->n;
  }

 private:
  GPUREC_DEVICE void keep_up(std::uint32_t threshold) {
    if (GPUREC_PLANTED(cuda_threshold_leads) && threshold != 0) ++threshold;
    if (threshold != 0) atomic_max(common_, threshold);
    const std::uint32_t known = load_relaxed(common_);
    const std::uint32_t own = threshold > known ? threshold : known;
    if (own > shared_->least) shared_->least = own;
  }

  // Cuts n > k keys to the best k; the score of the last.
  GPUREC_DEVICE std::uint32_t compress(std::uint32_t n, Selection& selection) {
    const std::uint64_t* const keys = keys_;
    const auto get = [=](std::int64_t i) { return keys[i]; };
    const std::uint64_t bound = nth_largest(get, n, std::uint32_t(p_.k), selection);
    const std::uint64_t last = smallest_from(get, n, bound, selection);
    if (thread_index() == 0) {
      shared_->n = 0;
      count(p_, query_, kCompressions, 1);
    }
    sync_block();
    // Keys move to the front, never past where others still have to be read: those of a turn are all read first.
    for (std::uint32_t first = 0; first < n; first += block_threads()) {
      const std::uint32_t i = first + thread_index();
      const std::uint64_t key = i < n ? keys_[i] : 0;
      sync_block();
      if (key >= last && key != 0) keys_[atomic_add(&shared_->n, 1u)] = key;
      sync_block();
    }
    return std::uint32_t(last >> 32);
  }

  const SearchParams& p_;
  std::int64_t query_;
  Shared* shared_;
  std::int64_t number_;
  std::uint64_t* keys_;
  std::uint32_t* common_;
};

// Shared memory of a block of the exact path.
struct ExactShared {
  Selection* selection;
  Unit::Shared* unit;
  GPUREC_DEVICE explicit ExactShared(SharedMemory& memory)
      : selection(memory.take<Selection>(1)), unit(memory.take<Unit::Shared>(1)) {}
};
static_assert(shared_bytes<Selection>(1) + shared_bytes<Unit::Shared>(1) <= kExactBytes, "a block of the exact path");

// The position of entry e of a query's allow set, -1 where it stands for no item, or for one that came before.
GPUREC_DEVICE std::int64_t allowed_position(const SearchParams& p, std::int64_t query, std::int64_t e) {
  const std::int64_t set = set_of(p.allow, query);
  const std::int64_t first = p.allow.indptr[set];
  const std::int64_t row = p.allow.rows[first + e];
  if (row < 0 || row >= p.items.n_rows) return -1;
  const std::uint32_t position = p.items.position_of[row];
  if (position == kNoRow) return -1;
  const bool ascend = p.allow.unsorted == nullptr || p.allow.unsorted[set] == 0;
  if (ascend) return e > 0 && p.allow.rows[first + e - 1] == row ? -1 : std::int64_t(position);
  for (std::int64_t before = 0; before < e; ++before) {
    if (p.allow.rows[first + before] == row) return -1;
  }
  return position;
}

// Scores eight positions with a warp, -1 being nobody, and enters what is of use.
template <class Position>
GPUREC_DEVICE void enter_scores(const SearchParams& p, std::int64_t query, Position position, Unit& unit,
                                std::uint64_t& scored) {
  const int lane = lane_index();
  std::int64_t own = position(lane / 4);
  if (own >= 0 && !is_permitted(p.items, own)) own = -1;
  if (!any(own >= 0)) return;
  const float* rows[kRowsTogether];
  GPUREC_UNROLL
  for (int c = 0; c < kRowsTogether; ++c) {
    const std::int64_t at = shfl(own, c * 4);
    rows[c] = p.items.rows + (at >= 0 ? at : 0) * p.items.row_stride;
  }
  const float* const row = p.queries.rows + query * p.items.row_stride;
  const float score = round32(canonical_sums(row, rows, p.items.d, p.items.euclidean != 0));
  if (lane % 4 != 0 || own < 0) return;
  ++scored;
  if (!is_finite(score) || monotone_u32(score) < unit.least()) return;
  const std::uint32_t public_row = p.items.row_of[own];
  if (p.n_deny != 0 && !GPUREC_PLANTED(cuda_filter_late) && is_denied(p, query, public_row)) {
    count(p, query, kDenied, 1);
    return;
  }
  unit.enter(order_key(score, public_row));
}

// Kernel exact_units: the units of all flagged queries, each with the best of its share of the items (at least what belongs to
// the best k of all). flagged, prepared queries, items -> unit_keys (flagged, n_units, unit_capacity), unit_counts.
// `counts` of flagged queries are zero before; units share thresholds there.
// Launch: any grid, a block a unit in turn, at once done where nothing is flagged; shared: kExactBytes.
// Bytes: 4 d an item that is permitted, 8 for what is entered. Not measured.
GPUREC_KERNEL(exact_units, SearchParams, 256, 2) {
  SharedMemory memory;
  const ExactShared shared(memory);
  const std::int64_t n_units = std::int64_t(p.flagged[0]) * p.n_units;
  constexpr int kWarps = 256 / kWarp;
  constexpr int kTogether = kWarps * kRowsTogether;  // positions of a turn
  const int own = warp_index() * kRowsTogether;
  for (std::int64_t number = block_index(); number < n_units; number += grid_blocks()) {
    const std::int64_t f = number / p.n_units, u = number % p.n_units;
    const std::int64_t query = p.flagged[1 + f];
    if (u == 0 && thread_index() == 0) count(p, query, kExactQueries, 1);
    Unit unit(p, query, f, u, shared.unit);
    std::uint64_t scored = 0;
    if (p.allow.indptr != nullptr) {
      const std::int64_t set = set_of(p.allow, query);
      const std::int64_t n = p.allow.indptr[set + 1] - p.allow.indptr[set];
      const std::int64_t end = n * (u + 1) / p.n_units;
      for (std::int64_t first = n * u / p.n_units; first < end; first += kTogether) {
        enter_scores(p, query, [&](int c) {
          const std::int64_t e = first + own + c;
          return e < end ? allowed_position(p, query, e) : std::int64_t(-1);
        }, unit, scored);
        unit.settle(kTogether, *shared.selection);
      }
    } else {
      const Metric metric = p.items.euclidean != 0 ? Metric::euclidean : Metric::dot;
      const QueryBound bound(metric, p.items.d, p.queries.squares[query]);
      const std::int64_t end = p.items.n_tiles * (u + 1) / p.n_units;
      for (std::int64_t t = p.items.n_tiles * u / p.n_units; t < end; ++t) {
        const float best = bound.best_possible(norm_lower(p.items.smallest[t]), double(p.items.largest[t]));
        if (best < score_of_monotone(unit.least())) continue;  // all threads know the same threshold
        for (std::int64_t first = t << kTileBits; first < (t + 1) << kTileBits; first += kTogether) {
          enter_scores(p, query, [&](int c) { return first + own + c; }, unit, scored);
          unit.settle(kTogether, *shared.selection);
        }
      }
    }
    unit.finish();
    count(p, query, kRescored, scored);
  }
}

// Kernel top_k_scores: the same of given scores (n_rows, row_stride), all rows: value is score, NaN and infinities are
// nobody's. Leaves flagged as if every row were. search.counts zero before, search.n_deny 0, search.threshold -inf.
// Launch: any grid, a block a unit in turn; shared: kExactBytes. Bytes: 4 a score, 8 for what is entered. Not measured.
GPUREC_KERNEL(top_k_scores, TopKParams, 256, 3) {
  SharedMemory memory;
  const ExactShared shared(memory);
  const SearchParams& search = p.search;
  constexpr int kEach = 4;  // scores a thread has on their way
  const std::int64_t n_units = p.n_rows * search.n_units;
  if (block_index() == 0) {
    if (thread_index() == 0) search.flagged[0] = std::uint32_t(p.n_rows);
    for_each_in_block(p.n_rows, [&](std::int64_t i) { search.flagged[1 + i] = std::uint32_t(i); });
  }
  for (std::int64_t number = block_index(); number < n_units; number += grid_blocks()) {
    const std::int64_t row = number / search.n_units, u = number % search.n_units;
    const float* const scores = p.scores + row * p.row_stride;
    Unit unit(search, row, row, u, shared.unit);
    const std::int64_t end = p.n_columns * (u + 1) / search.n_units;
    for (std::int64_t first = p.n_columns * u / search.n_units; first < end; first += kEach * block_threads()) {
      float own[kEach];
      GPUREC_UNROLL
      for (int e = 0; e < kEach; ++e) {
        const std::int64_t i = first + e * block_threads() + thread_index();
        const float score = i < end ? ld_readonly(scores + i) : -std::numeric_limits<float>::infinity();
        own[e] = score == 0.0f ? 0.0f : score;  // -0 too
      }
      GPUREC_UNROLL
      for (int e = 0; e < kEach; ++e) {
        const std::int64_t i = first + e * block_threads() + thread_index();
        const bool of_use = is_finite(own[e]) && monotone_u32(own[e]) >= unit.least();
        if (!sync_block_or(of_use)) continue;
        if (of_use) unit.enter(order_key(own[e], i));
        unit.settle(block_threads(), *shared.selection);
      }
    }
    unit.finish();
  }
}

}  // namespace gpurec::cuda
