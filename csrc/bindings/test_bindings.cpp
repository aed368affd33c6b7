// Registers what tests ask of single kernels and of the certificate's formulas.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/fpenv.hpp"
#include "arrays.hpp"
#include "gpurec/bounds.hpp"

namespace gpurec::bindings {
namespace {

// What the tests of the certificate call: the float32 scan's interval for one pair and a scan value.
py::tuple interval(Metric metric, const Array<float>& q, const Array<float>& x, float scanned) {
  require(q.ndim() == 1 && x.ndim() == 1 && q.size() == x.size(), "two vectors of one length");
  const std::int64_t d = q.size();
  const cpu::FpEnvGuard environment;
  const Float32Bound bound(metric, d, dot64(q.data(), q.data(), d));
  const double norm = norm_upper(dot64(x.data(), x.data(), d), d);
  const Interval result = bound.interval(scanned, norm);
  return py::make_tuple(result.lower, result.upper, bound.valid(norm));
}

}  // namespace

void register_tests(py::module_& m) {
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
    return bound.reject_at(tau, item_norm);
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
