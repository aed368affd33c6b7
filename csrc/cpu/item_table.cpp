#include "item_table.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "gpurec/bounds.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 4096;

std::vector<double> squares_of_rows(const MatrixView<const float>& rows, const std::vector<std::uint32_t>& chosen,
                                    const Kernels& kernels, int n_threads) {
  std::vector<double> squares(chosen.size());
  const std::int64_t n = std::int64_t(chosen.size());
  parallel_for(n_threads, (n + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(n, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) {
      const float* x = rows.row(chosen[i]);
      squares[i] = kernels.dot64(x, x, rows.cols);
    }
  });
  return squares;
}

// Components of 16 rows at a time, so that both the reads and the writes of the transposition use whole lines.
void pack_panel(const MatrixView<const float>& rows, const std::uint32_t* row_of, int n_items, float* panel) {
  constexpr std::int64_t kStrip = 16;
  for (std::int64_t first = 0; first < rows.cols; first += kStrip) {
    const std::int64_t end = std::min(rows.cols, first + kStrip);
    for (int j = 0; j < n_items; ++j) {
      const float* x = rows.row(row_of[j]);
      for (std::int64_t i = first; i < end; ++i) panel[i * kPanelItems + j] = x[i];
    }
  }
}

}  // namespace

ItemTable::ItemTable(MatrixView<const float> rows_, Metric metric_, const std::uint8_t* active_, bool with_panels,
                     const Kernels& kernels, int n_threads)
    : rows(rows_), metric(metric_) {
  if (active_ != nullptr) active.assign(active_, active_ + rows.rows);
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    if (is_active(row) || GPUREC_PLANTED(filter_inactive_ignored)) row_of.push_back(std::uint32_t(row));
  }
  if (!with_panels) return;

  const std::int64_t n = n_positions();
  const std::vector<double> squares = squares_of_rows(rows, row_of, kernels, n_threads);
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  // Largest norm first; equal norms keep the public order, so that the layout is the same everywhere.
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return squares[a] > squares[b]; });

  std::vector<std::uint32_t> sorted_rows(n);
  const std::int64_t n_panels = (n + kPanelItems - 1) / kPanelItems;
  starts = AlignedFloats(n_panels * kPanelItems);
  norms.resize(n);
  blocks.resize(n_blocks());
  for (std::int64_t position = 0; position < n; ++position) {
    const double square = squares[order[position]];
    sorted_rows[position] = row_of[order[position]];
    norms[position] = norm_upper(square, d());
    starts.data()[position] = scan_start(metric, square);
    BlockNorms& block = blocks[position / kBlockItems];
    if (position % kBlockItems == 0) block.largest = norms[position];
    block.smallest = norm_lower(square, d());
    if (GPUREC_PLANTED(panel_norm_smallest)) block.largest = norms[position];
  }
  row_of = std::move(sorted_rows);

  panels = AlignedFloats(n_panels * kPanelItems * d());
  parallel_for(n_threads, n_blocks(), [&](std::int64_t block) {
    for (std::int64_t p = block * kBlockPanels; p < std::min(n_panels, (block + 1) * kBlockPanels); ++p) {
      const int n_items = int(std::min<std::int64_t>(kPanelItems, n - p * kPanelItems));
      pack_panel(rows, row_of.data() + p * kPanelItems, n_items, panels.data() + p * kPanelItems * d());
    }
  });
}

std::int64_t ItemTable::n_bytes() const {
  return std::int64_t(active.size() + row_of.size() * sizeof(row_of[0]) + norms.size() * sizeof(norms[0]) +
                      blocks.size() * sizeof(blocks[0])) +
         (panels.size() + starts.size()) * std::int64_t(sizeof(float));
}

}  // namespace gpurec::cpu
