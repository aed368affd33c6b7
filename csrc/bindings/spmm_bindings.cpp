// Registers op `spmm` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "../cpu/spmm.hpp"
#include "arrays.hpp"
#include "compute.hpp"

namespace gpurec::bindings {
namespace {

// A sparse matrix by rows, looked through once, so that no product can leave the arrays.
class SparseMatrix {
 public:
  SparseMatrix(Array<std::int64_t> indptr, Array<std::int32_t> columns, Array<float> values, std::int64_t n_columns)
      : indptr_(std::move(indptr)), columns_(std::move(columns)), values_(std::move(values)) {
    require(indptr_.ndim() == 1 && indptr_.size() >= 1, "indptr of shape (n_rows + 1,)");
    require(columns_.ndim() == 1 && values_.ndim() == 1 && columns_.size() == values_.size(), "a value for each column");
    view_ = {indptr_.data(), columns_.data(), values_.data(), indptr_.size() - 1, n_columns};
    const std::int64_t n_entries = columns_.size();
    compute([&] {
      require(view_.indptr[0] == 0 && view_.n_entries() == n_entries, "an indptr from 0 to the number of entries");
      require(std::is_sorted(view_.indptr, view_.indptr + view_.n_rows + 1), "an ascending indptr");
      std::uint32_t largest = 0;  // a negative column is a huge one
      for (std::int64_t t = 0; t < n_entries; ++t) largest = std::max(largest, std::uint32_t(view_.columns[t]));
      require(n_entries == 0 || std::int64_t(largest) < n_columns, "columns inside the matrix");
    });
  }

  void times(const Array<float>& x, const std::optional<Array<float>>& add, float weight, Array<float>& out,
             const std::string& isa, int n_threads) const {
    const MatrixView<const float> dense = matrix(x, "x of shape (n_inner, n_columns)");
    require(dense.rows == view_.n_columns, "x with a row for each column of the matrix");
    const MatrixView<float> result = mutable_matrix(out, view_.n_rows, dense.cols, "out of shape (n_rows, n_columns)");
    Addend more;
    if (add) {
      more = {matrix(*add, "add of shape (n_rows, n_columns)"), weight};
      require(more.rows.rows == view_.n_rows && more.rows.cols == dense.cols, "add of the shape of out");
    }
    const cpu::Kernels& kernels = cpu::kernels(isa);
    compute([&] { cpu::spmm(view_, dense, more, result, kernels, n_threads); });
  }

 private:
  Array<std::int64_t> indptr_;
  Array<std::int32_t> columns_;
  Array<float> values_;
  SparseRowsView view_;
};

}  // namespace

void register_spmm(py::module_& m) {
  py::class_<SparseMatrix>(m, "SparseMatrix")
      .def(py::init<Array<std::int64_t>, Array<std::int32_t>, Array<float>, std::int64_t>())
      .def("times", &SparseMatrix::times, py::arg("x"), py::arg("add"), py::arg("weight"), py::arg("out").noconvert(),
           py::arg("isa"), py::arg("n_threads"));
}

}  // namespace gpurec::bindings
