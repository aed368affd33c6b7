// The search: how queries and blocks are split between threads, and what becomes of the candidates.
// docs/design/0003-float32-scan.md tells the reasons and the measured numbers.
#include "search/score_top_k.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "gpurec/order.hpp"
#include "search/permits.hpp"
#include "search/phase_clock.hpp"
#include "candidates/rescore_candidates.hpp"
#include "search/sample.hpp"
#include "search/scan_blocks.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr float kNoFloor = -std::numeric_limits<float>::infinity();

class Search {
 public:
  // `answer(i, candidates)` is called once for each query i, from any thread, when its candidates are settled.
  // No item that scores below `floor` is of interest.
  using Answer = std::function<void(std::int64_t, Candidates&)>;

  Search(const ItemTable& table, MatrixView<const float> queries, std::int64_t k, float floor,
         const FiltersView& filters, Precision precision, Answer answer, SearchReport* report, const Kernels& kernels,
         int n_threads)
      : table_(table),
        queries_(queries),
        k_(k),
        floor_(floor),
        filters_(filters),
        precision_(scanned_in(table, kernels, precision)),
        answer_(std::move(answer)),
        report_(report),
        kernels_(kernels),
        n_threads_(n_threads) {}

  void run() {
    if (report_ != nullptr) report_->queries.resize(static_cast<std::size_t>(queries_.rows));
    if (queries_.rows == 0) return;
    if (filters_.allow != nullptr) {
      gather_all();
    } else if (shares_queries()) {
      split_by_queries();
    } else {
      split_by_blocks();
    }
  }

 private:
  static Precision scanned_in(const ItemTable& table, const Kernels& kernels, Precision wanted) {
    if (wanted == Precision::bf16) return kernels.scan_tile_bf16 != nullptr ? wanted : Precision::fp32;
    if (wanted == Precision::leading && table.leading() == nullptr) wanted = Precision::int8;
    return table.with_codes() ? wanted : Precision::fp32;
  }

  using Group = std::vector<Progress>;
  static constexpr std::int64_t kSeveral = 4, kMany = 4 * kTileQueries;  // queries of a thread

  static std::vector<Progress*> members(Group& group, std::int64_t first, std::int64_t end) {
    std::vector<Progress*> part;
    part.reserve(std::size_t(end - first));
    for (std::int64_t i = first; i < end; ++i) part.push_back(&group[std::size_t(i)]);
    return part;
  }

  // Whether threads take queries rather than blocks. A thread that has a query for itself finds its threshold once and no
  // lists are brought together; blocks are for few queries, and for tables that each thread would have from memory.
  // Where norms rule out most of a table, what is left of it is less than it takes to wake a thread.
  bool shares_queries() const {
    constexpr double kCached = 8e6;  // bytes
    if (n_threads_ <= 1 || table_.blocks().size() < 2 || queries_.rows >= n_threads_ * kMany) return true;
    const bool in_floats = precision_ == Precision::fp32 || precision_ == Precision::bf16;
    if (double(table_.n_active()) * double(table_.d()) * (in_floats ? 4 : 1) > kCached) return false;
    return queries_.rows >= n_threads_ * kSeveral || norms_fall_fast();
  }

  // At most `most` queries, in equal shares that are whole tiles, if they are many: an uneven share costs more than a
  // smaller one.
  static std::int64_t share_of(std::int64_t n_queries, std::int64_t most) {
    const std::int64_t n_shares = (n_queries + most - 1) / most;
    const std::int64_t size = (n_queries + n_shares - 1) / n_shares;
    return std::min(most, size < kMany ? size : (size + kTileQueries - 1) / kTileQueries * kTileQueries);
  }

