// Registers what tests ask of single kernels and of the certificate's formulas.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "../../cpu/dispatch.hpp"
#include "../../cpu/fpenv.hpp"
#include "../arrays.hpp"
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

// A query and a tile of items in codes, and what the certificate says of them.
struct CodedTile {
  CodedTile(const Array<float>& q, const Array<float>& items, const cpu::Kernels& kernels)
      : rows(matrix(items, "items of shape (n, d)")),
        d(rows.cols),
        n_groups((d + kGroup - 1) / kGroup),
        codes(std::size_t(n_groups * kGroup * kTileItems)),
        query_codes(std::size_t((n_groups + 1) * kGroup)) {
    require(q.size() == d && rows.rows >= 1 && rows.rows <= kTileItems, "a query and at most a tile of items");
    kernels.quantise_tile_i8(items.data(), int(rows.rows), d, codes.data(), &bounds.scale, &bounds.error);
    query = kernels.quantise_query(q.data(), d, query_codes.data());
    for (std::int64_t j = 0; j < rows.rows; ++j) {
      const float norm = stored_norm(dot64(rows.row(j), rows.row(j), d), d);
      bounds.smallest = j == 0 ? norm_lower(norm) : std::min(bounds.smallest, norm_lower(norm));
      bounds.largest = std::max(bounds.largest, double(norm));
    }
  }

  bool has_codes() const { return bounds.scale != 0.0f && query.scale != 0.0f; }
  Int8Bound bound(const std::string& metric, const Array<float>& q) const {
    return Int8Bound(metric_of(metric), d, dot64(q.data(), q.data(), d), query.scale, query.length, query.error);
  }

  MatrixView<const float> rows;
  std::int64_t d;
  std::int64_t n_groups;
  std::vector<std::uint8_t> codes;
  std::vector<std::int8_t> query_codes;
  TileBounds bounds{};
  QueryCodes query;
};

// The int8 scan of one tile for one query: the scores that its scan values stand for, L and U of each item, for each
// threshold tau which items come near, and the slack. None where there are no codes. The first threshold lets all
// through.
py::object int8_tile(const std::string& metric, const Array<float>& q, const Array<float>& items, const Array<float>& taus,
                     const std::string& isa) {
  const cpu::FpEnvGuard environment;
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const CodedTile tile(q, items, kernels);
  if (!tile.has_codes()) return py::none();
  const Int8Bound bound = tile.bound(metric, q);
  const float length = bound.length(), error = bound.error_per_norm(), inverse = 1.0f / bound.scale();
  const std::int32_t offset = -128 * tile.query.sum;
  std::vector<std::vector<bool>> near;
  alignas(64) float scores[kTileItems];
  for (std::int64_t t = 0; t < taus.size(); ++t) {
    const float below = bound.below(taus.data()[t]);
    const TileTermsI8 terms = {tile.bounds.error, float(tile.bounds.largest), 1.0f / tile.bounds.scale,
                               bound.start_shift(tile.bounds)};
    std::int32_t start, which;
    std::uint64_t hits = 0;
    alignas(64) std::int32_t sums[kTileItems];
    kernels.start_values_i8({&below, &length, &error, &inverse, &offset}, 1, terms, &start);
    const std::int8_t* const queries[] = {tile.query_codes.data()};
    const int n = kernels.scan_tile_i8(queries, &start, 1, tile.codes.data(), tile.n_groups, &which, &hits, sums, nullptr);
    near.emplace_back();
    for (std::int64_t j = 0; j < tile.rows.rows; ++j) near.back().push_back(n == 1 && (hits >> j & 1) != 0);
    if (t == 0 && n == 1) {
      kernels.scores_of_sums(sums, offset - start, bound.scale() * tile.bounds.scale, bound.shift(tile.bounds), scores);
    }
  }
  std::vector<double> estimates;
  std::vector<float> lowers, uppers;
  const double slack = bound.slack(tile.bounds);
  for (std::int64_t j = 0; j < tile.rows.rows; ++j) {
    const Interval interval = bound.interval(scores[j], slack);
    estimates.push_back(bound.estimate(scores[j]));
    lowers.push_back(interval.lower);
    uppers.push_back(interval.upper);
  }
  return py::make_tuple(estimates, lowers, uppers, near, slack);
}

// Codes of a query and of a tile's items, and what is known of what they leave out: scale, length and error of the
// query; scale, error and norms of the tile. None where there are no codes.
py::object int8_codes(const Array<float>& q, const Array<float>& items, const std::string& isa) {
  const cpu::FpEnvGuard environment;
  const CodedTile tile(q, items, cpu::kernels(isa));
  if (!tile.has_codes()) return py::none();
  std::vector<std::vector<int>> of_items;
  for (std::int64_t j = 0; j < tile.rows.rows; ++j) {
    of_items.emplace_back();
    for (std::int64_t i = 0; i < tile.d; ++i) {
      of_items.back().push_back(int(tile.codes[std::size_t((i / kGroup * kTileItems + j) * kGroup + i % kGroup)]) - 128);
    }
  }
  return py::make_tuple(std::vector<int>(tile.query_codes.begin(), tile.query_codes.begin() + tile.n_groups * kGroup), of_items,
                        py::make_tuple(tile.query.scale, tile.query.length, tile.query.error),
                        py::make_tuple(tile.bounds.scale, tile.bounds.error, tile.bounds.smallest, tile.bounds.largest));
}

}  // namespace

void register_tests(py::module_& m) {
  m.def("int8_tile", &int8_tile);
  m.def("int8_codes", &int8_codes);
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
  m.def("least_norm", [](const std::string& metric, const Array<float>& q, float tau) {
    const cpu::FpEnvGuard environment;
    return Float32Bound(metric_of(metric), q.size(), dot64(q.data(), q.data(), q.size())).least_norm(tau);
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
