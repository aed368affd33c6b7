// Items made ready for a scan: sorted by norm, packed in panels, with the norms that bounds need.
#pragma once
#include <cstdint>
#include <vector>

#include "aligned.hpp"
#include "dispatch.hpp"
#include "gpurec/scan.hpp"
#include "gpurec/views.hpp"

namespace gpurec::cpu {

// Panels that share one skip test and one reject value a query; 512 items of 64 components are 128 KB.
constexpr int kBlockPanels = 8;

// Norms of a block's items, as bounds.
struct BlockNorms {
  double smallest;
  double largest;
};

struct ItemTable {
  // `rows` are prepared rows in public order and must outlive the table; rows with active[row] == 0 stay out.
  // Without panels a search scores every row canonically, which is cheaper for a handful of queries.
  ItemTable(MatrixView<const float> rows, Metric metric, const std::uint8_t* active, bool with_panels,
            const Kernels& kernels, int n_threads);

  std::int64_t d() const { return rows.cols; }
  std::int64_t n_positions() const { return std::int64_t(row_of.size()); }
  std::int64_t n_blocks() const { return (n_positions() + kBlockItems - 1) / kBlockItems; }
  bool has_panels() const { return !norms.empty() || n_positions() == 0; }
  bool is_active(std::int64_t row) const { return active.empty() || active[row] != 0; }
  std::int64_t n_bytes() const;

  static constexpr std::int64_t kBlockItems = std::int64_t(kBlockPanels) * kPanelItems;

  MatrixView<const float> rows;
  Metric metric;                       // dot (prepared cosine and pearson too) or euclidean
  std::vector<std::uint8_t> active;    // by public row; empty where all are
  std::vector<std::uint32_t> row_of;   // position in the scan -> public row
  std::vector<double> norms;           // by position, upper bounds
  std::vector<BlockNorms> blocks;
  AlignedFloats panels;
  AlignedFloats starts;                // by position: what the accumulator starts from
};

}  // namespace gpurec::cpu
