// Registers what tests and benchmarks ask of the bfloat16 scan: its kernels, and its bound.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../cpu/dispatch.hpp"
#include "../../cpu/table/aligned.hpp"
#include "../arrays.hpp"
#include "../compute.hpp"
#include "../seconds.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/codes.hpp"

namespace gpurec::bindings {
namespace {

using Pairs = Array<std::uint32_t>;

const cpu::Kernels& kernels_with_bf16(const std::string& isa) {
  const cpu::Kernels& kernels = cpu::kernels(isa);
  if (kernels.scan_tile_bf16 == nullptr) throw std::runtime_error("[cpu] no bfloat16 arithmetic in ISA " + isa);
  return kernels;
}

// A tile of panels, rounded; and the queries that it is multiplied with.
class TileBf16 {
 public:
  // panels of shape (kTilePanels, d, kPanelItems)
  TileBf16(const Array<float>& panels, const cpu::Kernels& kernels) : kernels_(kernels), d_(panels.shape(1)) {
    require(panels.ndim() == 3 && panels.shape(0) == kTilePanels && panels.shape(2) == kPanelItems && d_ >= 1,
            "panels of shape (4, d, 16)");
    pairs_ = cpu::AlignedFloats(n_pairs(d_) * kTileItems);
    largest_error = kernels.round_tile_bf16(panels.data(), d_, pairs());
  }

  // scores (n_queries, kTileItems) of queries as pairs, and hits; n_queries of a tile or fewer
  void scan(const std::vector<const std::uint32_t*>& queries, const float* start, const float* reject) {
    kernels_.scan_tile_bf16(queries.data(), int(queries.size()), pairs(), n_pairs(d_), start, reject, scores, hits);
  }

  std::uint32_t* pairs() { return reinterpret_cast<std::uint32_t*>(pairs_.data()); }
  std::int64_t d() const { return d_; }

  float largest_error = 0.0f;
  alignas(64) float scores[kTileQueries * kTileItems];
  std::uint64_t hits[kTileQueries];

