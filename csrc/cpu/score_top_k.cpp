// The search: which (query, panel) pairs to scan, and what to do with each scan value that the threshold lets
// through. docs/design/0003-float32-scan.md tells the reasons and the measured numbers.
#include "score_top_k.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>

#include "candidates.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

// A query's canonical scores; the buffer calls it for the rows that it has to tell apart.
struct Rescore {
  const ItemTable* table;
  CanonicalSum sum;
  const float* query;
  float operator()(std::int64_t row) const { return round32(sum(query, table->rows.row(row), table->d())); }
};

using Buffer = CandidateBuffer<Rescore>;

bool contains(const RowSetsView& sets, std::int64_t query, std::int64_t row) {
  return std::binary_search(sets.begin(query), sets.end(query), row);
}

// A threshold proved by one thread and read by the others: it may lag, it never leads.
class SharedTau {
 public:
  float load() const { return score_of_monotone(bits_.load(std::memory_order_relaxed)); }
  void raise_to(float tau) {
    const std::uint32_t bits = monotone_u32(tau) + (GPUREC_PLANTED(threshold_shared_leads) ? 1 : 0);
    std::uint32_t now = bits_.load(std::memory_order_relaxed);
    while (now < bits && !bits_.compare_exchange_weak(now, bits, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint32_t> bits_{monotone_u32(-std::numeric_limits<float>::infinity())};
};

class Search {
 public:
  Search(const ItemTable& table, MatrixView<const float> queries, std::int64_t k, const FiltersView& filters,
         TopKView out, const Kernels& kernels, int n_threads)
      : table_(table),
        queries_(queries),
        k_(k),
        filters_(filters),
        out_(out),
        kernels_(kernels),
        canonical_(table.metric == Metric::euclidean ? kernels.neg_squared_distance64 : kernels.dot64),
        n_threads_(n_threads) {}

  SearchStats run() {
    if (queries_.rows == 0) return {};
    if (filters_.allow != nullptr) {
      gather_all();
    } else if (queries_.rows >= std::int64_t(n_threads_) * 2 * kTileQueries || n_threads_ <= 1 ||
               table_.n_blocks() < 2) {
      split_by_queries();
    } else {
      split_by_items();
    }
    return stats_;
  }

 private:
  // One query's progress through some blocks of the table.
  struct Progress {
    Progress(const Search& search, std::int64_t index)
        : index(index),
          query(search.queries_.row(index)),
          buffer(search.k_, search.table_.n_positions(), Rescore{&search.table_, search.canonical_, query}) {
      const std::int64_t d = search.table_.d();
      bound = Float32Bound(search.table_.metric, d, search.kernels_.dot64(query, query, d));
    }
    std::int64_t index;
    const float* query;
    Buffer buffer;
    Float32Bound bound;
    float reject = 0.0f;      // scan values at or below it are of no use in the block at hand
    SharedTau* shared = nullptr;
  };

  // Queries of one task stay in the second-level cache beside the panel; their buffers stay below 64 MB.
  std::int64_t queries_per_task() const {
    constexpr std::int64_t kMost = 16 * kTileQueries;
    const std::int64_t buffer_bytes = std::min(k_, table_.n_positions()) * 2 * std::int64_t(sizeof(Candidate)) + 1;
    const std::int64_t fit = std::max<std::int64_t>(1, (std::int64_t(64) << 20) / buffer_bytes);
    const std::int64_t most = std::min(kMost, fit);
    // As many tasks for each thread, of equal size: an uneven share costs more than a smaller tile.
    const std::int64_t rounds = (queries_.rows + most * n_threads_ - 1) / (most * n_threads_);
    const std::int64_t size = (queries_.rows + rounds * n_threads_ - 1) / (rounds * n_threads_);
    return std::min(most, (size + kTileQueries - 1) / kTileQueries * kTileQueries);
  }

  void split_by_queries() {
    const std::int64_t size = queries_per_task();
    const std::int64_t n_tasks = (queries_.rows + size - 1) / size;
    std::vector<SearchStats> stats(static_cast<std::size_t>(n_tasks));
    parallel_for(n_threads_, n_tasks, [&](std::int64_t task) {
      std::deque<Progress> group = progress_of(task * size, std::min(queries_.rows, (task + 1) * size));
      scan(group, 0, 1);
      for (Progress& p : group) finish(p, stats[std::size_t(task)]);
    });
    for (const SearchStats& s : stats) stats_.add(s);
  }

  void split_by_items() {
    const int n_parts = int(std::min<std::int64_t>(n_threads_, table_.n_blocks()));
    std::vector<SharedTau> shared(static_cast<std::size_t>(queries_.rows));
    std::vector<std::deque<Progress>> parts(static_cast<std::size_t>(n_parts));
    // Parts take blocks in turn, so that each begins with items of large norm.
    parallel_for(n_threads_, n_parts, [&](std::int64_t part) {
      std::deque<Progress>& group = parts[std::size_t(part)];
      group = progress_of(0, queries_.rows);
      for (Progress& p : group) p.shared = &shared[std::size_t(p.index)];
      if (GPUREC_PLANTED(threads_lose_last) && part > 0 && part == n_parts - 1) return;
      scan(group, part, n_parts);
    });
    for (std::size_t i = 0; i < std::size_t(queries_.rows); ++i) {
      for (int part = 1; part < n_parts; ++part) parts[0][i].buffer.take_all_of(parts[std::size_t(part)][i].buffer);
      finish(parts[0][i], stats_);
    }
  }

  // Queries with their own allow lists: the lists are all there is to score.
  void gather_all() {
    std::vector<SearchStats> stats(static_cast<std::size_t>(queries_.rows));
    parallel_for(n_threads_, queries_.rows, [&](std::int64_t i) {
      Progress p(*this, i);
      const bool all = GPUREC_PLANTED(filter_allow_empty_is_all) && filters_.allow->begin(i) == filters_.allow->end(i);
      for (std::int64_t row = 0; all && row < table_.rows.rows; ++row) offer_canonical(p, row);
      for (const std::int64_t* row = filters_.allow->begin(i); row != filters_.allow->end(i); ++row) {
        offer_canonical(p, *row);
      }
      finish(p, stats[std::size_t(i)]);
    });
    for (const SearchStats& s : stats) stats_.add(s);
  }

  std::deque<Progress> progress_of(std::int64_t first, std::int64_t end) const {
    std::deque<Progress> group;
    for (std::int64_t i = first; i < end; ++i) {
      group.emplace_back(*this, i);
      seed(group.back());
    }
    return group;
  }

  // A hint is a list of rows to score, never scores to trust: distinct rows that pass this query's filters
  // prove a threshold, and the scan meets them again like any other.
  void seed(Progress& p) const {
    if (filters_.hint == nullptr) return;
    std::vector<float> scores;
    for (const std::int64_t* row = filters_.hint->begin(p.index); row != filters_.hint->end(p.index); ++row) {
      if (!GPUREC_PLANTED(threshold_hint_unfiltered) && !permits(p.index, *row)) continue;
      const float score = canonical_score(p, *row);
      if (is_finite(score)) scores.push_back(score);
      if (GPUREC_PLANTED(threshold_hint_inserted_twice)) p.buffer.offer_exact(*row, score);
    }
    if (std::int64_t(scores.size()) < k_) return;
    std::nth_element(scores.begin(), scores.begin() + (k_ - 1), scores.end(), std::greater<float>());
    p.buffer.raise_to(scores[std::size_t(k_ - 1)]);
  }

  bool permits(std::int64_t query, std::int64_t row) const {
    if (!table_.is_active(row) && !GPUREC_PLANTED(filter_inactive_ignored)) return false;
    if (filters_.mask != nullptr && filters_.mask[row] == 0) return false;
    for (const RowSetsView& sets : filters_.deny) {
      if (GPUREC_PLANTED(filter_second_deny_ignored) && &sets != &filters_.deny.front()) continue;
      if (contains(sets, query, row)) return false;
    }
    return true;
  }

  float canonical_score(Progress& p, std::int64_t row) const {
    ++p.buffer.stats().rescored;
    return round32(canonical_(p.query, table_.rows.row(row), table_.d()));
  }

  void offer_canonical(Progress& p, std::int64_t row) const {
    if (permits(p.index, row)) p.buffer.offer_exact(row, canonical_score(p, row));
  }

  // Scans blocks first, first + step, ... for a group of queries.
  void scan(std::deque<Progress>& group, std::int64_t first, std::int64_t step) const {
    std::vector<Progress*> scanned;
    for (std::int64_t block = first; block < table_.n_blocks(); block += step) {
      scanned.clear();
      for (Progress& p : group) {
        if (p.shared != nullptr) p.buffer.raise_to(p.shared->load());
        if (skip(p, block)) continue;
        if (!table_.has_panels() || !p.bound.valid(table_.blocks[block].largest)) {
          scan_canonically(p, block);
        } else {
          p.reject = p.bound.reject_at(p.buffer.tau(), table_.blocks[block].largest);
          scanned.push_back(&p);
        }
      }
      if (!scanned.empty()) scan_panels(scanned, block);
      for (Progress& p : group) {
        if (p.shared != nullptr) p.shared->raise_to(p.buffer.tau());
      }
    }
  }

  bool skip(Progress& p, std::int64_t block) const {
    if (!table_.has_panels()) return false;
    const BlockNorms& norms = table_.blocks[block];
    const float best = p.bound.best_possible(norms.smallest, norms.largest);
    if (GPUREC_PLANTED(panel_skip_at_equality) ? !(best <= p.buffer.tau()) : !(best < p.buffer.tau())) return false;
    p.buffer.stats().panels_skipped += kBlockPanels;
    return true;
  }

  void scan_canonically(Progress& p, std::int64_t block) const {
    p.buffer.stats().canonical_fallbacks += kBlockPanels;
    const std::int64_t end = std::min(table_.n_positions(), (block + 1) * ItemTable::kBlockItems);
    for (std::int64_t at = block * ItemTable::kBlockItems; at < end; ++at) offer_canonical(p, table_.row_of[at]);
  }

  void scan_panels(const std::vector<Progress*>& scanned, std::int64_t block) const {
    alignas(64) float scores[kTileQueries * kPanelItems];
    std::uint64_t hits[kTileQueries];
    const float* queries[kTileQueries];
    float reject[kTileQueries];
    const std::int64_t end = std::min(table_.n_positions(), (block + 1) * ItemTable::kBlockItems);
    for (std::int64_t at = block * ItemTable::kBlockItems; at < end; at += kPanelItems) {
      const int n_items = int(std::min<std::int64_t>(kPanelItems, end - at));
      const std::uint64_t valid = n_items == kPanelItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n_items) - 1;
      for (std::size_t q = 0; q < scanned.size(); q += kTileQueries) {
        const int n_queries = int(std::min<std::size_t>(kTileQueries, scanned.size() - q));
        for (int m = 0; m < n_queries; ++m) {
          queries[m] = scanned[q + std::size_t(m)]->query;
          reject[m] = scanned[q + std::size_t(m)]->reject;
        }
        const std::int64_t d = table_.d() - (GPUREC_PLANTED(scan_drops_last_component) ? table_.d() % 2 : 0);
        kernels_.scan_tile(queries, n_queries, table_.panels.data() + at * table_.d(), d, table_.starts.data() + at,
                           reject, scores, hits);
        for (int m = 0; m < n_queries; ++m) {
          Progress& p = *scanned[q + std::size_t(m)];
          p.buffer.stats().pruned += n_items;
          if (hits[m] & valid) collect(p, block, at, hits[m] & valid, scores + m * kPanelItems);
        }
      }
    }
  }

  // Offers the panel's items whose bits are set. Filters are asked first: only an item that this query may be
  // given can raise its threshold.
  void collect(Progress& p, std::int64_t block, std::int64_t at, std::uint64_t bits, const float* scores) const {
    const std::int64_t before = p.buffer.stats().candidates;
    for (; bits != 0; bits &= bits - 1) {
      const std::int64_t position = at + __builtin_ctzll(bits);
      const std::int64_t row = table_.row_of[position];
      if (!permits(p.index, row) && !GPUREC_PLANTED(filter_not_asked_in_scan)) continue;
      const Interval interval = p.bound.interval(scores[position - at], table_.norms[position]);
      if (p.buffer.offer(row, interval)) {
        p.reject = p.bound.reject_at(p.buffer.tau(), table_.blocks[block].largest);
      }
    }
    p.buffer.stats().pruned -= p.buffer.stats().candidates - before;
  }

  void finish(Progress& p, SearchStats& stats) const {
    p.buffer.finish(out_.rows.row(p.index), out_.scores.row(p.index));
    stats.add(p.buffer.stats());
  }

  const ItemTable& table_;
  MatrixView<const float> queries_;
  std::int64_t k_;
  const FiltersView& filters_;
  TopKView out_;
  const Kernels& kernels_;
  CanonicalSum canonical_;
  int n_threads_;
  SearchStats stats_;
};

}  // namespace

SearchStats score_top_k(const ItemTable& table, MatrixView<const float> queries, std::int64_t k,
                        const FiltersView& filters, TopKView out, const Kernels& kernels, int n_threads) {
  return Search(table, queries, k, filters, out, kernels, n_threads).run();
}

}  // namespace gpurec::cpu
