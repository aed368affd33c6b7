#include "search/scan_blocks.hpp"

#include <algorithm>

namespace gpurec::cpu {
namespace {

class BlockScan {
 public:
  BlockScan(const ItemTable& table, const FiltersView& filters, const Kernels& kernels, std::size_t every)
      : table_(table),
        every_(every),
        filters_(filters),
        filtered_(filters.mask != nullptr || !filters.deny.empty()),
        kernels_(kernels) {}

  // Which queries a block matters to, and what they reject, is found anew now and then: blocks come by falling
  // norm, so that for a dot an older reject value lets more through and an older list holds more queries, never
  // fewer.
  void scan(const std::vector<Progress*>& group, std::size_t first, std::size_t step) const {
    const std::vector<ItemTable::Block>& blocks = table_.blocks();
    Scanned scanned;
    for (std::size_t b = first; b < blocks.size(); b += step) {
      const ItemTable::Block& block = blocks[b];
      if (scanned.is_stale(block, group.size())) {
        refresh(group, scanned, block, b * (kBlockItems / kTileItems));
        if (scanned.progress.empty() && !scanned.any_invalid && table_.metric() == Metric::dot) {
          count_skipped(group, (blocks.size() - b + step - 1) / step);
          return;
        }
      } else {
        ++scanned.age;
      }
      const float* const next_block = b + step < blocks.size() ? first_panel(blocks[b + step]) : nullptr;
      if (!scanned.progress.empty()) scan_tiles(scanned, block, b * (kBlockItems / kTileItems), next_block);
      for (Progress* p : scanned.skipped) p->candidates.stats().panels_skipped += kBlockItems / kTileItems;
    }
  }

 private:
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

  const float* first_panel(const ItemTable::Block& block) const {
    return table_.parts()[block.part].segment->panel_of(block.first);
  }

  void refresh(const std::vector<Progress*>& group, Scanned& scanned, const ItemTable::Block& block,
               std::size_t tile) const {
    scanned.clear();
    scanned.largest = block.largest;
    for (Progress* const member : group) {
      Progress& p = *member;
      if (p.shared != nullptr) {
        p.shared->raise_to(p.candidates.tau());
        p.candidates.suppose(p.shared->load());
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
        scan_canonically(p, block, tile);
      }
    }
    if (table_.metric() == Metric::euclidean) scanned.any_invalid = true;  // norms alone do not order its blocks
  }

  void count_skipped(const std::vector<Progress*>& group, std::size_t n_blocks) const {
    for (Progress* p : group) p->candidates.stats().panels_skipped += std::int64_t(n_blocks) * (kBlockItems / kTileItems);
  }

  void scan_canonically(Progress& p, const ItemTable::Block& block, std::size_t tile) const {
    std::vector<float> item(static_cast<std::size_t>(table_.d()));
    const ItemTable::Part& part = table_.parts()[block.part];
    const std::int64_t end = std::min(part.segment->n, block.first + kBlockItems);
    for (std::int64_t first = block.first; first < end; first += kTileItems, ++tile) {
      if (!is_wanted(tile)) continue;
      ++p.candidates.stats().canonical_fallbacks;
      for (std::int64_t at = first; at < std::min(end, first + kTileItems); ++at) {
        if (is_dead(part, at) || !permits(filters_, p.index, part.segment->row_of[at])) continue;
        p.offer_canonical(table_, part.base + std::uint32_t(at), item);
      }
    }
  }

  bool is_wanted(std::size_t tile) const { return tile % every_ == every_ - 1; }

  static bool is_dead(const ItemTable::Part& part, std::int64_t at) {
    if (GPUREC_PLANTED(filter_inactive_ignored)) return false;
    return part.dead != nullptr && ((*part.dead)[std::size_t(at / 64)] >> (at % 64) & 1) != 0;
  }

  // `tile` is the number of the block's first.
  void scan_tiles(Scanned& scanned, const ItemTable::Block& block, std::size_t tile, const float* next_block) const {
    alignas(64) float start[kTileItems] = {};
    alignas(64) float scores[kTileQueries * kTileItems];
    std::uint64_t hits[kTileQueries] = {};
    const ItemTable::Part& part = table_.parts()[block.part];
    const ItemSegment& segment = *part.segment;
    const std::int64_t d = table_.d() - (GPUREC_PLANTED(scan_drops_last_component) ? table_.d() % 2 : 0);
    const std::int64_t end = std::min(segment.n, block.first + kBlockItems);
    std::int64_t n_scanned = 0;
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      if (!is_wanted(tile)) continue;
      const int n_items = int(std::min<std::int64_t>(kTileItems, end - at));
      std::uint64_t live = n_items == kTileItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n_items) - 1;
      if (part.dead != nullptr && !GPUREC_PLANTED(filter_inactive_ignored)) live &= ~(*part.dead)[std::size_t(at / 64)];
      n_scanned += n_items;
      if (live == 0) continue;
      for (int j = 0; j < n_items && segment.metric == Metric::euclidean; ++j) {
        start[j] = scan_start_of_norm(segment.norms[at + j]);
      }
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
        std::uint64_t any = 0;  // one branch a tile, most often; what missing queries left there does no harm
        for (int m = 0; m < kTileQueries; ++m) any |= hits[m];
        if ((any & live) == 0) continue;
        for (int m = 0; m < n_queries; ++m) {
          std::uint64_t bits = hits[m] & live;
          if (bits == 0) continue;  // only a hit touches the query's own memory
          Progress& p = *scanned.progress[q + std::size_t(m)];
          if (filtered_ && !GPUREC_PLANTED(filter_not_asked_in_scan)) bits = permitted(p, segment.row_of + at, bits);
          if (p.candidates.offer(scores + m * kTileItems, part.base + std::uint32_t(at), bits, block.largest)) {
            scanned.reject[q + std::size_t(m)] = p.candidates.reject_at(block.largest);
          }
        }
      }
    }
    for (Progress* p : scanned.progress) p->candidates.stats().scanned += n_scanned;
  }

  // The bits of the tile's items that this query may be given. Filters are asked before an item is counted: only
  // an item that may be returned can raise the threshold.
  std::uint64_t permitted(const Progress& p, const std::uint32_t* rows, std::uint64_t bits) const {
    for (std::uint64_t left = bits; left != 0; left &= left - 1) {
      const std::int64_t row = rows[__builtin_ctzll(left)];
      if (filters_.mask == nullptr && !p.denied.may_hold(row)) continue;
      if (!permits(filters_, p.index, row)) bits &= ~(left & -left);
    }
    return bits;
  }

  const ItemTable& table_;
  std::size_t every_;
  const FiltersView& filters_;
  bool filtered_;
  const Kernels& kernels_;
};

}  // namespace

void scan_blocks(const ItemTable& table, const FiltersView& filters, const Kernels& kernels,
                 const std::vector<Progress*>& group, std::size_t first, std::size_t step, std::size_t every) {
  BlockScan(table, filters, kernels, every).scan(group, first, step);
}

}  // namespace gpurec::cpu