  // Queries of one scan stay in the second-level cache beside the panels. Those of several scans are rescored
  // together, since items come from further away than queries.
  void split_by_queries() {
    constexpr std::int64_t kRoom = 1 << 16;  // floats of queries
    constexpr std::int64_t kMostRescored = 256 * kTileQueries;
    const std::int64_t most_scanned = std::clamp<std::int64_t>(kRoom / table_.d() / kTileQueries, 8, 86) * kTileQueries;
    const std::int64_t room = queries_in_memory(k_, table_.n_active(), queries_.rows, n_threads_);
    const std::int64_t of_thread = std::max((queries_.rows + n_threads_ - 1) / n_threads_, kSeveral);
    const std::int64_t together = table_.with_codes() ? 22 * kTileQueries : kMostRescored;
    const std::int64_t size = share_of(of_thread, std::min(together, room));
    const Sample sample = sample_of(1);
    in_tasks((queries_.rows + size - 1) / size, [&](std::int64_t task, PhaseClock& clock) {
      Group group = progress_of(task * size, std::min(queries_.rows, (task + 1) * size), clock);
      const auto n_queries = std::int64_t(group.size());
      const std::int64_t scanned = share_of(n_queries, most_scanned);
      for (std::int64_t first = 0; first < n_queries; first += scanned) {
        scan(members(group, first, std::min(n_queries, first + scanned)), sample, {0, 1, 1}, clock);
      }
      finish(group, clock);
    });
  }

  void split_by_blocks() {
    if (report_ != nullptr) report_->split = SearchReport::Split::blocks;
    const auto n_parts = std::min<std::int64_t>(n_threads_, std::int64_t(table_.blocks().size()));
    const Sample sample = sample_of(static_cast<std::size_t>(n_parts));
    const std::size_t run = run_of_blocks(table_.blocks().size(), std::size_t(n_parts));
    std::vector<SharedTau> shared(static_cast<std::size_t>(queries_.rows));
    std::vector<Group> parts(static_cast<std::size_t>(n_parts));
    // Parts take runs of blocks in turn, so that each begins with items of large norm.
    in_tasks(n_parts, [&](std::int64_t part, PhaseClock& clock) {
      Group& group = parts[std::size_t(part)];
      group = progress_of(0, queries_.rows, clock);
      for (Progress& p : group) p.shared = &shared[std::size_t(p.index)];
      if (GPUREC_PLANTED(threads_lose_last) && part > 0 && part == n_parts - 1) return;
      scan(members(group, 0, queries_.rows), sample, {std::size_t(part), std::size_t(n_parts), 1, run}, clock);
    });
    in_tasks(std::min(n_parts, queries_.rows), [&](std::int64_t task, PhaseClock& clock) {
      const std::int64_t n_tasks = std::min(n_parts, queries_.rows);
      Group group;
      group.reserve(std::size_t(queries_.rows / n_tasks + 1));
      for (std::int64_t i = queries_.rows * task / n_tasks; i < queries_.rows * (task + 1) / n_tasks; ++i) {
        group.push_back(std::move(parts[0][std::size_t(i)]));
        for (std::int64_t part = 1; part < n_parts; ++part) {
          group.back().candidates.take_all_of(parts[std::size_t(part)][std::size_t(i)].candidates);
        }
      }
      finish(group, clock);
    });
  }

  Sample sample_of(std::size_t n_parts) const {
    if (precision_ == Precision::int4 || precision_ == Precision::leading) return {};  // its candidates are scored at once
    const double scan_cost =
        double(table_.d()) / (precision_ == Precision::int8 ? 4000 : precision_ == Precision::bf16 ? 900 : 460);
    const Sample sample =
        cheapest_sample(double(table_.n_active()) / double(n_parts), double(k_) / double(n_parts), scan_cost);
    if (report_ != nullptr) report_->sample_every = sample.every;
    return sample;
  }

  // Whether an item is wanted by half a query or more, of several: then it is read and widened once for all of them.
  bool worth_scoring_at_once(std::size_t n_queries) const {
    constexpr std::size_t kSeveral = 8;
    const double n_items = double(table_.n_active());
    return n_queries >= kSeveral && 2 * double(n_queries) * std::min(double(k_), n_items) >= n_items;
  }

