#include "table/item_segment.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 4096;

struct OwnedArrays {
  OwnedArrays(std::int64_t n, std::int64_t d) : panels(ItemSegment::padded(n) * d), norms(n), row_of(std::size_t(n)) {}
  AlignedFloats panels;
  AlignedFloats norms;
  std::vector<std::uint32_t> row_of;
};

}  // namespace

std::shared_ptr<const ItemSegment> build_segment(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                                 Metric metric, const Kernels& kernels, int n_threads) {
  const std::int64_t n = rows.rows;
  const std::int64_t d = rows.cols;
  std::vector<double> squares(static_cast<std::size_t>(n));
  parallel_for(n_threads, (n + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(n, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) squares[i] = kernels.dot64(rows.row(i), rows.row(i), d);
  });

  // Largest norm first; equal norms keep the public order, so that the layout is the same everywhere.
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return squares[a] > squares[b]; });

  auto arrays = std::make_shared<OwnedArrays>(n, d);
  parallel_for(n_threads, (n + kBlockItems - 1) / kBlockItems, [&](std::int64_t block) {
    const std::int64_t end = std::min(n, (block + 1) * kBlockItems);
    for (std::int64_t position = block * kBlockItems; position < end; ++position) {
      const std::uint32_t source = order[position];
      arrays->row_of[position] = public_rows[source];
      arrays->norms.data()[position] = stored_norm(squares[source], d);
      const float* x = rows.row(source);
      float* column = arrays->panels.data() + position / kPanelItems * (kPanelItems * d) + position % kPanelItems;
      for (std::int64_t i = 0; i < d; ++i) column[i * kPanelItems] = x[i];
    }
  });

  auto segment = std::make_shared<ItemSegment>();
  segment->n = n;
  segment->d = d;
  segment->metric = metric;
  segment->panels = arrays->panels.data();
  segment->norms = arrays->norms.data();
  segment->row_of = arrays->row_of.data();
  segment->owner = arrays;
  segment->find_blocks();
  return segment;
}

std::shared_ptr<const ItemSegment> view_segment(ItemSegment arrays, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < arrays.n; ++i) {
    if (arrays.row_of[i] >= n_rows) throw std::invalid_argument("[index] expected public rows below n_rows");
    if (!(arrays.norms[i] >= 0.0f)) throw std::invalid_argument("[index] expected norms of at least 0");
  }
  auto segment = std::make_shared<ItemSegment>(std::move(arrays));
  segment->find_blocks();
  return segment;
}

void ItemSegment::find_blocks() {
  blocks.clear();
  for (std::int64_t first = 0; first < n; first += kBlockItems) {
    const auto [smallest, largest] = std::minmax_element(norms + first, norms + std::min(n, first + kBlockItems));
    blocks.push_back({norm_lower(*smallest), double(*largest)});
    if (GPUREC_PLANTED(panel_norm_smallest)) blocks.back().largest = double(*smallest);
  }
}

std::int64_t ItemSegment::n_bytes() const {
  const std::int64_t per_item = std::int64_t(sizeof(float) + sizeof(std::uint32_t));
  return n * per_item + padded(n) * d * std::int64_t(sizeof(float)) +
         std::int64_t(blocks.size() * sizeof(BlockNorms));
}

}  // namespace gpurec::cpu
