// Items made ready for a scan and never changed again: sorted by norm, packed in panels.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/scan.hpp"
#include "gpurec/views.hpp"
#include "table/aligned.hpp"

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
  const float* panels = nullptr;             // (padded n, d) in panels; padding is zero
  const float* norms = nullptr;              // (n), upper bounds
  const std::uint32_t* row_of = nullptr;     // (n), public rows
  std::vector<BlockNorms> blocks;
  std::shared_ptr<const void> owner;

  static std::int64_t padded(std::int64_t n) { return (n + kTileItems - 1) / kTileItems * kTileItems; }

  const float* panel_of(std::int64_t position) const {
    return panels + position / kPanelItems * (kPanelItems * d);
  }

  // Component i of the item is at column_of(position)[i * kPanelItems].
  const float* column_of(std::int64_t position) const { return panel_of(position) + position % kPanelItems; }

  void copy_item(std::int64_t position, float* out) const {
    const float* column = column_of(position);
    for (std::int64_t i = 0; i < d; ++i) out[i] = column[i * kPanelItems];
  }

  std::int64_t n_bytes() const;

  // Fills `blocks` from the norms; the last step of every way to make a segment.
  void find_blocks();
};

// A segment over arrays made earlier by build_segment and kept elsewhere. Throws
// std::invalid_argument where a row is not below n_rows, or a norm is negative or NaN.
std::shared_ptr<const ItemSegment> view_segment(ItemSegment arrays, std::int64_t n_rows);

// A segment of prepared rows; row i is public row public_rows[i]. Costs a sum of squares and a copy of each row
// and a sort of their norms.
std::shared_ptr<const ItemSegment> build_segment(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                                 Metric metric, const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
