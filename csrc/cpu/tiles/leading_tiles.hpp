// The tiles of a block in leading directions, int8 codes of a few components: what comes near by those is scored
// canonically at once. The first blocks, with which a threshold begins, are scanned in all components, and so are
// segments without directions, and all others where too much comes near.
#pragma once
#include "search/block_scan.hpp"
#include "tiles/coded_queries.hpp"
#include "tiles/int8_tiles.hpp"

namespace gpurec::cpu {

class LeadingTiles {
 public:
  static constexpr bool kDropsQueries = false;

  explicit LeadingTiles(const ScanInput& input) : input_(input), plane_(input.table.leading()), int8_(input) {}

  const std::vector<Progress*>& members() const { return int8_.members(); }

  void clear() {
    queries_.clear();
    int8_.clear();
  }

  bool add(Progress& p, const ItemTable::Block& block) {
    if (n_blocks_ > kHead) add_rotated(p);
    return int8_.add(p, block);
  }

  void scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following,
            Walk& walk) {
    const ItemTable::Part& part = input_.table.parts()[block.part];
    if (n_blocks_++ == kHead) begin();
    if (n_blocks_ <= kHead || part.segment->leading.get() != plane_ || !is_worth_it_ || lets_too_much_through()) {
      int8_.scan_all(block, tile, end, following, walk.scanned);
      return;
    }
    near_.resize(members().size());
    hits_.resize(members().size());
    sums_.resize(members().size());
    Scanned scanned;
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      if (!input_.is_wanted(tile)) continue;
      const std::uint64_t live = input_.live(part, at, end);
      ++scanned.tiles;
      ++scanned.leading_tiles;
      scanned.items += std::min<std::int64_t>(kTileItems, end - at);
      if (live != 0) scan_tile(part, at, end, live);
    }
    n_items_ += scanned.items * std::int64_t(members().size());
    walk.scanned.add(scanned);
  }

  // No block follows.
  void finish() {
    if (!GPUREC_PLANTED(leading_last_left)) score(pending_.size());
  }

 private:
  static constexpr std::int64_t kHead = 1;         // blocks
  static constexpr std::size_t kMostPending = 32;  // rows that come nearer while the scan goes on
  static constexpr std::ptrdiff_t kFewest = 12, kFewestOfMany = 80;  // blocks; many queries share the codes they read
  static constexpr std::size_t kMany = 64;
  // More canonical scores than these, and one for so many items, cost more than the codes of all components.
  static constexpr std::int64_t kMostScored = 2048;
  static constexpr std::int64_t kItemsPerScored = 24;

  struct Near {
    Progress* p;
    std::uint32_t position;
  };
  struct alignas(64) Sums {
    std::int32_t of[kTileItems];
  };

  // Whether norms leave enough of the table for the query's rotation, and the scores below, to be earned back.
  bool has_enough_left() const {
    const ItemTable& table = input_.table;
    const Pruning& pruning = table.pruning();
    if (pruning.directions == Pruning::Directions::always || !pruning.norms || !table.norms_fall()) return true;
    std::ptrdiff_t n_left = 0;
    for (const Progress* p : members()) {
      const auto matters = [p](const ItemTable::Block& block) {
        return !(p->candidates.bound().best_possible(block.smallest, block.largest) < p->candidates.tau());
      };
      n_left += std::partition_point(table.blocks().begin(), table.blocks().end(), matters) - table.blocks().begin();
    }
    const std::ptrdiff_t fewest = members().size() <= kMany ? kFewest : kFewestOfMany;
    return n_left >= fewest * std::ptrdiff_t(members().size());
  }

  // Canonical scores of what the head let through are the threshold that the directions begin with.
  void begin() {
    is_worth_it_ = has_enough_left();
    for (std::size_t m = 0; m < members().size() && is_worth_it_; ++m) {
      members()[m]->candidates.score_list();
      add_rotated(*members()[m]);
    }
  }

  // One query that cannot be told in codes of the directions, of huge or tiny numbers, ends them for all.
  void add_rotated(Progress& p) {
    if (!is_worth_it_) return;
    LeadingQuery& query = p.leading;
    if (query.codes.empty()) query.make(*plane_, input_.table.metric(), p.query, input_.kernels);
    is_worth_it_ = query.query_codes.scale != 0.0f;
    if (is_worth_it_) queries_.add(p, query.bound, query.codes.data(), -128 * query.query_codes.sum);
  }

  bool lets_too_much_through() const { return n_scored_ > kMostScored + n_items_ / kItemsPerScored; }

  void scan_tile(const ItemTable::Part& part, std::int64_t at, std::int64_t end, std::uint64_t live) {
    const ItemSegment& segment = *part.segment;
    const TileBounds& bounds = plane_->tiles[std::size_t(at / kTileItems)];
    if (bounds.scale == 0.0f) {
      for (Progress* p : members()) input_.scan_canonically(*p, part, at, end);
      return;
    }
    const std::int32_t* const start = queries_.start_at(bounds, input_.kernels);
    const int n_near =
        input_.kernels.scan_tile_i8(queries_.codes.data(), start, queries_.size(), plane_->codes_of(at),
                                    plane_->n_groups(), near_.data(), hits_.data(), sums_[0].of, nullptr);
    for (int r = 0; r < n_near; ++r) {
      Progress& p = *members()[std::size_t(near_[std::size_t(r)])];
      const std::uint64_t bits = input_.permitted(p, segment.row_of + at, hits_[std::size_t(r)] & live);
      for (std::uint64_t left = bits; left != 0; left &= left - 1) {
        const std::int64_t position = at + __builtin_ctzll(left);
        segment.prefetch_item(position);
        pending_.push_back({&p, part.base + std::uint32_t(position)});
      }
    }
    if (pending_.size() > kMostPending) score(pending_.size() - kMostPending / 2);
  }

  // Scores the oldest of those that wait.
  void score(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      Progress& p = *pending_[i].p;
      const ItemTable::Part& part = input_.table.part_of(pending_[i].position);
      const std::int64_t at = pending_[i].position - part.base;
      ++p.candidates.stats().scored_at_once;
      p.candidates.offer_exact(part.segment->row_of[at], p.candidates.score(part.segment->row(at)));
      if (!p.candidates.sharpen()) continue;
      const std::vector<Progress*>& rotated = queries_.members;
      const auto m = std::size_t(std::find(rotated.begin(), rotated.end(), &p) - rotated.begin());
      if (m < rotated.size()) queries_.raise(m, m);
    }
    pending_.erase(pending_.begin(), pending_.begin() + std::ptrdiff_t(n));
    n_scored_ += std::int64_t(n);
  }

  const ScanInput& input_;
  const LeadingPlane* const plane_;
  Int8Tiles int8_;
  CodedQueries queries_;
  std::vector<std::int32_t> near_;
  std::vector<std::uint64_t> hits_;
  std::vector<Sums> sums_;
  std::vector<Near> pending_;  // what came near and has been asked for, oldest first
  bool is_worth_it_ = true;
  std::int64_t n_blocks_ = 0;
  std::int64_t n_items_ = 0;
  std::int64_t n_scored_ = 0;
};

}  // namespace gpurec::cpu
