// The search: which (query, block) pairs to scan, and what to do with each scan value that the threshold lets
// through. docs/design/0003-float32-scan.md tells the reasons and the measured numbers.
#include "search/score_top_k.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "gpurec/order.hpp"
#include "search/candidates.hpp"
#include "search/permits.hpp"
#include "search/rescore_candidates.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

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

constexpr float kNoFloor = -std::numeric_limits<float>::infinity();

class Search {
 public:
  // `answer(i, candidates)` is called once for each query i, from any thread, when its candidates are settled.
  // No item that scores below `floor` is of interest.
  using Answer = std::function<void(std::int64_t, Candidates&)>;

  Search(const ItemTable& table, MatrixView<const float> queries, std::int64_t k, float floor,
         const FiltersView& filters, Answer answer, const Kernels& kernels, int n_threads)
      : table_(table),
        queries_(queries),
        k_(k),
        floor_(floor),
        filters_(filters),
        filtered_(filters.mask != nullptr || !filters.deny.empty()),
        answer_(std::move(answer)),
        kernels_(kernels),
        canonical_(table.metric() == Metric::euclidean ? kernels.neg_squared_distance64 : kernels.dot64),
        n_threads_(n_threads),
        no_starts_(kTileItems) {}

  SearchStats run() {
    if (queries_.rows == 0) return {};
    if (filters_.allow != nullptr) {
      gather_all();
    } else if (queries_.rows >= std::int64_t(n_threads_) * 4 * kTileQueries || n_threads_ <= 1 ||
               table_.blocks().size() < 2) {
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
          candidates(search.table_, search.table_.n_active(), search.canonical_, search.kernels_, query, search.k_) {
      candidates.raise_to(search.floor_);
    }
    std::int64_t index;
    const float* query;
    Candidates candidates;
    SharedTau* shared = nullptr;
  };
  using Group = std::deque<Progress>;

  // The queries that scan a block together, as the tile wants them.
  struct Scanned {
    std::vector<Progress*> progress;
    std::vector<const float*> queries;
    std::vector<float> reject;         // scan values at or below it are of no use
    std::vector<Progress*> skipped;    // queries that norms rule out
    bool any_invalid = false;          // the list holds for this block alone
    double largest = std::numeric_limits<double>::infinity();  // norm of the block it was made for
    int age = 0;                       // blocks since

    // The list is made again after a few blocks, sooner where norms fall fast or few queries share its cost.
    bool is_stale(const ItemTable::Block& block, std::size_t n_queries) const {
      constexpr int kOldest = 8;
      return any_invalid || n_queries < kTileQueries || age + 1 >= kOldest || !(block.largest > largest * 0.98);
    }

    void clear() {
      progress.clear();
      queries.clear();
      reject.clear();
      skipped.clear();
      any_invalid = false;
      age = 0;
    }
  };

  // Queries of one task stay in the second-level cache beside the panels; their lists stay below 16 MB a thread.
  std::int64_t queries_per_task() const {
    constexpr std::int64_t kMost = 32 * kTileQueries;
    const std::int64_t list_bytes = Candidates::list_limit(k_, table_.n_active()) * 20;
    const std::int64_t most = std::min(kMost, std::max<std::int64_t>(1, (std::int64_t(16) << 20) / list_bytes));
    // As many tasks for each thread, of equal size: an uneven share costs more than a smaller tile.
    const std::int64_t rounds = (queries_.rows + most * n_threads_ - 1) / (most * n_threads_);
    const std::int64_t size = (queries_.rows + rounds * n_threads_ - 1) / (rounds * n_threads_);
    return std::min(most, (size + kTileQueries - 1) / kTileQueries * kTileQueries);
  }

  void split_by_queries() {
    const std::int64_t size = queries_per_task();
    in_tasks((queries_.rows + size - 1) / size, [&](std::int64_t task, SearchStats& stats) {
      Group group = progress_of(task * size, std::min(queries_.rows, (task + 1) * size));
      scan(group, 0, 1);
      finish(group, stats);
    });
  }

  void split_by_items() {
    const auto n_parts = std::min<std::int64_t>(n_threads_, std::int64_t(table_.blocks().size()));
    std::vector<SharedTau> shared(static_cast<std::size_t>(queries_.rows));
    std::vector<Group> parts(static_cast<std::size_t>(n_parts));
    // Parts take blocks in turn, so that each begins with items of large norm.
    parallel_for(n_threads_, n_parts, [&](std::int64_t part) {
      Group& group = parts[std::size_t(part)];
      group = progress_of(0, queries_.rows);
      for (Progress& p : group) p.shared = &shared[std::size_t(p.index)];
      if (GPUREC_PLANTED(threads_lose_last) && part > 0 && part == n_parts - 1) return;
      scan(group, part, n_parts);
    });
    in_tasks(std::min(n_parts, queries_.rows), [&](std::int64_t task, SearchStats& stats) {
      const std::int64_t n_tasks = std::min(n_parts, queries_.rows);
      Group group;
      for (std::int64_t i = queries_.rows * task / n_tasks; i < queries_.rows * (task + 1) / n_tasks; ++i) {
        group.push_back(std::move(parts[0][std::size_t(i)]));
        for (std::int64_t part = 1; part < n_parts; ++part) {
          group.back().candidates.take_all_of(parts[std::size_t(part)][std::size_t(i)].candidates);
        }
      }
      finish(group, stats);
    });
  }

  // Queries with their own allow lists: the lists are all there is to score.
  void gather_all() {
    in_tasks(queries_.rows, [&](std::int64_t i, SearchStats& stats) {
      Progress p(*this, i);
      std::vector<float> item(static_cast<std::size_t>(table_.d()));
      const auto offer = [&](std::int64_t row) {
        if (permits(i, row)) offer_canonical(p, table_.position_of(row), item);
      };
      const bool all = GPUREC_PLANTED(filter_allow_empty_is_all) && filters_.allow->begin(i) == filters_.allow->end(i);
      for (std::int64_t row = 0; all && row < table_.n_rows(); ++row) offer(row);
      std::for_each(filters_.allow->begin(i), filters_.allow->end(i), offer);
      answer_(i, p.candidates);
      stats.add(p.candidates.stats());
    });
  }

  template <class Work>
  void in_tasks(std::int64_t n_tasks, Work work) {
    std::vector<SearchStats> stats(static_cast<std::size_t>(n_tasks));
    parallel_for(n_threads_, n_tasks, [&](std::int64_t task) { work(task, stats[std::size_t(task)]); });
    for (const SearchStats& s : stats) stats_.add(s);
  }

  Group progress_of(std::int64_t first, std::int64_t end) const {
    Group group;
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
    std::vector<float> item(static_cast<std::size_t>(table_.d()));
    for (const std::int64_t* row = filters_.hint->begin(p.index); row != filters_.hint->end(p.index); ++row) {
      const std::uint32_t position = table_.position_of(*row);
      if (position == kNowhere) continue;
      if (!GPUREC_PLANTED(threshold_hint_unfiltered) && !permits(p.index, *row)) continue;
      table_.copy_item(position, item.data());
      const float score = p.candidates.score(item.data());
      if (is_finite(score)) scores.push_back(score);
      if (GPUREC_PLANTED(threshold_hint_inserted_twice)) p.candidates.offer_exact(*row, score);
    }
    if (std::int64_t(scores.size()) < k_) return;
    std::nth_element(scores.begin(), scores.begin() + (k_ - 1), scores.end(), std::greater<float>());
    p.candidates.raise_to(scores[std::size_t(k_ - 1)]);
  }

  // Whether the filters let this query have the row; whether it is in the table is asked elsewhere.
  bool permits(std::int64_t query, std::int64_t row) const { return cpu::permits(filters_, query, row); }

  void offer_canonical(Progress& p, std::uint32_t position, std::vector<float>& item) const {
    if (position == kNowhere) return;
    table_.copy_item(position, item.data());
    p.candidates.offer_exact(table_.row_at(position), p.candidates.score(item.data()));
  }

  // Scans blocks first, first + step, ... for a group of queries. Which queries a block matters to, and what they
  // reject, is found anew now and then: blocks come by falling norm, so that for a dot an older reject value
  // lets more through and an older list holds more queries, never fewer.
  void scan(Group& group, std::size_t first, std::size_t step) const {
    const std::vector<ItemTable::Block>& blocks = table_.blocks();
    Scanned scanned;
    for (std::size_t b = first; b < blocks.size(); b += step) {
      const ItemTable::Block& block = blocks[b];
      if (scanned.is_stale(block, group.size())) {
        refresh(group, scanned, block);
        if (scanned.progress.empty() && !scanned.any_invalid && table_.metric() == Metric::dot) {
          count_skipped(group, (blocks.size() - b + step - 1) / step);
          return;
        }
      } else {
        ++scanned.age;
      }
      const float* const next_block = b + step < blocks.size() ? first_panel(blocks[b + step]) : nullptr;
      if (!scanned.progress.empty()) scan_tiles(scanned, block, next_block);
      const std::int64_t n_items = std::min(table_.parts()[block.part].segment->n - block.first, kBlockItems);
      for (Progress* p : scanned.progress) p->candidates.stats().scanned += n_items;
      for (Progress* p : scanned.skipped) p->candidates.stats().panels_skipped += kBlockItems / kTileItems;
    }
  }

  const float* first_panel(const ItemTable::Block& block) const {
    return table_.parts()[block.part].segment->panel_of(block.first);
  }

  void refresh(Group& group, Scanned& scanned, const ItemTable::Block& block) const {
    scanned.clear();
    scanned.largest = block.largest;
    for (Progress& p : group) {
      if (p.shared != nullptr) {
        p.shared->raise_to(p.candidates.tau());
        p.candidates.raise_to(p.shared->load());
      }
      const Float32Bound& bound = p.candidates.bound();
      const float best = bound.best_possible(block.smallest, block.largest);
      const float tau = p.candidates.tau();
      if (GPUREC_PLANTED(panel_skip_at_equality) ? best <= tau : best < tau) {
        scanned.skipped.push_back(&p);
      } else if (bound.valid(block.largest)) {
        scanned.progress.push_back(&p);
        scanned.queries.push_back(p.query);
        scanned.reject.push_back(p.candidates.reject_at(block.largest));
      } else {
        scanned.any_invalid = true;
        scan_canonically(p, block);
      }
    }
    if (table_.metric() == Metric::euclidean) scanned.any_invalid = true;  // norms alone do not order its blocks
  }

  void count_skipped(Group& group, std::size_t n_blocks) const {
    for (Progress& p : group) p.candidates.stats().panels_skipped += std::int64_t(n_blocks) * (kBlockItems / kTileItems);
  }

  void scan_canonically(Progress& p, const ItemTable::Block& block) const {
    p.candidates.stats().canonical_fallbacks += kBlockItems / kTileItems;
    std::vector<float> item(static_cast<std::size_t>(table_.d()));
    const ItemTable::Part& part = table_.parts()[block.part];
    const std::int64_t end = std::min(part.segment->n, block.first + kBlockItems);
    for (std::int64_t at = block.first; at < end; ++at) {
      if (is_dead(part, at) || !permits(p.index, part.segment->row_of[at])) continue;
      offer_canonical(p, part.base + std::uint32_t(at), item);
    }
  }

  static bool is_dead(const ItemTable::Part& part, std::int64_t at) {
    if (GPUREC_PLANTED(filter_inactive_ignored)) return false;
    return part.dead != nullptr && ((*part.dead)[std::size_t(at / 64)] >> (at % 64) & 1) != 0;
  }

  void scan_tiles(Scanned& scanned, const ItemTable::Block& block, const float* next_block) const {
    alignas(64) float scores[kTileQueries * kTileItems];
    std::uint64_t hits[kTileQueries];
    const ItemTable::Part& part = table_.parts()[block.part];
    const ItemSegment& segment = *part.segment;
    const std::int64_t d = table_.d() - (GPUREC_PLANTED(scan_drops_last_component) ? table_.d() % 2 : 0);
    const std::int64_t end = std::min(segment.n, block.first + kBlockItems);
    for (std::int64_t at = block.first; at < end; at += kTileItems) {
      const int n_items = int(std::min<std::int64_t>(kTileItems, end - at));
      std::uint64_t live = n_items == kTileItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n_items) - 1;
      if (part.dead != nullptr && !GPUREC_PLANTED(filter_inactive_ignored)) live &= ~(*part.dead)[std::size_t(at / 64)];
      if (live == 0) continue;
      const float* start = segment.starts != nullptr ? segment.starts + at : no_starts_.data();
      // While the queries pass over these panels the next ones come nearer, a share with each tile of queries.
      const float* next = at + kTileItems < end ? segment.panel_of(at + kTileItems) : next_block;
      const int share = scanned.progress.size() <= kTileQueries ? 4 : scanned.progress.size() <= 3 * kTileQueries ? 2 : 1;
      int n_next = next == nullptr ? 0 : kTilePanels;
      for (std::size_t q = 0; q < scanned.progress.size(); q += kTileQueries) {
        const int n_queries = int(std::min<std::size_t>(kTileQueries, scanned.progress.size() - q));
        const int asked = std::min(share, n_next);
        kernels_.scan_tile(scanned.queries.data() + q, n_queries, segment.panel_of(at), d, start,
                           scanned.reject.data() + q, scores, hits, next, asked);
        next += asked * kPanelItems * table_.d();
        n_next -= asked;
        for (int m = 0; m < n_queries; ++m) {
          std::uint64_t bits = hits[m] & live;
          if (bits == 0) continue;  // nearly always: only a hit touches the query's own memory
          Progress& p = *scanned.progress[q + std::size_t(m)];
          if (filtered_ && !GPUREC_PLANTED(filter_not_asked_in_scan)) bits = permitted(p.index, segment.row_of + at, bits);
          if (p.candidates.offer(scores + m * kTileItems, part.base + std::uint32_t(at), bits, block.largest)) {
            scanned.reject[q + std::size_t(m)] = p.candidates.reject_at(block.largest);
          }
        }
      }
    }
  }

