// The module gpurec._native._cpu: registrations only. Each entry sets the floating-point environment and
// releases the GIL around the computation.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/fpenv.hpp"
#include "../cpu/item_table.hpp"
#include "../cpu/score.hpp"
#include "../cpu/score_top_k.hpp"
#include "../cpu/top_k.hpp"
#include "arrays.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {

void register_sgd(py::module_& m);  // sgd_bindings.cpp

namespace {

// Owns the reference to the rows that the table views.
struct PyItemTable {
  Array<float> rows;
  std::unique_ptr<cpu::ItemTable> table;
};

template <class F>
auto compute(F&& f) {
  py::gil_scoped_release nogil;
  const cpu::FpEnvGuard environment;
  return f();
}

std::unique_ptr<PyItemTable> build_table(Array<float> rows, const std::string& metric,
                                         const std::optional<Array<std::uint8_t>>& active, bool with_panels,
                                         const std::string& isa, int n_threads) {
  const MatrixView<const float> view = matrix(rows, "items of shape (n_items, d)");
  require(view.rows <= kMaxRows, "at most 2^32 - 2 items");
  const std::uint8_t* mask = nullptr;
  if (active) {
    require(active->ndim() == 1 && active->size() == view.rows, "active of shape (n_items,)");
    mask = active->data();
  }
  const Metric scanned = metric_of(metric) == Metric::euclidean ? Metric::euclidean : Metric::dot;
  const cpu::Kernels& kernels = cpu::kernels(isa);
  auto table = compute(
      [&] { return std::make_unique<cpu::ItemTable>(view, scanned, mask, with_panels, kernels, n_threads); });
  return std::make_unique<PyItemTable>(PyItemTable{std::move(rows), std::move(table)});
}

py::tuple search(const PyItemTable& items, const Array<float>& queries, std::int64_t k,
                 const std::optional<Array<std::uint8_t>>& mask, const std::optional<py::tuple>& allow,
                 const std::vector<py::tuple>& deny, const std::optional<py::tuple>& hint, const std::string& isa,
                 int n_threads) {
  const cpu::ItemTable& table = *items.table;
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == table.d(), "queries as wide as the items");
  require(k >= 1, "k >= 1");
  FiltersView filters;
  if (mask) {
    require(mask->ndim() == 1 && mask->size() == table.rows.rows, "a mask of shape (n_items,)");
    filters.mask = mask->data();
  }
  std::vector<std::unique_ptr<RowSetsArrays>> kept;
  const auto sets = [&](const py::tuple& parts) -> const RowSetsView& {
    kept.push_back(std::make_unique<RowSetsArrays>(parts, q.rows, table.rows.rows));
    return kept.back()->view();
  };
  if (allow) filters.allow = &sets(*allow);
  for (const py::tuple& parts : deny) filters.deny.push_back(sets(parts));
  if (hint) filters.hint = &sets(*hint);

  Array<std::int64_t> rows({q.rows, k});
  Array<float> scores({q.rows, k});
  const TopKView out{mutable_matrix(rows, q.rows, k, "rows"), mutable_matrix(scores, q.rows, k, "scores")};
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const SearchStats stats =
      compute([&] { return cpu::score_top_k(table, q, k, filters, out, kernels, n_threads); });
  py::dict counts;
  counts["pruned"] = stats.pruned;
  counts["panels_skipped"] = stats.panels_skipped;
  counts["candidates"] = stats.candidates;
  counts["compressions"] = stats.compressions;
  counts["ties_at_threshold"] = stats.ties_at_threshold;
  counts["canonical_fallbacks"] = stats.canonical_fallbacks;
  counts["rescored"] = stats.rescored;
  return py::make_tuple(rows, scores, counts);
}

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

void register_tests(py::module_& m) {
  m.def("bounds_dot", [](const Array<float>& q, const Array<float>& x, float scanned) {
    return interval(Metric::dot, q, x, scanned);
  });
  m.def("bounds_euclidean", [](const Array<float>& q, const Array<float>& x, float scanned) {
    return interval(Metric::euclidean, q, x, scanned);
  });
  m.def("scan_start_euclidean", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return scan_start(Metric::euclidean, dot64(x.data(), x.data(), x.size()));
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
  m.def("norm_lower", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return norm_lower(dot64(x.data(), x.data(), x.size()), x.size());
  });
  m.def("set_flush_denormal", [](bool flush) {
    const auto word = cpu::FpEnvGuard::read();
    cpu::FpEnvGuard::write(flush ? word | cpu::FpEnvGuard::kFlush : word & ~cpu::FpEnvGuard::kFlush);
  });
}

}  // namespace

PYBIND11_MODULE(_cpu, m) {
  m.def("isas", [] {
    std::vector<std::pair<std::string, bool>> rows;
    for (const cpu::Kernels& row : cpu::all_kernels()) rows.emplace_back(row.isa, row.supported());
    return rows;
  });
  m.def("chosen_isa", [](const std::string& isa) { return std::string(cpu::kernels(isa).isa); });
  py::class_<PyItemTable>(m, "ItemTable")
      .def_property_readonly("rows", [](const PyItemTable& t) { return t.rows; })
      .def_property_readonly("n_bytes", [](const PyItemTable& t) { return t.table->n_bytes(); });
  m.def("enter_strict_floats", [] {
    const auto callers = cpu::FpEnvGuard::read();
    cpu::FpEnvGuard::write(cpu::FpEnvGuard::kOurs);
    return callers;
  });
  m.def("leave_strict_floats", [](cpu::FpEnvGuard::Word callers) { cpu::FpEnvGuard::write(callers); });
  m.def("build_table", &build_table);
  m.def("search", &search);
  m.def("top_k", &top_k);
  m.def("prepare_rows", &prepare_rows);
  m.def("score", &score, py::arg("a"), py::arg("b"), py::arg("metric"), py::arg("out").noconvert(), py::arg("isa"),
        py::arg("n_threads"));  // a converted out would be a copy that the caller never sees
  m.def("score_pairs", &score_pairs);
  register_sgd(m);
  register_tests(m);
}

}  // namespace gpurec::bindings
