// Registers op `spmm` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "../cpu/spmm.hpp"
#include "arrays.hpp"
#include "compute.hpp"

namespace gpurec::bindings {
namespace {

void spmm(const Array<std::int64_t>& indptr, const Array<std::int32_t>& columns, const Array<float>& values,
          const Array<float>& x, const std::optional<Array<float>>& add, float weight, Array<float>& out,
          const std::string& isa, int n_threads) {
  require(indptr.ndim() == 1 && indptr.size() >= 1, "indptr of shape (n_rows + 1,)");
  require(columns.ndim() == 1 && values.ndim() == 1 && columns.size() == values.size(), "a value for each column");
  const MatrixView<const float> dense = matrix(x, "x of shape (n_inner, n_columns)");
  const SparseRowsView a{indptr.data(), columns.data(), values.data(), indptr.size() - 1, dense.rows};
  const MatrixView<float> result = mutable_matrix(out, a.n_rows, dense.cols, "out of shape (n_rows, n_columns)");
  Addend more;
  if (add) {
    more = {matrix(*add, "add of shape (n_rows, n_columns)"), weight};
    require(more.rows.rows == a.n_rows && more.rows.cols == dense.cols, "add of the shape of out");
  }
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const std::int64_t n_entries = columns.size();
  compute([&] {
    require(a.indptr[0] == 0 && a.indptr[a.n_rows] == n_entries, "an indptr from 0 to the number of entries");
    for (std::int64_t i = 0; i < a.n_rows; ++i) require(a.indptr[i] <= a.indptr[i + 1], "an ascending indptr");
    std::uint32_t largest = 0;  // a negative column is a huge one
    for (std::int64_t t = 0; t < n_entries; ++t) largest = std::max(largest, std::uint32_t(a.columns[t]));
    require(n_entries == 0 || std::int64_t(largest) < a.n_columns, "columns inside x");
    cpu::spmm(a, dense, more, result, kernels, n_threads);
  });
}

}  // namespace

void register_spmm(py::module_& m) {
  m.def("spmm", &spmm, py::arg("indptr"), py::arg("columns"), py::arg("values"), py::arg("x"),
        py::arg("add"), py::arg("weight"), py::arg("out").noconvert(), py::arg("isa"), py::arg("n_threads"));
}

}  // namespace gpurec::bindings
