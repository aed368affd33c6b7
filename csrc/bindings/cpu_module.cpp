// The module gpurec._native._cpu: arrays become views here, nothing is computed. Each entry sets the floating-point environment and
// releases the GIL around the computation.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/fpenv.hpp"
#include "../cpu/score.hpp"
#include "../cpu/search/score_top_k.hpp"
#include "../cpu/table/item_table.hpp"
#include "../cpu/top_k.hpp"
#include "arrays.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {

void register_sgd(py::module_& m);  // sgd_bindings.cpp

namespace {

template <class F>
auto compute(F&& f) {
  py::gil_scoped_release nogil;
  const cpu::FpEnvGuard environment;
  return f();
}

using Table = std::shared_ptr<const cpu::ItemTable>;
using Rows32 = Array<std::uint32_t>;

Metric scanned_metric(const std::string& metric) {
  return metric_of(metric) == Metric::euclidean ? Metric::euclidean : Metric::dot;
}

Table empty_table(std::int64_t d, const std::string& metric) {
  require(d >= 1, "d >= 1");
  return std::make_shared<cpu::ItemTable>(d, scanned_metric(metric));
}

const std::uint32_t* public_rows(const Rows32& rows, std::int64_t n, std::int64_t n_rows) {
  require(rows.ndim() == 1 && rows.size() == n, "one public row an item");
  for (std::int64_t i = 0; i < n; ++i) require(rows.data()[i] < n_rows, "public rows below n_rows");
  return rows.data();
}

Table with_items(const Table& table, const Array<float>& items, const Rows32& rows, std::int64_t n_rows,
                 const std::string& isa, int n_threads) {
  const MatrixView<const float> view = matrix(items, "items of shape (n, d)");
  require(view.cols == table->d(), "items as wide as the table");
  require(n_rows >= table->n_rows() && n_rows <= kMaxRows, "at most 2^32 - 2 rows, and none taken back");
  const std::uint32_t* const of_items = public_rows(rows, view.rows, n_rows);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->with_items(view, of_items, n_rows, kernels, n_threads); });
}

Table without(const Table& table, const Rows32& rows) {
  const std::uint32_t* const removed = public_rows(rows, rows.size(), table->n_rows());
  return compute([&] { return table->without(removed, rows.size()); });
}

Table compacted(const Table& table, const std::string& isa, int n_threads) {
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->compacted(kernels, n_threads); });
}

// Items of public rows, and which of the rows have one.
py::tuple items_of(const Table& table, const Rows32& rows) {
  const std::uint32_t* const wanted = public_rows(rows, rows.size(), table->n_rows());
  Array<float> items({std::int64_t(rows.size()), table->d()});
  py::array_t<bool> found(rows.size());
  const MatrixView<float> out = mutable_matrix(items, rows.size(), table->d(), "items");
  bool* const has = found.mutable_data();
  compute([&] {
    for (std::int64_t i = 0; i < out.rows; ++i) {
      const std::uint32_t position = table->position_of(wanted[i]);
      has[i] = position != cpu::kNowhere;
      if (has[i]) {
        table->copy_item(position, out.row(i));
      } else {
        std::fill_n(out.row(i), out.cols, 0.0f);
      }
    }
  });
  return py::make_tuple(items, found);
}

// The arrays of a table that is in one segment, as views that keep the table alive.
py::dict arrays_of(const Table& table) {
  require(table->parts().size() == 1 && table->parts()[0].dead == nullptr, "a compacted table with items");
  const cpu::ItemSegment& segment = *table->parts()[0].segment;
  const std::int64_t padded = cpu::ItemSegment::padded(segment.n);
  const py::object owner = py::cast(std::const_pointer_cast<cpu::ItemTable>(table));
  py::dict arrays;
  arrays["panels"] = py::array_t<float>({padded / kPanelItems, segment.d, std::int64_t(kPanelItems)}, segment.panels, owner);
  arrays["norms"] = py::array_t<float>(segment.n, segment.norms, owner);
  arrays["row_of"] = py::array_t<std::uint32_t>(segment.n, segment.row_of, owner);
  if (segment.starts != nullptr) arrays["starts"] = py::array_t<float>(padded, segment.starts, owner);
  return arrays;
}

