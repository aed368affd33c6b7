// Canonical scores of what many queries want of a tile, while the tile is at hand: its items are read and widened once
// for all of them. Where an item is wanted by more than one query that is cheaper than to keep it on their lists.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "search/block_scan.hpp"

namespace gpurec::cpu {

class TileScores {
 public:
  explicit TileScores(const ScanInput& input)
      : input_(input), width_(wide(input.table.d())), run_(std::clamp<std::int64_t>(kRoom / width_, 4, kTileItems)) {}

  void clear() { queries_.clear(); }

  void add(const Progress& p) {
    const std::size_t end = queries_.size();
    queries_.resize(end + std::size_t(width_));
    input_.kernels.widen_rows(p.query, 1, input_.table.d(), queries_.data() + end);
  }

  // Query m, the r-th of those that are near, wants what hits[r] says of the tile at a position; `rose(m)` is called
  // where its threshold rose.
  template <class Rose>
  void score(const std::vector<Progress*>& members, const ItemTable::Part& part, std::int64_t at,
             const std::int32_t* near, const std::uint64_t* hits, int n_near, Rose rose) {
    const ItemSegment& segment = *part.segment;
    items_.resize(std::size_t(run_ * width_));
    const std::int64_t n_items = std::min<std::int64_t>(kTileItems, segment.n - at);
    // The next tile's items come nearer meanwhile, a few lines with each query.
    const auto* ahead = reinterpret_cast<const char*>(segment.row(at + n_items));
    const auto* const end = reinterpret_cast<const char*>(segment.row(std::min(segment.n, at + n_items + kTileItems)));
    for (std::int64_t first = 0; first < n_items; first += run_) {
      const std::int64_t n = std::min(run_, n_items - first);
      const std::uint64_t all = n == kTileItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n) - 1;
      input_.kernels.widen_rows(segment.row(at + first), n, segment.d, items_.data());
      for (int r = 0; r < n_near; ++r) {
        const std::uint64_t bits = hits[r] >> first & all;
        if (bits == 0) continue;
        for (int line = 0; line < kLinesAhead && ahead < end; ++line, ahead += kLine) __builtin_prefetch(ahead, 0, 2);
        const auto m = std::size_t(near[r]);
        const double* const query = queries_.data() + std::int64_t(m) * width_;
        if (members[m]->candidates.offer_wide(query, items_.data(), segment.row_of + at + first, bits)) rose(m);
      }
    }
  }

 private:
  static constexpr std::int64_t kRoom = 4096;  // numbers of widened items: what the first-level cache holds

  static constexpr int kLine = 64;        // bytes
  static constexpr int kLinesAhead = 4;

  const ScanInput& input_;
  const std::int64_t width_;
  const std::int64_t run_;  // items at a time
  std::vector<double> queries_;
  std::vector<double> items_;
};

}  // namespace gpurec::cpu
