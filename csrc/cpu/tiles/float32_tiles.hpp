// The tiles of a block in float32 arithmetic.
#pragma once
#include "search/block_scan.hpp"

namespace gpurec::cpu {

class Float32Tiles {
 public:
  static constexpr bool kDropsQueries = false;

  explicit Float32Tiles(const ScanInput& input) : input_(input) {}

  const std::vector<Progress*>& members() const { return members_; }

  void clear() {
    members_.clear();
    queries_.clear();
    reject_.clear();
  }

  // False where float32 could overflow on the way.
  bool add(Progress& p, const ItemTable::Block& block) {
    if (!p.candidates.bound().valid(block.largest)) return false;
    members_.push_back(&p);
    queries_.push_back(p.query);
    reject_.push_back(p.candidates.reject_at(p.candidates.bound().slack(block.largest)));
    return true;
  }

  void scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following,
            Walk& walk) {
    alignas(64) float start[kTileItems] = {};
    alignas(64) float scores[kTileQueries * kTileItems];
    std::uint64_t hits[kTileQueries] = {};
    const ItemTable& table = input_.table;
    const ItemTable::Part& part = table.parts()[block.part];
    const ItemSegment& segment = *part.segment;
    const bool by_rows = segment.by_rows();
    const float* const next_block =
        following == nullptr || by_rows ? nullptr : table.parts()[following->part].segment->panel_of(following->first);
    const std::int64_t d = table.d() - (GPUREC_PLANTED(scan_drops_last_component) ? table.d() % 2 : 0);
    Scanned& scanned = walk.scanned;
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      if (!input_.is_wanted(tile)) continue;
      const std::uint64_t live = input_.live(part, at, end);
      const std::int64_t n_items = std::min<std::int64_t>(kTileItems, end - at);
      ++scanned.tiles;
      scanned.items += n_items;
      if (live == 0) continue;
      for (std::int64_t j = 0; j < n_items && segment.metric == Metric::euclidean; ++j) {
        start[j] = scan_start_of_norm(segment.norms[at + j]);
      }
      const float* const panels = input_.panels(segment, at, panels_);
      // While the queries pass over these panels the next ones come nearer, a share with each tile of queries.
      const float* next = at + kTileItems < end && !by_rows ? segment.panel_of(at + kTileItems) : next_block;
      const int share = members_.size() <= kTileQueries ? 4 : members_.size() <= 3 * kTileQueries ? 2 : 1;
      int n_next = next == nullptr ? 0 : kTilePanels;
      for (std::size_t q = 0; q < members_.size(); q += kTileQueries) {
        const int n_queries = int(std::min<std::size_t>(kTileQueries, members_.size() - q));
        const int asked = std::min(share, n_next);
        input_.kernels.scan_tile(queries_.data() + q, n_queries, panels, d, start, reject_.data() + q,
                                 scores, hits, next, asked);
        next += asked * kPanelItems * table.d();
        n_next -= asked;
        std::uint64_t any = 0;  // one branch a tile, most often; what missing queries left there does no harm
        for (int m = 0; m < kTileQueries; ++m) any |= hits[m];
        if ((any & live) == 0) continue;
        for (int m = 0; m < n_queries; ++m) {
          std::uint64_t bits = hits[m] & live;
          if (bits == 0) continue;  // only a hit touches the query's own memory
          Progress& p = *members_[q + std::size_t(m)];
          bits = input_.permitted(p, segment.row_of + at, bits);
          const double slack = p.candidates.bound().slack(block.largest);
          if (p.candidates.offer(scores + m * kTileItems, part.base + std::uint32_t(at), bits, slack)) {
            reject_[q + std::size_t(m)] = p.candidates.reject_at(slack);
          }
        }
      }
    }
  }

  void finish() {}

 private:
  const ScanInput& input_;
  AlignedFloats panels_;  // of a tile that lies row by row
  std::vector<Progress*> members_;
  std::vector<const float*> queries_;
  std::vector<float> reject_;  // scan values at or below it are of no use
};

}  // namespace gpurec::cpu
