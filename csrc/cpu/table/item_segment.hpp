// Items made ready for a scan and never changed again: sorted by norm, packed in panels or in codes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/scan_i8.hpp"
#include "gpurec/views.hpp"
#include "table/aligned.hpp"
#include "table/leading_plane.hpp"

namespace gpurec::cpu {

// Items that share one skip test and one reject value a query; 512 items of 64 components are 128 KB.
constexpr std::int64_t kBlockItems = 8 * kTileItems;

// Norms of a block's items, as bounds.
struct BlockNorms {
  double smallest;
  double largest;
};

// A position is an item's place in the scan; position p lies in panel p / kPanelItems, lane p % kPanelItems.
// The arrays belong to `owner`: memory of our own, or a file that is mapped.
struct ItemSegment {
  std::int64_t n = 0;
  std::int64_t d = 0;
  Metric metric = Metric::dot;               // dot (prepared cosine and pearson too) or euclidean
  // (padded n, d), padding zero: in panels, which a float32 scan reads; or row by row where there are codes, so that
  // an item whose score is asked for lies in one place.
  const float* items = nullptr;
  const float* norms = nullptr;              // (n), upper bounds
  const std::uint32_t* row_of = nullptr;     // (n), public rows
  // Int8 codes of each tile (scan_i8.hpp), or null: then only the float32 scan is possible.
  const std::uint8_t* codes = nullptr;       // (padded n / kTileItems, tile_bytes)
  const float* scales = nullptr;             // (padded n / kTileItems); 0 for a tile without codes
  const float* errors = nullptr;             // the same; upper bounds
  // The same in codes of half a byte (scan_i4.hpp), there where int8 codes are. After its codes a tile has the share
  // of each item in its error.
  const std::uint8_t* codes4 = nullptr;      // (padded n / kTileItems, tile_bytes4)
  const float* scales4 = nullptr;
  const float* errors4 = nullptr;            // of a share
  std::shared_ptr<const LeadingPlane> leading;  // of the same items in a few directions, or null
  std::vector<BlockNorms> blocks;
  std::vector<TileBounds> tiles;             // empty without codes
  std::vector<TileBounds> tiles4;            // with the error of a share
  std::shared_ptr<const void> owner;

  static std::int64_t padded(std::int64_t n) { return (n + kTileItems - 1) / kTileItems * kTileItems; }

  bool by_rows() const { return codes != nullptr; }
  const float* row(std::int64_t position) const { return items + position * d; }
  const float* panel_of(std::int64_t position) const { return row(position / kPanelItems * kPanelItems); }

  void copy_item(std::int64_t position, float* out) const {
    if (by_rows()) {
      std::copy_n(row(position), d, out);
      return;
    }
    const float* const column = panel_of(position) + position % kPanelItems;
    for (std::int64_t i = 0; i < d; ++i) out[i] = column[i * kPanelItems];
  }

  void prefetch_item(std::int64_t position) const {
    constexpr std::int64_t kLine = 16;  // floats
    if (by_rows()) {
      for (std::int64_t i = 0; i < d; i += kLine) __builtin_prefetch(row(position) + i, 0, 3);
    } else {
      for (std::int64_t i = 0; i < d; ++i) __builtin_prefetch(panel_of(position) + i * kLine, 0, 2);
    }
  }

  std::int64_t n_tiles() const { return padded(n) / kTileItems; }
  std::int64_t n_groups() const { return (d + kGroup - 1) / kGroup; }
  std::int64_t n_pairs() const { return (n_groups() + 1) / 2; }  // of groups
  std::int64_t tile_bytes() const { return n_groups() * kGroup * kTileItems; }
  std::int64_t tile_bytes4() const { return n_pairs() * kGroup * kTileItems + kTileItems; }
  const std::uint8_t* codes_of(std::int64_t position) const { return codes + position / kTileItems * tile_bytes(); }
  const std::uint8_t* codes4_of(std::int64_t position) const { return codes4 + position / kTileItems * tile_bytes4(); }

  std::int64_t n_bytes() const;

  // Fills `blocks` and `tiles`; the last step of every way to make a segment.
  void find_blocks();
};

// A segment over arrays made earlier by build_segment and kept elsewhere. Throws
// std::invalid_argument where a row is not below n_rows, a norm is negative or NaN, or a scale or error cannot be one.
std::shared_ptr<const ItemSegment> view_segment(ItemSegment arrays, std::int64_t n_rows);

// A segment of prepared rows; row i is public row public_rows[i]. Costs a sum of squares and a copy of each row,
// another for int8 codes where they are wanted, and a sort of the norms.
std::shared_ptr<const ItemSegment> build_segment(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                                 Metric metric, bool with_codes, Pruning::Directions directions,
                                                 const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
