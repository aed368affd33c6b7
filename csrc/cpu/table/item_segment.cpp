#include "table/item_segment.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "gpurec/codes.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 4096;

struct OwnedArrays {
  OwnedArrays(std::int64_t n, std::int64_t d)
      : items(ItemSegment::padded(n) * d), norms(ItemSegment::padded(n)), row_of(std::size_t(ItemSegment::padded(n))) {}
  AlignedFloats items;
  AlignedFloats norms;
  std::vector<std::uint32_t> row_of;
  struct Codes {
    AlignedFloats bytes;  // four to a float
    std::vector<float> scales;
    std::vector<float> errors;
  };
  Codes int8, int4;
};

// Codes of all tiles from the rows, n_bytes of a tile.
std::uint8_t* make_codes(OwnedArrays::Codes& arrays, const ItemSegment& segment, std::int64_t n_bytes,
                         QuantiseTile quantise_tile, int n_threads) {
  const std::int64_t n_tiles = segment.n_tiles();
  arrays.bytes = AlignedFloats(n_tiles * n_bytes / std::int64_t(sizeof(float)));
  arrays.scales.resize(std::size_t(n_tiles));
  arrays.errors.resize(std::size_t(n_tiles));
  auto* const codes = reinterpret_cast<std::uint8_t*>(arrays.bytes.data());
  constexpr std::int64_t kTilesPerTask = kRowsPerTask / kTileItems;
  parallel_for(n_threads, (n_tiles + kTilesPerTask - 1) / kTilesPerTask, [&](std::int64_t task) {
    for (std::int64_t t = task * kTilesPerTask; t < std::min(n_tiles, (task + 1) * kTilesPerTask); ++t) {
      const auto n_items = int(std::min<std::int64_t>(kTileItems, segment.n - t * kTileItems));
      quantise_tile(segment.row(t * kTileItems), n_items, segment.d, codes + t * n_bytes,
                    &arrays.scales[std::size_t(t)], &arrays.errors[std::size_t(t)]);
    }
  });
  return codes;
}

bool can_be_codes(float scale, float error) {
  return scale == 0.0f || (can_be_scale(scale) && error >= 0.0f && is_finite(error));
}

}  // namespace

std::shared_ptr<const ItemSegment> build_segment(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                                 Metric metric, bool with_codes, Pruning::Directions directions,
                                                 const Kernels& kernels, int n_threads) {
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
      if (with_codes) {
        std::copy_n(x, d, arrays->items.data() + position * d);
        continue;
      }
      float* column = arrays->items.data() + position / kPanelItems * (kPanelItems * d) + position % kPanelItems;
      for (std::int64_t i = 0; i < d; ++i) column[i * kPanelItems] = x[i];
    }
  });

  auto segment = std::make_shared<ItemSegment>();
  segment->n = n;
  segment->d = d;
  segment->metric = metric;
  segment->items = arrays->items.data();
  segment->norms = arrays->norms.data();
  segment->row_of = arrays->row_of.data();
  segment->owner = arrays;
  if (with_codes && n > 0) {
    segment->codes = make_codes(arrays->int8, *segment, ByteCodes::n_bytes(d), kernels.quantise_tile_i8, n_threads);
    segment->scales = arrays->int8.scales.data();
    segment->errors = arrays->int8.errors.data();
    segment->codes4 = make_codes(arrays->int4, *segment, HalfByteCodes::n_bytes(d), kernels.quantise_tile_i4, n_threads);
    segment->scales4 = arrays->int4.scales.data();
    segment->errors4 = arrays->int4.errors.data();
  }
  segment->find_blocks();
  segment->leading = leading_plane(*segment, directions, kernels, n_threads);
  return segment;
}

std::shared_ptr<const ItemSegment> view_segment(ItemSegment arrays, std::int64_t n_rows) {
  for (std::int64_t i = 0; i < arrays.n; ++i) {
    if (arrays.row_of[i] >= n_rows) throw std::invalid_argument("[index] expected public rows below n_rows");
    if (!(arrays.norms[i] >= 0.0f)) throw std::invalid_argument("[index] expected norms of at least 0");
  }
  for (std::int64_t t = 0; arrays.codes != nullptr && t < arrays.n_tiles(); ++t) {
    if (!can_be_codes(arrays.scales[t], arrays.errors[t]) || !can_be_codes(arrays.scales4[t], arrays.errors4[t])) {
      throw std::invalid_argument("[index] expected scales and errors of tiles");
    }
  }
  auto segment = std::make_shared<ItemSegment>(std::move(arrays));
  segment->find_blocks();
  if (segment->leading != nullptr) {
    auto plane = std::make_shared<LeadingPlane>(*segment->leading);
    for (std::int64_t t = 0; t < segment->n_tiles(); ++t) {
      if (!can_be_codes(plane->scales[t], plane->errors[t]) || !(plane->norms[t] >= 0.0f)) {
        throw std::invalid_argument("[index] expected scales, errors and norms of leading directions");
      }
    }
    segment->leading = plane->complete(segment->tiles) ? plane : nullptr;
  }
  return segment;
}

void ItemSegment::find_blocks() {
  blocks.clear();
  for (std::int64_t first = 0; first < n; first += kBlockItems) {
    const auto [smallest, largest] = std::minmax_element(norms + first, norms + std::min(n, first + kBlockItems));
    blocks.push_back({norm_lower(*smallest), double(*largest)});
    if (GPUREC_PLANTED(panel_norm_smallest)) blocks.back().largest = double(*smallest);
  }
  tiles.clear();
  tiles4.clear();
  for (std::int64_t first = 0; codes != nullptr && first < n; first += kTileItems) {
    const auto [smallest, largest] = std::minmax_element(norms + first, norms + std::min(n, first + kTileItems));
    const auto t = std::size_t(first / kTileItems);
    const std::size_t of_scale = GPUREC_PLANTED(int8_scale_of_first_tile) ? 0 : t;
    tiles.push_back({scales[of_scale], errors[t], norm_lower(*smallest), double(*largest)});
    if (GPUREC_PLANTED(int8_tile_norm_smallest)) tiles.back().largest = double(*smallest);
    tiles4.push_back({scales4[t], errors4[t], tiles.back().smallest, tiles.back().largest});
    if (GPUREC_PLANTED(int4_item_error_dropped)) tiles4.back().error = 0.0f;
  }
}

std::int64_t ItemSegment::n_bytes() const {
  const std::int64_t per_item = std::int64_t(sizeof(float) + sizeof(std::uint32_t));
  const std::int64_t of_codes = n_tiles() * (tile_bytes() + tile_bytes4() + std::int64_t(4 * sizeof(float)));
  return padded(n) * (per_item + d * std::int64_t(sizeof(float))) + (codes == nullptr ? 0 : of_codes) +
         std::int64_t(blocks.size() * sizeof(BlockNorms) + 2 * tiles.size() * sizeof(TileBounds)) +
         (leading == nullptr ? 0 : leading->n_bytes(n_tiles()));
}

}  // namespace gpurec::cpu