  // Whether norms rule out so much that a threshold found sooner saves more than the scores that find it cost.
  bool norms_fall_fast() const {
    const std::vector<ItemTable::Block>& blocks = table_.blocks();
    if (blocks.empty() || !table_.norms_fall() || !table_.pruning().norms) return false;
    return blocks[blocks.size() / 2].smallest < blocks[blocks.size() / 64].largest / 3;
  }

  // Scans a share of the blocks.
  void scan(const std::vector<Progress*>& group, Sample sample, const Blocks& share, PhaseClock& clock) const {
    clock.begin(Phase::start);
    std::vector<Progress*> ready, others;
    for (Progress* p : group) (p->is_ready(precision_) ? ready : others).push_back(p);
    const auto scan_part = [&](Precision precision, const std::vector<Progress*>& part) {
      if (part.empty()) return;
      const bool at_once = precision == Precision::int8 && worth_scoring_at_once(part.size());
      if (sample.every > 0) {
        clock.begin(Phase::sample);
        for (Progress* p : part) p->candidates.begin_sample(sample.rank);
        Blocks sampled = share;
        sampled.every = std::size_t(sample.every);
        scan_blocks(table_, filters_, kernels_, precision, part, sampled);
        for (Progress* p : part) p->candidates.end_sample(sample.n_expected, at_once);
      }
      if (precision == Precision::int8 && sample.every == 0 && !at_once && norms_fall_fast()) {
        for (Progress* p : part) p->candidates.follow();
      }
      clock.begin(Phase::scan);
      Blocks all = share;
      all.score_at_once = at_once;
      scan_blocks(table_, filters_, kernels_, precision, part, all);
    };
    scan_part(precision_, ready);
    scan_part(Precision::fp32, others);
  }

  // Queries with their own allow lists: the lists are all there is to score.
  void gather_all() {
    if (report_ != nullptr) report_->split = SearchReport::Split::lists;
    in_tasks(queries_.rows, [&](std::int64_t i, PhaseClock& clock) {
      clock.begin(Phase::start);
      Progress p = start_of(i);
      clock.begin(Phase::rescore);
      std::vector<float> item(static_cast<std::size_t>(table_.d()));
      const auto offer = [&](std::int64_t row) {
        if (permits(filters_, i, row)) p.offer_canonical(table_, table_.position_of(row), item);
      };
      const bool all = GPUREC_PLANTED(filter_allow_empty_is_all) && filters_.allow->begin(i) == filters_.allow->end(i);
      for (std::int64_t row = 0; all && row < table_.n_rows(); ++row) offer(row);
      std::for_each(filters_.allow->begin(i), filters_.allow->end(i), offer);
      clock.begin(Phase::order);
      answer(p);
    });
  }

  template <class Work>
  void in_tasks(std::int64_t n_tasks, Work work) {
    std::vector<PhaseClock> clocks(static_cast<std::size_t>(n_tasks), PhaseClock(report_ != nullptr));
    parallel_for(n_threads_, n_tasks, [&](std::int64_t task) {
      PhaseClock& clock = clocks[std::size_t(task)];
      work(task, clock);
      clock.stop();
    });
    if (report_ == nullptr) return;
    for (const PhaseClock& clock : clocks) clock.add_to(*report_);
  }

  Progress start_of(std::int64_t i) const {
    Progress p(table_, i, queries_.row(i), k_, filters_, kernels_, precision_);
    p.candidates.prove(floor_);
    return p;
  }

  Group progress_of(std::int64_t first, std::int64_t end, PhaseClock& clock) const {
    clock.begin(Phase::start);
    Group group;
    group.reserve(std::size_t(end - first));
    for (std::int64_t i = first; i < end; ++i) {
      group.emplace_back(table_, i, queries_.row(i), k_, filters_, kernels_, precision_);
      group.back().candidates.prove(floor_);
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
      if (!GPUREC_PLANTED(threshold_hint_unfiltered) && !permits(filters_, p.index, *row)) continue;
      table_.copy_item(position, item.data());
      const float score = p.candidates.score(item.data());
      if (is_finite(score)) scores.push_back(score);
      if (GPUREC_PLANTED(threshold_hint_inserted_twice)) p.candidates.offer_exact(*row, score);
    }
    if (std::int64_t(scores.size()) < k_) return;
    std::nth_element(scores.begin(), scores.begin() + (k_ - 1), scores.end(), std::greater<float>());
    p.candidates.prove(scores[std::size_t(k_ - 1)]);
  }