// A table over arrays as arrays_of gives them, from a mapped file for example; they are kept, not copied.
Table table_of_arrays(const std::string& metric, std::int64_t n_rows, const Array<float>& panels,
                      const Array<float>& norms, const Rows32& row_of, const std::optional<Array<float>>& starts) {
  require(panels.ndim() == 3 && panels.shape(2) == kPanelItems && panels.shape(1) >= 1, "panels of shape (n_panels, d, 16)");
  require(norms.ndim() == 1 && row_of.ndim() == 1 && norms.size() == row_of.size(), "a norm and a row an item");
  const std::int64_t padded = panels.shape(0) * kPanelItems;
  require(padded == cpu::ItemSegment::padded(norms.size()), "as many panels as items need");
  require(n_rows >= norms.size() && n_rows <= kMaxRows, "at least as many rows as items");
  const Metric scanned = scanned_metric(metric);
  require(starts.has_value() == (scanned == Metric::euclidean), "starts where the metric is euclidean");
  require(!starts || (starts->ndim() == 1 && starts->size() == padded), "a start for each place of a panel");
  cpu::ItemSegment segment;
  segment.n = norms.size();
  segment.d = panels.shape(1);
  segment.metric = scanned;
  segment.panels = panels.data();
  segment.norms = norms.data();
  segment.row_of = row_of.data();
  segment.starts = starts ? starts->data() : nullptr;
  // The last search that uses the arrays may end on a thread without the GIL.
  auto* const kept = new py::tuple(py::make_tuple(panels, norms, row_of, starts));
  segment.owner = std::shared_ptr<const void>(kept, [](const void* p) {
    const py::gil_scoped_acquire gil;
    delete static_cast<const py::tuple*>(p);
  });
  return compute([&] { return cpu::ItemTable::of_segment(cpu::view_segment(std::move(segment), n_rows), n_rows); });
}

py::dict counts_of(const SearchStats& stats) {
  py::dict counts;
  counts["pruned"] = std::max<std::int64_t>(0, stats.scanned - stats.candidates);
  counts["panels_skipped"] = stats.panels_skipped;
  counts["candidates"] = stats.candidates;
  counts["compressions"] = stats.compressions;
  counts["ties_at_threshold"] = stats.ties_at_threshold;
  counts["canonical_fallbacks"] = stats.canonical_fallbacks;
  counts["rescored"] = stats.rescored;
  return counts;
}

// Filters of a search over n_items rows as views; the arrays live as long as this object.
class FilterArrays {
 public:
  FilterArrays(const std::optional<Array<std::uint8_t>>& mask, const std::optional<py::tuple>& allow,
               const std::vector<py::tuple>& deny, const std::optional<py::tuple>& hint, std::int64_t n_queries,
               std::int64_t n_items) {
    if (mask) {
      require(mask->ndim() == 1 && mask->size() == n_items, "a mask of shape (n_items,)");
      view.mask = mask->data();
    }
    const auto sets = [&](const py::tuple& parts) -> const RowSetsView& {
      kept_.push_back(std::make_unique<RowSetsArrays>(parts, n_queries, n_items));
      return kept_.back()->view();
    };
    if (allow) view.allow = &sets(*allow);
    for (const py::tuple& parts : deny) view.deny.push_back(sets(parts));
    if (hint) view.hint = &sets(*hint);
  }

  FiltersView view;

 private:
  std::vector<std::unique_ptr<RowSetsArrays>> kept_;
};

template <class Searched>
py::tuple search_with(std::int64_t n_queries, std::int64_t k, Searched searched) {
  require(k >= 1, "k >= 1");
  Array<std::int64_t> rows({n_queries, k});
  Array<float> scores({n_queries, k});
  const TopKView out{mutable_matrix(rows, n_queries, k, "rows"), mutable_matrix(scores, n_queries, k, "scores")};
  const SearchStats stats = compute([&] { return searched(out); });
  return py::make_tuple(rows, scores, counts_of(stats));
}

py::tuple search(const Table& table, const Array<float>& queries, std::int64_t k,
                 const std::optional<Array<std::uint8_t>>& mask, const std::optional<py::tuple>& allow,
                 const std::vector<py::tuple>& deny, const std::optional<py::tuple>& hint, const std::string& isa,
                 int n_threads) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == table->d(), "queries as wide as the items");
  const FilterArrays filters(mask, allow, deny, hint, q.rows, table->n_rows());
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return search_with(q.rows, k, [&](TopKView out) {
    return cpu::score_top_k(*table, q, k, filters.view, out, kernels, n_threads);
  });
}