 private:
  const cpu::Kernels& kernels_;
  std::int64_t d_;
  cpu::AlignedFloats pairs_;
};

// (pairs, largest sum of squares) of a rounded tile.
py::tuple round_tile_bf16(const Array<float>& panels, const std::string& isa) {
  const cpu::FpEnvGuard environment;
  TileBf16 tile(panels, kernels_with_bf16(isa));
  Pairs pairs({n_pairs(tile.d()), std::int64_t(kTileItems)});
  std::copy_n(tile.pairs(), pairs.size(), pairs.mutable_data());
  return py::make_tuple(pairs, tile.largest_error);
}

Pairs round_row_bf16(const Array<float>& x) {
  Pairs pairs(n_pairs(x.size()));
  round_row_to_bf16(x.data(), x.size(), pairs.mutable_data());
  return pairs;
}

// (scores, hits) of the kernel, for pairs as they come.
py::tuple scan_tile_bf16(const Pairs& queries, const Pairs& tile, const Array<float>& start, const Array<float>& reject,
                         const std::string& isa) {
  require(queries.ndim() == 2 && queries.shape(0) >= 1 && queries.shape(0) <= kTileQueries, "1 to 6 queries");
  require(tile.ndim() == 2 && tile.shape(0) == queries.shape(1) && tile.shape(1) == kTileItems, "a tile as wide");
  require(start.size() == kTileItems && reject.size() == queries.shape(0), "a start an item, a reject value a query");
  const ScanTileBf16 kernel = kernels_with_bf16(isa).scan_tile_bf16;
  cpu::AlignedFloats copy(tile.size());
  auto* const pairs = reinterpret_cast<std::uint32_t*>(copy.data());
  std::copy_n(tile.data(), tile.size(), pairs);
  const int n = int(queries.shape(0));
  std::vector<const std::uint32_t*> rows;
  for (int m = 0; m < n; ++m) rows.push_back(queries.data() + m * queries.shape(1));
  alignas(64) float found[kTileQueries * kTileItems];
  std::uint64_t hits[kTileQueries];
  compute([&] { kernel(rows.data(), n, pairs, tile.shape(0), start.data(), reject.data(), found, hits); });
  Array<float> scores({n, kTileItems});
  std::copy_n(found, scores.size(), scores.mutable_data());
  return py::make_tuple(scores, std::vector<std::uint64_t>(hits, hits + n));
}

// The scan of one tile for one query: scan values, L and U of each item, and for each threshold tau which items come
// near. None where the arithmetic could overflow.
py::object bf16_tile(const std::string& metric, const Array<float>& q, const Array<float>& items, const Array<float>& taus,
                     const std::string& isa) {
  const MatrixView<const float> rows = matrix(items, "items of shape (n, d)");
  require(q.size() == rows.cols && rows.rows >= 1 && rows.rows <= kTileItems, "a query and at most a tile of items");
  const cpu::FpEnvGuard environment;
  const cpu::Kernels& kernels = kernels_with_bf16(isa);
  const std::int64_t d = rows.cols;
  Array<float> panels({std::int64_t(kTilePanels), d, std::int64_t(kPanelItems)});
  alignas(64) float start[kTileItems] = {};
  float squares[kPanelItems];
  double norm = 0.0;
  for (std::int64_t p = 0; p < kTilePanels; ++p) {
    const auto n = int(std::clamp<std::int64_t>(rows.rows - p * kPanelItems, 0, kPanelItems));
    kernels.pack_panel(rows.row(n == 0 ? 0 : p * kPanelItems), d, n, d, panels.mutable_data(p, 0, 0), squares);
  }
  for (std::int64_t j = 0; j < rows.rows; ++j) {
    const float of_item = stored_norm(dot64(rows.row(j), rows.row(j), d), d);
    if (metric_of(metric) == Metric::euclidean) start[j] = scan_start_of_norm(of_item);
    norm = std::max(norm, double(of_item));
  }
  Pairs pairs = round_row_bf16(q);
  const Bf16Bound bound(metric_of(metric), d, dot64(q.data(), q.data(), d), bf16_error(q.data(), d, pairs.data()));
  if (!bound.valid(norm)) return py::none();
  TileBf16 tile(panels, kernels);
  const double slack = bound.slack(norm, norm_upper_float32(tile.largest_error, d));
  std::vector<std::vector<bool>> near;
  for (std::int64_t t = 0; t < taus.size(); ++t) {
    const float reject = bound.reject_at(taus.data()[t], slack);
    tile.scan({pairs.data()}, start, &reject);
    near.emplace_back();
    for (std::int64_t j = 0; j < rows.rows; ++j) near.back().push_back((tile.hits[0] >> j & 1) != 0);
  }
  std::vector<float> values, lowers, uppers;
  for (std::int64_t j = 0; j < rows.rows; ++j) {
    const Interval interval = bound.interval(tile.scores[j], slack);
    values.push_back(tile.scores[j]);
    lowers.push_back(interval.lower);
    uppers.push_back(interval.upper);
  }
  return py::make_tuple(values, lowers, uppers, near);
}

// Seconds of one of `n_calls` calls for the same tile, without hits; it is rounded once.
double scan_tile_bf16_seconds(const Array<float>& queries, const Array<float>& panels, std::int64_t n_calls,
                              const std::string& isa) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  TileBf16 tile(panels, kernels_with_bf16(isa));
  require(q.cols == tile.d(), "a tile of panels as wide as the queries");
  std::vector<std::uint32_t> pairs(std::size_t(q.rows * n_pairs(q.cols)));
  std::vector<std::vector<const std::uint32_t*>> parts;
  for (std::int64_t m = 0; m < q.rows; ++m) {
    std::uint32_t* const row = pairs.data() + m * n_pairs(q.cols);
    round_row_to_bf16(q.row(m), q.cols, row);
    if (m % kTileQueries == 0) parts.emplace_back();
    parts.back().push_back(row);
  }
  const std::vector<float> start(kTileItems), reject(kTileQueries, std::numeric_limits<float>::infinity());
  const auto scan = [&] {
    for (const auto& part : parts) tile.scan(part, start.data(), reject.data());
  };
  return compute([&] { return seconds_of_one(n_calls, scan); });
}

}  // namespace

void register_tests_bf16(py::module_& m) {
  m.def("round_tile_bf16", &round_tile_bf16);
  m.def("round_row_bf16", &round_row_bf16);
  m.def("scan_tile_bf16", &scan_tile_bf16);
  m.def("bf16_tile", &bf16_tile);
  m.def("scan_tile_bf16_seconds", &scan_tile_bf16_seconds);
}

}  // namespace gpurec::bindings