  // A step is taken for one query after the other where it can be, while the query's list is at hand.
  void finish(Group& group, PhaseClock& clock) const {
    clock.begin(Phase::thin);
    std::vector<Candidates*> all, with_others;
    for (Progress& p : group) {
      p.candidates.settle();
      all.push_back(&p.candidates);
    }
    clock.begin(Phase::rescore);
    rescore_candidates(table_, kernels_, all);
    clock.begin(Phase::order);
    for (Progress& p : group) {
      p.candidates.settled();
      if (p.candidates.take_up_others()) {
        with_others.push_back(&p.candidates);
      } else {
        answer_proved(p, clock);
      }
    }
    if (with_others.empty()) return;
    clock.begin(Phase::rescore);
    rescore_candidates(table_, kernels_, with_others);
    clock.begin(Phase::order);
    for (Progress& p : group) {
      if (p.candidates.n_scanned() == 0) continue;
      p.candidates.settled();
      answer_proved(p, clock);
    }
  }

  void answer_proved(Progress& p, PhaseClock& clock) const {
    if (!p.candidates.is_proved()) {
      clock.begin(Phase::rescan);
      scan_again(p);
      clock.begin(Phase::order);
    }
    answer(p);
  }

  void answer(Progress& p) const {
    answer_(p.index, p.candidates);
    if (report_ == nullptr) return;
    report_->queries[std::size_t(p.index)] = {p.candidates.stats(), p.candidates.tau(), p.precision};
  }

  void scan_again(Progress& p) const {
    SearchStats spent = p.candidates.stats();
    ++spent.rescans;
    const float supposed = p.candidates.tau();
    p = start_of(p.index);
    if (GPUREC_PLANTED(threshold_supposed_kept)) p.candidates.suppose(supposed);
    const Precision precision = p.is_ready(precision_) ? precision_ : Precision::fp32;
    scan_blocks(table_, filters_, kernels_, precision, {&p}, {0, 1, 1});
    Candidates& c = p.candidates;
    c.stats().add(spent);
    c.settle();
    do {
      rescore_candidates(table_, kernels_, {&c});
      c.settled();
    } while (c.take_up_others());
  }

  const ItemTable& table_;
  MatrixView<const float> queries_;
  std::int64_t k_;
  float floor_;
  const FiltersView& filters_;
  Precision precision_;
  Answer answer_;
  SearchReport* report_;
  const Kernels& kernels_;
  int n_threads_;
};

}  // namespace

void score_top_k(const ItemTable& table, MatrixView<const float> queries, std::int64_t k, const FiltersView& filters,
                 Precision precision, TopKView out, SearchReport* report, const Kernels& kernels, int n_threads) {
  const auto answer = [=](std::int64_t i, Candidates& candidates) { write_answer(candidates.answer(), k, out, i); };
  Search(table, queries, k, kNoFloor, filters, precision, answer, report, kernels, n_threads).run();
}

std::vector<Keys> score_above(const ItemTable& table, MatrixView<const float> queries, float threshold, std::int64_t k,
                              std::int64_t most, const FiltersView& filters, Precision precision,
                              const Kernels& kernels, int n_threads) {
  std::vector<Keys> keys(static_cast<std::size_t>(queries.rows));
  std::atomic<std::int64_t> total{0};
  const auto answer = [&](std::int64_t i, Candidates& candidates) {
    keys[std::size_t(i)] = candidates.answer(threshold);
    if (total.fetch_add(std::int64_t(keys[std::size_t(i)].size())) > most) throw std::length_error("too many");
  };
  Search(table, queries, k, threshold, filters, precision, answer, nullptr, kernels, n_threads).run();
  if (total.load() > most) throw std::length_error("too many");
  return keys;
}

}  // namespace gpurec::cpu