  // The bits of the tile's items that this query may be given. Filters are asked before an item is counted: only
  // an item that may be returned can raise the threshold.
  std::uint64_t permitted(std::int64_t query, const std::uint32_t* rows, std::uint64_t bits) const {
    for (std::uint64_t left = bits; left != 0; left &= left - 1) {
      if (!permits(query, rows[__builtin_ctzll(left)])) bits &= ~(left & -left);
    }
    return bits;
  }

  void finish(Group& group, SearchStats& stats) const {
    std::vector<Candidates*> candidates;
    std::vector<const float*> queries;
    for (Progress& p : group) {
      p.candidates.settle();
      candidates.push_back(&p.candidates);
      queries.push_back(p.query);
    }
    rescore_candidates(table_, canonical_, kernels_, candidates, queries);
    for (Progress& p : group) {
      answer_(p.index, p.candidates);
      stats.add(p.candidates.stats());
    }
  }

  const ItemTable& table_;
  MatrixView<const float> queries_;
  std::int64_t k_;
  float floor_;
  const FiltersView& filters_;
  bool filtered_;
  Answer answer_;
  const Kernels& kernels_;
  CanonicalSum canonical_;
  int n_threads_;
  AlignedFloats no_starts_;
  SearchStats stats_;
};

}  // namespace

