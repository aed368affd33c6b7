// The tiles of a block in 4-bit arithmetic, for few queries: half the bytes of int8 codes are read. Its bounds are too
// wide for a list of scan values to prove a good threshold, so what comes near is scored canonically at once. The
// first blocks, with which a threshold begins, are scanned in int8, and so are all others where too much comes near.
#pragma once
#include "search/block_scan.hpp"
#include "tiles/coded_queries.hpp"
#include "tiles/int8_tiles.hpp"

namespace gpurec::cpu {

class Int4Tiles {
 public:
  explicit Int4Tiles(const ScanInput& input)
      : input_(input), int8_(input), n_head_(std::clamp<std::int64_t>(input.table.n_active() / kItemsPerHead, 1, 16)) {}

  const std::vector<Progress*>& members() const { return queries_.members; }

  void clear() {
    queries_.clear();
    int8_.clear();
  }

  bool add(Progress& p, const ItemTable::Block& block) {
    queries_.add(p, GPUREC_PLANTED(int4_offset_of_bytes) ? 128 : 8);
    return int8_.add(p, block);
  }

  Scanned scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following) {
    if (n_blocks_++ < n_head_ || n_scored_ > kMostScored + n_items_ / kItemsPerScored) {
      return int8_.scan(block, tile, end, following);
    }
    if (n_blocks_ == n_head_ + 1) {
      for (std::size_t m = 0; m < members().size(); ++m) {
        members()[m]->candidates.score_list();
        queries_.below[m] = queries_.below_of(m);
      }
    }
    const ItemTable::Part& part = input_.table.parts()[block.part];
    const ItemSegment& segment = *part.segment;
    const std::uint8_t* const next_block =
        following == nullptr ? nullptr : input_.table.parts()[following->part].segment->codes4_of(following->first);
    hits_.resize(members().size());
    Scanned scanned;
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      if (!input_.is_wanted(tile)) continue;
      const std::uint64_t live = input_.live(part, at, end);
      ++scanned.tiles;
      scanned.items += std::min<std::int64_t>(kTileItems, end - at);
      if (live == 0) continue;
      const TileBounds& bounds = segment.tiles4[std::size_t(at / kTileItems)];
      if (bounds.scale == 0.0f) {
        for (Progress* p : members()) input_.scan_canonically(*p, part, at, end);
        continue;
      }
      const std::uint8_t* const next = at + kTileItems < end ? segment.codes4_of(at + kTileItems) : next_block;
      const std::int32_t* const start = queries_.start_at(bounds, input_.kernels);
      if (!input_.kernels.scan_tile_i4(queries_.codes.data(), start, queries_.size(), segment.codes4_of(at),
                                       segment.n_pairs(), hits_.data(), next)) {
        continue;
      }
      for (std::size_t m = 0; m < members().size(); ++m) {
        const std::uint64_t bits = input_.permitted(*members()[m], segment.row_of + at, hits_[m] & live);
        for (std::uint64_t left = bits; left != 0; left &= left - 1) {
          const std::int64_t position = at + __builtin_ctzll(left);
          segment.prefetch_item(position);
          pending_.push_back({members()[m], part.base + std::uint32_t(position)});
        }
      }
      if (pending_.size() > kMostPending) score(pending_.size() - kMostPending / 2);
    }
    n_items_ += scanned.items * std::int64_t(members().size());
    return scanned;
  }

  // No block follows.
  void finish() {
    if (!GPUREC_PLANTED(int4_last_left)) score(pending_.size());
  }

 private:
  static constexpr std::int64_t kItemsPerHead = 16384;  // of the index, for each block that begins in int8
  static constexpr std::size_t kMostPending = 32;  // rows that come nearer while the scan goes on
  // More canonical scores than these, and one for so many items, cost more than int8 codes.
  static constexpr std::int64_t kMostScored = 4096;
  static constexpr std::int64_t kItemsPerScored = 16;

  struct Near {
    Progress* p;
    std::uint32_t position;
  };

  // Scores the oldest of those that wait.
  void score(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      Progress& p = *pending_[i].p;
      const ItemTable::Part& part = input_.table.part_of(pending_[i].position);
      const std::int64_t at = pending_[i].position - part.base;
      ++p.candidates.stats().scored_at_once;
      p.candidates.offer_exact(part.segment->row_of[at], p.candidates.score(part.segment->row(at)));
    }
    pending_.erase(pending_.begin(), pending_.begin() + std::ptrdiff_t(n));
    n_scored_ += std::int64_t(n);
    for (std::size_t m = 0; m < members().size(); ++m) {
      if (members()[m]->candidates.sharpen()) queries_.below[m] = queries_.below_of(m);
    }
  }

  const ScanInput& input_;
  Int8Tiles int8_;
  const std::int64_t n_head_;
  CodedQueries queries_;
  std::vector<std::uint64_t> hits_;
  std::vector<Near> pending_;  // what came near and has been asked for, oldest first
  std::int64_t n_blocks_ = 0;
  std::int64_t n_items_ = 0;
  std::int64_t n_scored_ = 0;
};

}  // namespace gpurec::cpu
