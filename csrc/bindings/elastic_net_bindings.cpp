// Registers op `elastic_net` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>

#include <algorithm>

#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/elastic_net.hpp"

namespace gpurec::bindings {
namespace {

// Ascending offsets of all entries, whose columns are inside.
void require_rows(const SparseRowsView& a, std::int64_t n_entries, const char* what) {
  require(a.indptr[0] == 0 && a.n_entries() == n_entries && std::is_sorted(a.indptr, a.indptr + a.n_rows + 1), what);
  const auto inside = [&](std::int32_t column) { return column >= 0 && column < a.n_columns; };
  require(std::all_of(a.columns, a.columns + n_entries, inside), what);
}

void elastic_net(const Array<std::int64_t>& indptr, const Array<std::int32_t>& rows, const Array<float>& values,
                 std::int64_t n_rows, const Array<std::int64_t>& targets, const Array<std::int64_t>& candidate_indptr,
                 const Array<std::int32_t>& candidates, double l1, double l2, double tolerance,
                 std::int64_t most_sweeps, Array<float>& weights, Array<std::int32_t>& n_sweeps, int n_threads) {
  require(indptr.ndim() == 1 && indptr.size() >= 1 && candidate_indptr.ndim() == 1, "offsets in one dimension");
  require(rows.ndim() == 1 && values.ndim() == 1 && rows.size() == values.size(), "a value for each row");
  require(targets.ndim() == 1 && candidate_indptr.size() == targets.size() + 1, "candidates of each target");
  require(candidates.ndim() == 1 && weights.ndim() == 1 && weights.size() == candidates.size(), "a weight a candidate");
  require(n_sweeps.ndim() == 1 && n_sweeps.size() == targets.size(), "a number of sweeps for each target");
  const SparseRowsView columns{indptr.data(), rows.data(), values.data(), indptr.size() - 1, n_rows};
  const SparseRowsView choices{candidate_indptr.data(), candidates.data(), nullptr, targets.size(), columns.n_rows};
  const ElasticNetRates rates{l1, l2, tolerance, most_sweeps};
  float* const out = weights.mutable_data();
  std::int32_t* const sweeps = n_sweeps.mutable_data();
  compute([&] {
    require_rows(columns, rows.size(), "columns inside the matrix");
    require_rows(choices, candidates.size(), "candidates that are columns");
    const auto is_column = [&](std::int64_t target) { return target >= 0 && target < columns.n_rows; };
    require(std::all_of(targets.data(), targets.data() + targets.size(), is_column), "targets that are columns");
    cpu::elastic_net(columns, targets.data(), choices, rates, out, sweeps, n_threads);
  });
}

}  // namespace

void register_elastic_net(py::module_& m) {
  m.def("elastic_net", &elastic_net, py::arg("indptr"), py::arg("rows"), py::arg("values"), py::arg("n_rows"),
        py::arg("targets"), py::arg("candidate_indptr"), py::arg("candidates"), py::arg("l1"), py::arg("l2"),
        py::arg("tolerance"), py::arg("most_sweeps"), py::arg("weights").noconvert(), py::arg("n_sweeps").noconvert(),
        py::arg("n_threads"));
}

}  // namespace gpurec::bindings