// (indptr, rows, scores) of every item that scores at least `threshold`.
py::tuple search_above(const Table& table, const Array<float>& queries, float threshold, std::int64_t k,
                       std::int64_t most, const std::optional<Array<std::uint8_t>>& mask,
                       const std::optional<py::tuple>& allow, const std::vector<py::tuple>& deny,
                       const std::string& isa, int n_threads) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == table->d(), "queries as wide as the items");
  require(k >= 1, "k >= 1");
  const FilterArrays filters(mask, allow, deny, std::nullopt, q.rows, table->n_rows());
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const auto keys = compute(
      [&] { return cpu::score_above(*table, q, threshold, k, most, filters.view, kernels, n_threads); });
  Array<std::int64_t> indptr(q.rows + 1);
  std::int64_t* const ends = indptr.mutable_data();
  ends[0] = 0;
  for (std::int64_t i = 0; i < q.rows; ++i) ends[i + 1] = ends[i] + std::int64_t(keys[std::size_t(i)].size());
  Array<std::int64_t> rows(ends[q.rows]);
  Array<float> scores(ends[q.rows]);
  for (std::int64_t i = 0; i < q.rows; ++i) {
    const auto& found = keys[std::size_t(i)];
    std::transform(found.begin(), found.end(), rows.mutable_data() + ends[i], row_of_key);
    std::transform(found.begin(), found.end(), scores.mutable_data() + ends[i], score_of_key);
  }
  return py::make_tuple(indptr, rows, scores);
}

py::tuple search_rows(const Array<float>& items, const std::string& metric, const Array<float>& queries,
                      std::int64_t k, const std::optional<Array<std::uint8_t>>& mask,
                      const std::optional<py::tuple>& allow, const std::vector<py::tuple>& deny,
                      const std::string& isa, int n_threads) {
  const MatrixView<const float> x = matrix(items, "items of shape (n_items, d)");
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == x.cols, "queries as wide as the items");
  require(x.rows <= kMaxRows, "at most 2^32 - 2 items");
  const FilterArrays filters(mask, allow, deny, std::nullopt, q.rows, x.rows);
  const Metric scanned = scanned_metric(metric);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return search_with(q.rows, k, [&](TopKView out) {
    return cpu::score_top_k_of_rows(x, scanned, q, k, filters.view, out, kernels, n_threads);
  });
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
  m.def("norm_lower", [](const Array<float>& x) {
    const cpu::FpEnvGuard environment;
    return norm_lower(stored_norm(dot64(x.data(), x.data(), x.size()), x.size()));
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
  py::class_<cpu::ItemTable, std::shared_ptr<cpu::ItemTable>>(m, "ItemTable")
      .def_property_readonly("d", &cpu::ItemTable::d)
      .def_property_readonly("n_rows", &cpu::ItemTable::n_rows)
      .def_property_readonly("n_active", &cpu::ItemTable::n_active)
      .def_property_readonly("n_bytes", &cpu::ItemTable::n_bytes)
      .def("with_items", &with_items)
      .def("without", &without)
      .def("compacted", &compacted)
      .def("items_of", &items_of)
      .def("arrays", &arrays_of);
  m.def("enter_strict_floats", [] {
    const auto callers = cpu::FpEnvGuard::read();
    cpu::FpEnvGuard::write(cpu::FpEnvGuard::kOurs);
    return callers;
  });
  m.def("leave_strict_floats", [](cpu::FpEnvGuard::Word callers) { cpu::FpEnvGuard::write(callers); });
  m.def("empty_table", &empty_table);
  m.def("search", &search);
  m.def("search_above", &search_above);
  m.def("search_rows", &search_rows);
  m.def("table_of_arrays", &table_of_arrays);
  m.def("top_k", &top_k);
  m.def("first_invalid_row", &first_invalid_row);
  m.def("prepare_rows", &prepare_rows);
  m.def("score", &score, py::arg("a"), py::arg("b"), py::arg("metric"), py::arg("out").noconvert(), py::arg("isa"),
        py::arg("n_threads"));  // a converted out would be a copy that the caller never sees
  m.def("score_pairs", &score_pairs);
  register_sgd(m);
  register_tests(m);
}

}  // namespace gpurec::bindings
