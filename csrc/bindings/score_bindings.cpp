// Registers ops `score`, `similarity`, `score_pairs` and `top_k`, and what is done to their input, in the module
// gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "../cpu/dispatch.hpp"
#include "../cpu/score.hpp"
#include "../cpu/top_k.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {
namespace {

py::tuple top_k(const Array<float>& scores, std::int64_t k, const std::string& isa, int n_threads) {
  const MatrixView<const float> view = matrix(scores, "scores of shape (n_queries, n_items)");
  require(k >= 1, "k >= 1");
  require(view.cols <= kMaxRows, "at most 2^32 - 2 items");
  Array<std::int64_t> rows({view.rows, k});
  Array<float> best({view.rows, k});
  const TopKView out{mutable_matrix(rows, view.rows, k, "rows"), mutable_matrix(best, view.rows, k, "scores")};
  const cpu::Kernels& kernels = cpu::kernels(isa);
  compute([&] { cpu::top_k(view, k, out, kernels, n_threads); });
  return py::make_tuple(rows, best);
}

std::int64_t first_invalid_row(const Array<float>& rows, int n_threads) {
  const MatrixView<const float> view = matrix(rows, "rows of shape (n, d)");
  const py::gil_scoped_release nogil;  // bits are looked at, nothing is computed: any environment will do
  return cpu::first_invalid_row(view, n_threads);
}

Array<float> prepare_rows(const Array<float>& rows, const std::string& metric, int n_threads) {
  const MatrixView<const float> view = matrix(rows, "rows of shape (n, d)");
  Array<float> out({view.rows, view.cols});
  const MatrixView<float> prepared = mutable_matrix(out, view.rows, view.cols, "out");
  const Metric m = metric_of(metric);
  compute([&] { cpu::prepare_rows(view, m, prepared, n_threads); });
  return out;
}

void score(const Array<float>& a, const Array<float>& b, const std::string& metric, Array<float>& out,
           const std::string& isa, int n_threads) {
  const MatrixView<const float> left = matrix(a, "rows of shape (n, d)");
  const MatrixView<const float> right = matrix(b, "rows of shape (m, d)");
  require(left.cols == right.cols, "rows of equal width");
  const MatrixView<float> result = mutable_matrix(out, left.rows, right.rows, "out of shape (n, m)");
  const Metric m = metric_of(metric);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  compute([&] { cpu::score(left, right, m, result, kernels, n_threads); });
}

void score_in_order(const Array<float>& a, const Array<float>& b, Array<float>& out, const std::string& isa,
                    int n_threads) {
  const MatrixView<const float> left = matrix(a, "rows of shape (n, d)");
  const MatrixView<const float> right = matrix(b, "rows of shape (m, d)");
  require(left.cols == right.cols, "rows of equal width");
  const MatrixView<float> result = mutable_matrix(out, left.rows, right.rows, "out of shape (n, m)");
  const cpu::Kernels& kernels = cpu::kernels(isa);
  compute([&] { cpu::score_in_order(left, right, result, kernels, n_threads); });
}

Array<float> score_pairs(const Array<float>& a, const Array<float>& b, const std::string& metric,
                         const std::string& isa, int n_threads) {
  const MatrixView<const float> left = matrix(a, "rows of shape (n, d)");
  const MatrixView<const float> right = matrix(b, "rows of shape (n, d)");
  require(left.cols == right.cols && left.rows == right.rows, "two matrices of one shape");
  Array<float> out(left.rows);
  float* const result = out.mutable_data();
  const Metric m = metric_of(metric);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  compute([&] { cpu::score_pairs(left, right, m, result, kernels, n_threads); });
  return out;
}

}  // namespace

void register_score(py::module_& m) {
  m.def("first_invalid_row", &first_invalid_row);
  m.def("prepare_rows", &prepare_rows);
  m.def("score", &score, py::arg("a"), py::arg("b"), py::arg("metric"), py::arg("out").noconvert(), py::arg("isa"),
        py::arg("n_threads"));  // a converted out would be a copy that the caller never sees
  m.def("score_in_order", &score_in_order, py::arg("a"), py::arg("b"), py::arg("out").noconvert(), py::arg("isa"),
        py::arg("n_threads"));
  m.def("score_pairs", &score_pairs);
  m.def("top_k", &top_k);
}

}  // namespace gpurec::bindings
