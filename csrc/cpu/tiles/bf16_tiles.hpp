// The tiles of a block in bfloat16 arithmetic.
#pragma once
#include "search/block_scan.hpp"

namespace gpurec::cpu {

// Items are rounded tile by tile on the way, so that nothing is kept beside the float32 items; for many queries that
// is little beside the scan.
class Bf16Tiles {
 public:
  static constexpr bool kDropsQueries = false;

  explicit Bf16Tiles(const ScanInput& input)
      : input_(input), tile_(n_pairs(input.table.d()) * kTileItems) {}

  const std::vector<Progress*>& members() const { return members_; }

  void clear() {
    members_.clear();
    queries_.clear();
    reject_.clear();
    error_ = -1.0;
  }

  // False where the arithmetic could overflow on the way.
  bool add(Progress& p, const ItemTable::Block& block) {
    if (!p.candidates.bf16_bound().valid(block.largest)) return false;
    members_.push_back(&p);
    queries_.push_back(p.pairs.data());
    reject_.push_back(0.0f);
    largest_ = block.largest;
    return true;
  }

  void scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block*,
            Walk& walk) {
    const ItemTable::Part& part = input_.table.parts()[block.part];
    Scanned& scanned = walk.scanned;
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      if (!input_.is_wanted(tile)) continue;
      const std::uint64_t live = input_.live(part, at, end);
      const std::int64_t n_items = std::min<std::int64_t>(kTileItems, end - at);
      ++scanned.tiles;
      scanned.items += n_items;
      if (live != 0) scan_tile(part, at, n_items, live);
    }
  }

  void finish() {}

 private:
  void scan_tile(const ItemTable::Part& part, std::int64_t at, std::int64_t n_items, std::uint64_t live) {
    const ItemSegment& segment = *part.segment;
    auto* const items = reinterpret_cast<std::uint32_t*>(tile_.data());
    const float* const panels = input_.panels(segment, at, panels_);
    const double error = norm_upper_float32(input_.kernels.round_tile_bf16(panels, segment.d, items), segment.d);
    if (!(error <= error_)) find_rejects(error);
    alignas(64) float start[kTileItems] = {};
    alignas(64) float scores[kTileQueries * kTileItems];
    std::uint64_t hits[kTileQueries] = {};
    for (std::int64_t j = 0; j < n_items && segment.metric == Metric::euclidean; ++j) {
      start[j] = scan_start_of_norm(segment.norms[at + j]);
    }
    for (std::size_t q = 0; q < members_.size(); q += kTileQueries) {
      const int n_queries = int(std::min<std::size_t>(kTileQueries, members_.size() - q));
      input_.kernels.scan_tile_bf16(queries_.data() + q, n_queries, items, n_pairs(segment.d), start, reject_.data() + q,
                                    scores, hits);
      for (int m = 0; m < n_queries; ++m) {
        std::uint64_t bits = hits[m] & live;
        if (bits == 0) continue;
        Progress& p = *members_[q + std::size_t(m)];
        bits = input_.permitted(p, segment.row_of + at, bits);
        const double slack = p.candidates.bf16_bound().slack(largest_, error_);
        if (p.candidates.offer(scores + m * kTileItems, part.base + std::uint32_t(at), bits, slack)) {
          reject_[q + std::size_t(m)] = p.candidates.reject_at(slack);
        }
      }
    }
  }

  // Errors hardly differ from tile to tile: with a little more than this one's the next ones need nothing new.
  void find_rejects(double error) {
    error_ = error * 1.0625;
    for (std::size_t m = 0; m < members_.size(); ++m) {
      const Candidates& candidates = members_[m]->candidates;
      reject_[m] = candidates.reject_at(candidates.bf16_bound().slack(largest_, error_));
    }
  }

  const ScanInput& input_;
  AlignedFloats panels_;  // of a tile that lies row by row
  AlignedFloats tile_;    // rounded, two to a float
  std::vector<Progress*> members_;
  std::vector<const std::uint32_t*> queries_;
  std::vector<float> reject_;  // scan values at or below it are of no use, of items no larger or less exact than these:
  double largest_ = 0.0;
  double error_ = -1.0;
};

}  // namespace gpurec::cpu
