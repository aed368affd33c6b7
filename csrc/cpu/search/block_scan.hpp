// The walk over a table's blocks that every arithmetic shares: which queries a block matters to, and what is done with
// items that come near. `Tiles` scans the tiles of one block for those queries.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "search/permits.hpp"
#include "search/scan_blocks.hpp"

namespace gpurec::cpu {

// How much was scanned.
struct Scanned {
  std::int64_t tiles = 0;
  std::int64_t items = 0;
  std::int64_t leading_tiles = 0;

  void add(const Scanned& other) {
    tiles += other.tiles;
    items += other.items;
    leading_tiles += other.leading_tiles;
  }
};

// What the queries that scan have in common since they were listed.
struct Walk {
  Scanned scanned;
  std::int64_t n_left = 0;  // tiles from the block on that is scanned; 0 in a sample, which skips none

  void count(Progress& p) const {
    p.candidates.stats().tiles_scanned += scanned.tiles;
    p.candidates.stats().items_scanned += scanned.items;
    p.candidates.stats().leading_tiles += scanned.leading_tiles;
  }

  // A query that neither what comes after the block's first n_done tiles nor any later block matters to.
  void drop(Progress& p, std::int64_t n_done) const {
    count(p);
    p.candidates.stats().tiles_skipped += n_left > 0 ? n_left - n_done : 0;
    p.is_done = true;
  }
};

// What a scan reads besides its queries.
struct ScanInput {
  const ItemTable& table;
  const FiltersView& filters;
  const Kernels& kernels;
  std::size_t every;
  bool score_at_once;  // what many queries want of a tile

  bool is_wanted(std::size_t tile) const { return every == 1 || tile % every == every - 1; }

  // The items of a tile that live, a bit each; `end` ends the block.
  std::uint64_t live(const ItemTable::Part& part, std::int64_t at, std::int64_t end) const {
    const std::int64_t n = end - at;
    const std::uint64_t all = n >= kTileItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n) - 1;
    if (part.dead == nullptr || GPUREC_PLANTED(filter_inactive_ignored)) {
      return GPUREC_PLANTED(scan_padding_counts) ? ~std::uint64_t(0) : all;
    }
    return all & ~(*part.dead)[std::size_t(at / 64)];
  }

  // The bits of items that this query may be given. Filters are asked before an item is counted: only an item that
  // may be returned can raise the threshold.
  std::uint64_t permitted(const Progress& p, const std::uint32_t* rows, std::uint64_t bits) const {
    if ((filters.mask == nullptr && filters.deny.empty()) || GPUREC_PLANTED(filter_not_asked_in_scan)) return bits;
    for (std::uint64_t left = bits; left != 0; left &= left - 1) {
      const std::int64_t row = rows[__builtin_ctzll(left)];
      if (filters.mask == nullptr && !p.denied.may_hold(row)) continue;
      if (!permits(filters, p.index, row)) bits &= ~(left & -left);
    }
    return bits;
  }

  // The panels of a tile; one that lies row by row is packed into `room`, for many queries little beside the scan.
  const float* panels(const ItemSegment& segment, std::int64_t at, AlignedFloats& room) const {
    if (!segment.by_rows()) return segment.panel_of(at);
    if (room.size() == 0) room = AlignedFloats(kTileItems * segment.d);
    float squares[kPanelItems];
    for (std::int64_t p = 0; p < kTilePanels; ++p) {
      const auto n_rows = int(std::clamp<std::int64_t>(segment.n - at - p * kPanelItems, 0, kPanelItems));
      kernels.pack_panel(segment.row(n_rows == 0 ? at : at + p * kPanelItems), segment.d, n_rows, segment.d,
                         room.data() + p * kPanelItems * segment.d, squares);
    }
    return room.data();
  }

  void scan_canonically(Progress& p, const ItemTable::Part& part, std::int64_t at, std::int64_t end) const {
    ++p.candidates.stats().canonical_fallbacks;
    std::vector<float> item(static_cast<std::size_t>(table.d()));
    for (std::uint64_t left = live(part, at, end); left != 0; left &= left - 1) {
      const std::int64_t position = at + __builtin_ctzll(left);
      if (!permits(filters, p.index, part.segment->row_of[position])) continue;
      p.offer_canonical(table, part.base + std::uint32_t(position), item);
    }
  }
};

template <class Tiles>
class BlockScan {
 public:
  explicit BlockScan(const ScanInput& input) : input_(input), tiles_(input_) {}

