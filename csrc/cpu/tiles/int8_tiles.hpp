// The tiles of a block in int8 arithmetic.
#pragma once
#include "search/block_scan.hpp"
#include "tiles/coded_queries.hpp"
#include "tiles/tile_scores.hpp"

namespace gpurec::cpu {

class Int8Tiles {
 public:
  static constexpr bool kDropsQueries = true;  // as their tiles no longer matter

  explicit Int8Tiles(const ScanInput& input) : input_(input), scores_(input) {}

  const std::vector<Progress*>& members() const { return queries_.members; }

  void clear() {
    score_soon();
    queries_.clear();
    scores_.clear();
    started_ = nullptr;
  }

  bool add(Progress& p, const ItemTable::Block&) {
    queries_.add(p, GPUREC_PLANTED(int8_offset_kept) ? 0 : 128);
    if (input_.score_at_once) scores_.add(p);
    return true;
  }

  // Queries that need larger norms than this tile and all that follow have are done: they are the last ones (BlockScan).
  void scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following,
            Walk& walk) {
    const ItemSegment& segment = *input_.table.parts()[block.part].segment;
    const std::uint8_t* const next_block = codes_of(following);
    const bool may_drop = input_.table.norms_fall() && input_.table.pruning().norms;
    // The next block of a segment has no larger norms than this tile; that of another segment may.
    const float of_following = following == nullptr || GPUREC_PLANTED(norm_cut_of_one_segment)
                                   ? 0.0f
                                   : round_up32(following->largest);
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      const float norm = std::max(float(segment.tiles[std::size_t(at / kTileItems)].largest), of_following);
      while (may_drop && queries_.size() > 0 && norm < queries_.least_norm.back()) {
        walk.drop(*members().back(), (at - block.first) / kTileItems);
        queries_.drop_last();
      }
      if (queries_.size() == 0) return;
      scan_tile(block, tile, at, end, next_block, walk.scanned);
    }
  }

  // The same for all queries, which another kind of tiles keeps too.
  void scan_all(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following,
                Scanned& scanned) {
    const std::uint8_t* const next_block = codes_of(following);
    for (std::int64_t at = block.first; at < end; at += kTileItems, ++tile) {
      scan_tile(block, tile, at, end, next_block, scanned);
    }
  }

  void finish() {
    if (GPUREC_PLANTED(int8_last_left)) soon_.clear();
    score_soon();
  }

 private:
  const std::uint8_t* codes_of(const ItemTable::Block* block) const {
    return block == nullptr ? nullptr : input_.table.parts()[block->part].segment->codes_of(block->first);
  }

  void scan_tile(const ItemTable::Block& block, std::size_t tile, std::int64_t at, std::int64_t end,
                 const std::uint8_t* next_block, Scanned& scanned) {
    if (!input_.is_wanted(tile)) return;
    const ItemTable::Part& part = input_.table.parts()[block.part];
    const std::uint64_t live = input_.live(part, at, end);
    ++scanned.tiles;
    scanned.items += std::min<std::int64_t>(kTileItems, end - at);
    if (live == 0) return;
    const TileBounds& bounds = part.segment->tiles[std::size_t(at / kTileItems)];
    if (bounds.scale == 0.0f) {
      if (GPUREC_PLANTED(int8_tiles_without_codes_skipped)) return;
      for (Progress* p : members()) input_.scan_canonically(*p, part, at, end);
      return;
    }
    const std::size_t n = members().size();
    if (near_.size() < n) {
      near_.resize(n);
      hits_.resize(n);
      sums_ = AlignedFloats(std::int64_t(n) * kTileItems);
    }
    const std::int32_t* const start = n == 1 ? start_of_one(block, *part.segment, at, end)
                                             : queries_.start_at(bounds, input_.kernels);
    scan_codes(bounds, start, part, at, live,
               at + kTileItems < end ? part.segment->codes_of(at + kTileItems) : next_block);
  }

  // One query's start values are made for the tiles of a block together; they hold until its threshold rises.
  const std::int32_t* start_of_one(const ItemTable::Block& block, const ItemSegment& segment, std::int64_t at,
                                   std::int64_t end) {
    if (started_ != &block) {
      started_ = &block;
      const std::int64_t n_tiles = (end - block.first + kTileItems - 1) / kTileItems;
      queries_.start_of_one(&segment.tiles[std::size_t(block.first / kTileItems)], int(n_tiles), input_.kernels);
    }
    return queries_.start.data() + (at - block.first) / kTileItems;
  }

  void scan_codes(const TileBounds& bounds, const std::int32_t* start, const ItemTable::Part& part, std::int64_t at,
                  std::uint64_t live, const std::uint8_t* next) {
    const ItemSegment& segment = *part.segment;
    auto* const sums = reinterpret_cast<std::int32_t*>(sums_.data());
    const int n_near =
        input_.kernels.scan_tile_i8(queries_.codes.data(), start, queries_.size(), segment.codes_of(at),
                                    segment.n_groups(), near_.data(), hits_.data(), sums, next);
    if (input_.score_at_once && score_at_once(part, at, live, n_near)) return;
    score_soon();
    for (int r = 0; r < n_near; ++r) {
      std::uint64_t bits = hits_[std::size_t(r)] & live;
      if (bits == 0) continue;
      const auto m = std::size_t(near_[std::size_t(r)]);
      Progress& p = *members()[m];
      bits = input_.permitted(p, segment.row_of + at, bits);
      const std::int32_t add = queries_.offset[m] - start[m];
      if (p.candidates.is_followed()) {
        take(m, sums + r * kTileItems, add, bounds, part, at, bits);
        continue;
      }
      if (offer(p, sums + r * kTileItems, add, bounds, part.base + std::uint32_t(at), bits)) {
        rose(m, GPUREC_PLANTED(int8_threshold_of_row) ? std::size_t(r) : m);
      }
    }
  }

  // An item that query m is likely to want; its row has been asked for.
  struct Near {
    Progress* p;
    std::size_t m;
    std::uint32_t position;
    float value;
    const TileBounds* bounds;
  };

  // Hits of a query that is followed: those that reach its threshold have scores when the next tile has been scanned.
  void take(std::size_t m, const std::int32_t* sums, std::int32_t add, const TileBounds& bounds,
            const ItemTable::Part& part, std::int64_t at, std::uint64_t bits) {
    Progress& p = *members()[m];
    const Int8Bound& bound = p.candidates.int8_bound();
    const float scale = bound.scale() * bounds.scale, shift = bound.shift(bounds);
    for (; bits != 0; bits &= bits - 1) {
      const int j = __builtin_ctzll(bits);
      const float value = float(std::int32_t(std::uint32_t(sums[j]) + std::uint32_t(add))) * scale - shift;
      const std::uint32_t position = part.base + std::uint32_t(at + j);
      if (p.candidates.reaches(value)) {
        part.segment->prefetch_item(at + j);
        __builtin_prefetch(part.segment->row_of + at + j);
        soon_.push_back({&p, m, position, value, &bounds});
      } else if (p.candidates.wait(value, position, bound.slack(bounds))) {
        rose(m, m);
      }
    }
  }

  // All scores come before any is looked at, so that none waits for what another leads to.
  void score_soon() {
    std::size_t n = 0;
    for (const Near& near : soon_) {
      Candidates& c = near.p->candidates;
      if (!c.reaches(near.value)) {
        if (c.wait(near.value, near.position, c.int8_bound().slack(*near.bounds))) rose(near);
        continue;
      }
      const ItemTable::Part& part = input_.table.part_of(near.position);
      const std::int64_t at = near.position - part.base;
      soon_[n++] = {near.p, near.m, part.segment->row_of[at], c.score(part.segment->row(at)), near.bounds};
    }
    bool rises = false;
    for (std::size_t i = 0; i < n; ++i) {
      const Near& scored = soon_[i];
      ++scored.p->candidates.stats().scored_at_once;
      rises |= scored.p->candidates.take(scored.value, scored.position);
      if (i + 1 < n && soon_[i + 1].p == scored.p) continue;
      if (rises) rose(scored);
      rises = false;
    }
    soon_.clear();
  }

  void rose(const Near& near) {
    if (near.m < members().size()) rose(near.m, near.m);  // else it is done
  }

  // Whether so much of a tile is wanted; then it has its scores.
  bool score_at_once(const ItemTable::Part& part, std::int64_t at, std::uint64_t live, int n_near) {
    std::int64_t n_wanted = 0;
    for (int r = 0; r < n_near && n_wanted < kTileItems; ++r) {
      n_wanted += __builtin_popcountll(hits_[std::size_t(r)] & live);
    }
    if (n_wanted < kTileItems) return false;
    for (int r = 0; r < n_near; ++r) {
      std::uint64_t& bits = hits_[std::size_t(r)];
      const auto m = std::size_t(near_[std::size_t(r)]);
      bits &= live;
      if (GPUREC_PLANTED(scored_at_once_unfiltered)) continue;
      bits = input_.permitted(*members()[m], part.segment->row_of + at, bits);
    }
    scores_.score(members(), part, at, near_.data(), hits_.data(), n_near,
                  [&](std::size_t m) { rose(m, m); });
    return true;
  }

  void rose(std::size_t m, std::size_t of) {
    queries_.raise(m, of);
    started_ = nullptr;
  }

  // The scan values of a tile's sums; `add` takes the threshold off and the offset back.
  bool offer(Progress& p, const std::int32_t* sums, std::int32_t add, const TileBounds& bounds, std::uint32_t first,
             std::uint64_t bits) const {
    constexpr int kFew = 6;  // items, of which each alone is quicker than all 64 in vectors
    const Int8Bound& bound = p.candidates.int8_bound();
    const float scale = bound.scale() * bounds.scale, shift = bound.shift(bounds);
    const bool as_float32 = GPUREC_PLANTED(int8_slack_of_float32);
    const double slack = as_float32 ? p.candidates.bound().slack(bounds.largest) : bound.slack(bounds);
    if (__builtin_popcountll(bits) <= kFew) {
      const auto score = [=](int j) {
        return float(std::int32_t(std::uint32_t(sums[j]) + std::uint32_t(add))) * scale - shift;
      };
      return p.candidates.offer_each(score, first, bits, slack);
    }
    alignas(64) float scores[kTileItems];
    input_.kernels.scores_of_sums(sums, add, scale, shift, scores);
    return p.candidates.offer(scores, first, bits, slack);
  }

  const ScanInput& input_;
  CodedQueries queries_;
  TileScores scores_;
  const ItemTable::Block* started_ = nullptr;  // whose tiles the only query has start values for
  std::vector<Near> soon_;  // of the tile before
  // Of the tile that is scanned.
  std::vector<std::int32_t> near_;
  std::vector<std::uint64_t> hits_;
  AlignedFloats sums_;
};

}  // namespace gpurec::cpu