SearchStats score_top_k(const ItemTable& table, MatrixView<const float> queries, std::int64_t k,
                        const FiltersView& filters, TopKView out, const Kernels& kernels, int n_threads) {
  const auto answer = [=](std::int64_t i, Candidates& candidates) { write_answer(candidates.answer(), k, out, i); };
  return Search(table, queries, k, kNoFloor, filters, answer, kernels, n_threads).run();
}

std::vector<std::vector<std::uint64_t>> score_above(const ItemTable& table, MatrixView<const float> queries,
                                                    float threshold, std::int64_t k, std::int64_t most,
                                                    const FiltersView& filters, const Kernels& kernels,
                                                    int n_threads) {
  std::vector<std::vector<std::uint64_t>> keys(static_cast<std::size_t>(queries.rows));
  std::atomic<std::int64_t> total{0};
  const auto answer = [&](std::int64_t i, Candidates& candidates) {
    keys[std::size_t(i)] = candidates.answer(threshold);
    if (total.fetch_add(std::int64_t(keys[std::size_t(i)].size())) > most) throw std::length_error("too many");
  };
  Search(table, queries, k, threshold, filters, answer, kernels, n_threads).run();
  if (total.load() > most) throw std::length_error("too many");
  return keys;
}

}  // namespace gpurec::cpu