  // Which queries a block matters to, and what they reject, is found anew now and then: blocks come by falling
  // norm, so that for a dot an older reject value lets more through and an older list holds more queries, never
  // fewer, and a query that one block does not matter to is done.
  void scan(std::vector<Progress*> group, const Blocks& of_part) {
    const std::vector<ItemTable::Block>& blocks = input_.table.blocks();
    for (Progress* p : group) p->is_done = false;
    std::int64_t n_left = of_part.count(blocks.size());
    for (std::size_t b = of_part.first(), following; b < blocks.size(); b = following, --n_left) {
      following = of_part.after(b);
      const ItemTable::Block& block = blocks[b];
      const std::int64_t n_items = input_.table.parts()[block.part].segment->n;
      const std::int64_t end = std::min(n_items, block.first + kBlockItems);
      const std::size_t tile = b * (kBlockItems / kTileItems);
      walk_.n_left = input_.every == 1 ? n_left * (kBlockItems / kTileItems) : 0;
      if (is_stale(block)) {
        refresh(group, block, tile, end);
      } else {
        ++age_;
      }
      if (!tiles_.members().empty()) {
        const ItemTable::Block* const next = following < blocks.size() ? &blocks[following] : nullptr;
        tiles_.scan(block, tile, end, next, walk_);
      } else if (!any_invalid_) {
        break;
      }
    }
    tiles_.finish();
    count();
  }

 private:
  // The list is made again after a few blocks, later where norms hardly fall, sooner where few queries share its cost or
  // norms fall fast, unless the tiles see to that and only the first blocks change much.
  bool is_stale(const ItemTable::Block& block) const {
    constexpr int kFew = 8, kMany = 32, kFirst = 3;
    if (any_invalid_ || tiles_.members().size() < (Tiles::kDropsQueries ? 1 : kTileQueries)) return true;
    const bool is_shared = tiles_.members()[0]->shared != nullptr;
    if (age_ + 1 >= (block.largest > largest_ * 0.92 && !is_shared ? kMany : kFew)) return true;
    const bool drops = Tiles::kDropsQueries && !is_shared && n_lists_ >= kFirst;
    return !drops && !(block.largest > largest_ * 0.98);
  }

  // A query that neither this block nor a later one matters to leaves the group; those that need the largest norms, and
  // so are likely to be done first, come last.
  void refresh(std::vector<Progress*>& group, const ItemTable::Block& block, std::size_t tile, std::int64_t end) {
    count();
    tiles_.clear();
    any_invalid_ = !input_.table.norms_fall();
    age_ = 0;
    ++n_lists_;
    largest_ = block.largest;
    order_.clear();
    std::size_t n_kept = 0;
    const bool by_norms = input_.table.pruning().norms;
    for (Progress* const member : group) {
      Progress& p = *member;
      if (p.is_done) continue;
      if (p.shared != nullptr) {
        p.shared->raise_to(p.candidates.tau());
        if (GPUREC_PLANTED(threshold_shared_leads)) p.candidates.prove(-next_down32(-p.shared->load()));
        p.candidates.suppose(p.shared->load());
      }
      const float best = p.candidates.bound().best_possible(block.smallest, block.largest);
      const float tau = p.candidates.tau();
      if (by_norms && (GPUREC_PLANTED(panel_skip_at_equality) ? best <= tau : best < tau)) {
        if (input_.table.norms_fall()) {
          walk_.drop(p, 0);
          continue;
        }
        p.candidates.stats().tiles_skipped += input_.every == 1 ? kBlockItems / kTileItems : 0;
      } else {
        order_.emplace_back(p.candidates.bound().least_norm(tau), member);
      }
      group[n_kept++] = member;
    }
    group.resize(n_kept);
    if (input_.table.norms_fall()) {
      std::sort(order_.begin(), order_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    for (const auto& [least_norm, p] : order_) {
      if (tiles_.add(*p, block)) continue;
      any_invalid_ = true;
      const ItemTable::Part& part = input_.table.parts()[block.part];
      for (std::int64_t at = block.first; at < end; at += kTileItems) {
        const std::size_t t = tile + std::size_t((at - block.first) / kTileItems);
        if (input_.is_wanted(t)) input_.scan_canonically(*p, part, at, end);
      }
    }
  }

  // Adds what was scanned since the list was made to the counts of its queries.
  void count() {
    for (Progress* p : tiles_.members()) walk_.count(*p);
    walk_.scanned = {};
  }

  ScanInput input_;
  Tiles tiles_;                      // the queries that scan a block together
  std::vector<std::pair<float, Progress*>> order_;  // the same with the norm that each needs
  bool any_invalid_ = false;         // the list holds for this block alone
  double largest_ = std::numeric_limits<double>::infinity();  // norm of the block it was made for
  int age_ = 0;                      // blocks since
  int n_lists_ = 0;                  // made so far
  Walk walk_;                        // since then
};

}  // namespace gpurec::cpu
