// The walk over a table's blocks that every arithmetic shares: which queries a block matters to, and what is done with
// items that come near. `Tiles` scans the tiles of one block for those queries.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "search/permits.hpp"
#include "search/scan_blocks.hpp"

namespace gpurec::cpu {

// How much was scanned.
struct Scanned {
  std::int64_t tiles = 0;
  std::int64_t items = 0;

  void add(const Scanned& other) {
    tiles += other.tiles;
    items += other.items;
  }
};

// What a scan reads besides its queries.
struct ScanInput {
  const ItemTable& table;
  const FiltersView& filters;
  const Kernels& kernels;
  std::size_t every;

  bool is_wanted(std::size_t tile) const { return tile % every == every - 1; }

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
  // fewer.
  void scan(const std::vector<Progress*>& group, const Blocks& of_part) {
    const std::vector<ItemTable::Block>& blocks = input_.table.blocks();
    for (std::size_t b = of_part.first(), following; b < blocks.size(); b = following) {
      following = of_part.after(b);
      const ItemTable::Block& block = blocks[b];
      const std::int64_t n_items = input_.table.parts()[block.part].segment->n;
      const std::int64_t end = std::min(n_items, block.first + kBlockItems);
      const std::size_t tile = b * (kBlockItems / kTileItems);
      if (is_stale(block, group.size())) {
        refresh(group, block, tile, end);
        if (tiles_.members().empty() && !any_invalid_ && input_.table.metric() == Metric::dot) {
          for (; b < blocks.size(); b = of_part.after(b)) ++n_blocks_;
          break;
        }
      } else {
        ++age_;
      }
      if (!tiles_.members().empty()) {
        const ItemTable::Block* const next = following < blocks.size() ? &blocks[following] : nullptr;
        scanned_.add(tiles_.scan(block, tile, end, next));
      }
      ++n_blocks_;
    }
    tiles_.finish();
    count();
  }

 private:
  // The list is made again after a few blocks, sooner where norms fall fast or few queries share its cost.
  bool is_stale(const ItemTable::Block& block, std::size_t n_queries) const {
    constexpr int kOldest = 8;
    return any_invalid_ || n_queries < kTileQueries || age_ + 1 >= kOldest || !(block.largest > largest_ * 0.98);
  }

  void refresh(const std::vector<Progress*>& group, const ItemTable::Block& block, std::size_t tile, std::int64_t end) {
    count();
    tiles_.clear();
    skipped_.clear();
    any_invalid_ = input_.table.metric() == Metric::euclidean;  // norms alone do not order its blocks
    age_ = 0;
    largest_ = block.largest;
    for (Progress* const member : group) {
      Progress& p = *member;
      if (p.shared != nullptr) {
        p.shared->raise_to(p.candidates.tau());
        if (GPUREC_PLANTED(threshold_shared_leads)) p.candidates.prove(-next_down32(-p.shared->load()));
        p.candidates.suppose(p.shared->load());
      }
      const float best = p.candidates.bound().best_possible(block.smallest, block.largest);
      const float tau = p.candidates.tau();
      if (GPUREC_PLANTED(panel_skip_at_equality) ? best <= tau : best < tau) {
        skipped_.push_back(&p);
      } else if (!tiles_.add(p, block)) {
        any_invalid_ = true;
        const ItemTable::Part& part = input_.table.parts()[block.part];
        for (std::int64_t at = block.first; at < end; at += kTileItems) {
          const std::size_t t = tile + std::size_t((at - block.first) / kTileItems);
          if (input_.is_wanted(t)) input_.scan_canonically(p, part, at, end);
        }
      }
    }
  }

  // Adds what came since the lists were made to the counts of their queries.
  void count() {
    for (Progress* p : tiles_.members()) {
      p->candidates.stats().tiles_scanned += scanned_.tiles;
      p->candidates.stats().items_scanned += scanned_.items;
    }
    const std::int64_t n_tiles = input_.every > 1 ? 0 : n_blocks_ * (kBlockItems / kTileItems);  // a sample skips none
    for (Progress* p : skipped_) p->candidates.stats().tiles_skipped += n_tiles;
    scanned_ = {};
    n_blocks_ = 0;
  }

  ScanInput input_;
  Tiles tiles_;                      // the queries that scan a block together
  std::vector<Progress*> skipped_;   // those that norms rule out
  bool any_invalid_ = false;         // the lists hold for this block alone
  double largest_ = std::numeric_limits<double>::infinity();  // norm of the block they were made for
  int age_ = 0;                      // blocks since
  Scanned scanned_;                  // since then, by each of the queries that scan
  std::int64_t n_blocks_ = 0;        // since then
};

}  // namespace gpurec::cpu
