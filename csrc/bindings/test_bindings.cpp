// Registers what tests ask of single kernels and of the certificate's formulas.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/fpenv.hpp"
#include "arrays.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/codes.hpp"

namespace gpurec::bindings {
namespace {

// What the tests of the certificate call: the float32 scan's interval for one pair and a scan value.
py::tuple interval(Metric metric, const Array<float>& q, const Array<float>& x, float scanned) {
  require(q.ndim() == 1 && x.ndim() == 1 && q.size() == x.size(), "two vectors of one length");
  const std::int64_t d = q.size();
  const cpu::FpEnvGuard environment;
  const Float32Bound bound(metric, d, dot64(q.data(), q.data(), d));
  const double norm = norm_upper(dot64(x.data(), x.data(), d), d);
  const Interval result = bound.interval(scanned, bound.slack(norm));
  return py::make_tuple(result.lower, result.upper, bound.valid(norm));
}

// The int8 scan of one tile for one query: scan values, L and U of each item, and for each threshold tau which items
// come near. None where there are no codes.
py::object int8_tile(const std::string& metric, const Array<float>& q, const Array<float>& items, const Array<float>& taus,
                     const std::string& isa) {
  const MatrixView<const float> rows = matrix(items, "items of shape (n, d)");
  require(q.size() == rows.cols && rows.rows >= 1 && rows.rows <= kTileItems, "a query and at most a tile of items");
  const cpu::FpEnvGuard environment;
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const std::int64_t d = rows.cols;
  const std::int64_t n_groups = (d + kGroup - 1) / kGroup;
  std::vector<std::uint8_t> codes(std::size_t(n_groups * kGroup * kTileItems));
  std::vector<std::int8_t> query(std::size_t(n_groups * kGroup));
  TileBounds tile{};
  quantise_tile(items.data(), int(rows.rows), d, codes.data(), &tile.scale, &tile.error);
  const QueryCodes of_query = quantise_query(q.data(), d, query.data());
  if (tile.scale == 0.0f || of_query.scale == 0.0f) return py::none();
  for (std::int64_t j = 0; j < rows.rows; ++j) {
    const float norm = stored_norm(dot64(rows.row(j), rows.row(j), d), d);
    tile.smallest = j == 0 ? norm_lower(norm) : std::min(tile.smallest, norm_lower(norm));
    tile.largest = std::max(tile.largest, double(norm));
  }
  const Int8Bound bound(metric_of(metric), d, dot64(q.data(), q.data(), d), of_query.scale, of_query.length, of_query.error);
  const float length = bound.length(), error = bound.error_per_norm(), inverse = 1.0f / bound.scale();
  const std::int32_t offset = -128 * of_query.sum;
  std::vector<std::vector<bool>> near;
  alignas(64) float scores[kTileItems];
  for (std::int64_t t = 0; t < taus.size(); ++t) {
    const float below = bound.below(taus.data()[t]);
    const TileTermsI8 terms = {tile.error, float(tile.largest), 1.0f / tile.scale, bound.start_shift(tile)};
    std::int32_t start, which;
    std::uint64_t hits = 0;
    alignas(64) std::int32_t sums[kTileItems];
    kernels.start_values_i8({&below, &length, &error, &inverse, &offset}, 1, terms, &start);
    const std::int8_t* const queries[] = {query.data()};
    const int n = kernels.scan_tile_i8(queries, &start, 1, codes.data(), n_groups, &which, &hits, sums, nullptr);
    near.emplace_back();
    for (std::int64_t j = 0; j < rows.rows; ++j) near.back().push_back(n == 1 && (hits >> j & 1) != 0);
    if (t == 0 && n == 1) {
      kernels.scores_of_sums(sums, offset - start, bound.scale() * tile.scale, bound.shift(tile), scores);
    }
  }
  std::vector<float> values, lowers, uppers;
  for (std::int64_t j = 0; j < rows.rows; ++j) {
    const Interval interval = bound.interval(scores[j], bound.slack(tile));
    values.push_back(scores[j]);
    lowers.push_back(interval.lower);
    uppers.push_back(interval.upper);
  }
  return py::make_tuple(values, lowers, uppers, near);
}

}  // namespace

void register_tests(py::module_& m) {
  m.def("int8_tile", &int8_tile);
  m.def("bounds_dot", [](const Array<float>& q, const Array<float>& x, float scanned) {
    return interval(Metric::dot, q, x, scanned);
  });
  m.def("bounds_euclidean", [](const Array<float>& q, const Array<float>& x, float scanned) {
    return interval(Metric::euclidean, q, x, scanned);
  });
  m.def("scan_starts", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    const double squares = dot64(x.data(), x.data(), x.size());
    return std::make_pair(scan_start(squares), scan_start_of_norm(stored_norm(squares, x.size())));
  });
  m.def("reject_at", [](const std::string& metric, const Array<float>& q, double item_norm, float tau) {
    const cpu::FpEnvGuard environment;
    const Float32Bound bound(metric_of(metric), q.size(), dot64(q.data(), q.data(), q.size()));
    return bound.reject_at(tau, bound.slack(item_norm));
  });
  m.def("best_possible", [](const std::string& metric, const Array<float>& q, double smallest, double largest) {
    const cpu::FpEnvGuard environment;
    const Float32Bound bound(metric_of(metric), q.size(), dot64(q.data(), q.data(), q.size()));
    return bound.best_possible(smallest, largest);
  });
  m.def("norm_upper", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return norm_upper(dot64(x.data(), x.data(), x.size()), x.size());
  });
  m.def("stored_norm", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return stored_norm(dot64(x.data(), x.data(), x.size()), x.size());
  });
  m.def("packed_norms", [](const Array<float>& rows, const std::string& isa) {
    const MatrixView<const float> view = matrix(rows, "rows of shape (n, d)");
    require(view.rows >= 1 && view.rows <= kPanelItems, "at most a panel of rows");
    const cpu::FpEnvGuard environment;
    std::vector<float> panel(static_cast<std::size_t>(kPanelItems * view.cols));
    float squares[kPanelItems];
    cpu::kernels(isa).pack_panel(view.data, view.row_stride, int(view.rows), view.cols, panel.data(), squares);
    std::vector<double> norms;
    for (std::int64_t i = 0; i < view.rows; ++i) norms.push_back(norm_upper_float32(squares[i], view.cols));
    return std::make_pair(norms, panel);
  });
  m.def("scan_rows", [](const Array<float>& query, const Array<float>& rows, const std::string& isa) {
    const MatrixView<const float> view = matrix(rows, "rows of shape (n, d)");
    require(view.rows >= 1 && view.rows <= kTileItems && query.size() == view.cols, "a query and at most a tile of rows");
    const cpu::FpEnvGuard environment;
    std::vector<float> scores(kTileItems), squares(kTileItems);
    cpu::kernels(isa).scan_rows(query.data(), view.data, view.row_stride, int(view.rows), view.cols, scores.data(),
                                squares.data());
    return std::make_pair(scores, squares);
  });
  m.def("norm_upper_float32", [](float squares, std::int64_t d) {
    const cpu::FpEnvGuard environment;
    return norm_upper_float32(squares, d);
  });
  m.def("norm_lower", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return norm_lower(stored_norm(dot64(x.data(), x.data(), x.size()), x.size()));
  });
  m.def("set_flush_denormal", [](bool flush) {
    const auto word = cpu::FpEnvGuard::read();
    cpu::FpEnvGuard::write(flush ? word | cpu::FpEnvGuard::kFlush : word & ~cpu::FpEnvGuard::kFlush);
  });
}

}  // namespace gpurec::bindings
