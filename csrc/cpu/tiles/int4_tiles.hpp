// The tiles of a block in 4-bit arithmetic, for few queries: half the bytes of int8 codes are read. Its bounds are too
// wide for a list of scan values to prove a good threshold, while the values themselves lie close to the scores: items
// whose value reaches the threshold are scored canonically at once, which raises it, and what can only just reach it
// waits for the end. The first blocks, with which a threshold begins, are scanned in int8, and so are all others where
// too much comes near.
#pragma once
#include "search/block_scan.hpp"
#include "tiles/coded_queries.hpp"
#include "tiles/int8_tiles.hpp"

namespace gpurec::cpu {

class Int4Tiles {
 public:
  static constexpr bool kDropsQueries = false;

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

  void scan(const ItemTable::Block& block, std::size_t tile, std::int64_t end, const ItemTable::Block* following,
            Walk& walk) {
    if (n_blocks_++ < n_head_ || n_near_ > kMostNear + n_items_ / kItemsPerNear) {
      int8_.scan_all(block, tile, end, following, walk.scanned);
      return;
    }
    if (n_blocks_ == n_head_ + 1) {
      for (std::size_t m = 0; m < members().size(); ++m) {
        members()[m]->candidates.score_list();
        queries_.raise(m, m);
      }
    }
    const ItemTable::Part& part = input_.table.parts()[block.part];
    const ItemSegment& segment = *part.segment;
    const std::uint8_t* const next_block =
        following == nullptr ? nullptr : input_.table.parts()[following->part].segment->codes4_of(following->first);
    constexpr std::int64_t kAhead = 2 * kTileItems;  // of what is read what is asked for
    hits_.resize(members().size());
    if (sums_.size() < std::int64_t(members().size()) * kTileItems) {
      sums_ = AlignedFloats(std::int64_t(members().size()) * kTileItems);
    }
    auto* const sums = reinterpret_cast<std::int32_t*>(sums_.data());
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
      const std::int64_t beyond = at + kAhead - end;  // to ask for what does not exist does no harm
      const std::uint8_t* const next = beyond < 0              ? segment.codes4_of(at + kAhead)
                                       : next_block == nullptr ? nullptr
                                                               : next_block + beyond / kTileItems * segment.tile_bytes4();
      queries_.start_at({bounds.scale, 0.0f, bounds.smallest, bounds.largest}, input_.kernels);
      const std::int32_t* const weights = queries_.weights_at(bounds);
      const bool any = input_.kernels.scan_tile_i4(queries_.codes.data(), queries_.start.data(), weights,
                                                   queries_.size(), segment.codes4_of(at), segment.n_pairs(),
                                                   hits_.data(), sums, next);
      if (!soon_.empty() && ++n_waited_ > kTilesWaited) score_soon();
      if (!any) continue;
      for (std::size_t m = 0; m < members().size(); ++m) {
        const std::uint64_t bits = input_.permitted(*members()[m], segment.row_of + at, hits_[m] & live);
        if (bits != 0) take(m, bounds, part, at, bits, sums + m * kTileItems);
      }
    }
    n_items_ += scanned.items * std::int64_t(members().size());
    walk.scanned.add(scanned);
  }

  // No block follows: what waits is scored if it may still matter.
  void finish() {
    score_soon();
    constexpr std::size_t kAhead = 16;  // rows that come nearer meanwhile
    std::size_t n = 0;
    for (const Near& near : later_) {
      if (near.p->shared != nullptr) near.p->candidates.suppose(near.p->shared->load());
      if (matters(near)) later_[n++] = near;
    }
    if (GPUREC_PLANTED(int4_last_left)) return;
    for (std::size_t i = 0; i < n + kAhead; ++i) {
      if (i < n) input_.table.prefetch_item(later_[i].position);
      if (i < kAhead || !matters(later_[i - kAhead])) continue;
      score(later_[i - kAhead]);
      later_[i - kAhead].p->candidates.sharpen();
    }
    later_.clear();
  }

 private:
  static constexpr std::int64_t kItemsPerHead = 16384;  // of the index, for each block that begins in int8
  static constexpr int kTilesWaited = 1;  // while rows come nearer
  // More items that come near than these, and one of so many, cost more than int8 codes.
  static constexpr std::int64_t kMostNear = 4096;
  static constexpr std::int64_t kItemsPerNear = 16;

  struct Near {
    Progress* p;
    std::uint32_t position;
    float upper;  // its score is no larger
  };

  bool matters(const Near& near) const {
    const float tau = near.p->candidates.tau();
    return !(near.upper < tau);
  }

  // Items of a tile that come near query m.
  void take(std::size_t m, const TileBounds& bounds, const ItemTable::Part& part, std::int64_t at, std::uint64_t bits,
            const std::int32_t* sums) {
    Progress& p = *members()[m];
    const Int8Bound& bound = p.candidates.int8_bound();
    const ItemSegment& segment = *part.segment;
    const std::uint8_t* const shares = segment.codes4_of(at) + segment.n_pairs() * kGroup * kTileItems;
    const float scale = bound.scale() * bounds.scale, shift = bound.shift(bounds), tau = p.candidates.tau();
    const std::int32_t add = queries_.offset[m] - queries_.start[m];
    for (; bits != 0; bits &= bits - 1) {
      const int j = __builtin_ctzll(bits);
      const std::int32_t dot = sums[j] + add - strayed_of_share(queries_.weights[m], shares[j]);
      const float value = float(dot) * scale - shift;
      const float error = error_of_share(shares[j], bounds.error);
      const double slack = bound.slack({bounds.scale, error, bounds.smallest, bounds.largest});
      const Near near = {&p, part.base + std::uint32_t(at + j), bound.interval(value, slack).upper};
      if (!matters(near)) continue;
      ++n_near_;
      if (bound.estimate(value) < double(tau)) {
        later_.push_back(near);
        continue;
      }
      segment.prefetch_item(at + j);
      soon_.push_back(near);
    }
  }

  void score_soon() {
    n_waited_ = 0;
    for (const Near& near : soon_) score(near);
    soon_.clear();
    for (std::size_t m = 0; m < members().size(); ++m) {
      if (members()[m]->candidates.sharpen()) queries_.raise(m, m);
    }
  }

  void score(const Near& near) {
    Candidates& c = near.p->candidates;
    const ItemTable::Part& part = input_.table.part_of(near.position);
    const std::int64_t at = near.position - part.base;
    ++c.stats().scored_at_once;
    const float score = c.score(part.segment->row(at));
    if (!(score < c.tau())) c.offer_exact(part.segment->row_of[at], score);
  }

  const ScanInput& input_;
  Int8Tiles int8_;
  const std::int64_t n_head_;
  CodedQueries queries_;
  std::vector<std::uint64_t> hits_;
  AlignedFloats sums_;
  std::vector<Near> soon_;   // whose rows have been asked for
  std::vector<Near> later_;  // whose values do not reach the threshold
  int n_waited_ = 0;
  std::int64_t n_blocks_ = 0;
  std::int64_t n_items_ = 0;
  std::int64_t n_near_ = 0;
};

}  // namespace gpurec::cpu
