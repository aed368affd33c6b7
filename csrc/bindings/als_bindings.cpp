// Registers op `als` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../cpu/als/als.hpp"
#include "../cpu/als/symmetric_eigen.hpp"
#include "arrays.hpp"
#include "compute.hpp"

namespace gpurec::bindings {
namespace {

AlsSolver solver_of(const std::string& name) {
  if (name == "cholesky") return AlsSolver::cholesky;
  if (name == "cg") return AlsSolver::cg;
  if (name == "block") return AlsSolver::block;
  throw std::invalid_argument("[native] unknown solver '" + name + "'");
}

// The factors of one side, kept alive, and what is made of them.
class Shared {
 public:
  Shared(Array<float> factors, double unobserved_weight, const std::string& isa, int n_threads)
      : factors_(std::move(factors)) {
    const MatrixView<const float> view = matrix(factors_, "factors of shape (n_columns, n_factors)");
    require(view.cols >= 1, "at least one factor");
    const cpu::Kernels& kernels = cpu::kernels(isa);
    compute([&] { shared_ = std::make_unique<cpu::AlsShared>(view, unobserved_weight, kernels, n_threads); });
  }

  Array<double> gram() const {
    const std::int64_t d = factors_.shape(1);
    Array<double> out({d, d});
    std::copy(shared_->gram().begin(), shared_->gram().end(), out.mutable_data());
    return out;
  }

  double solve(const Array<std::int64_t>& indptr, const Array<std::int32_t>& columns, const Array<float>& weights,
               const Array<float>& pulls, const Array<double>& l2, const std::optional<Array<float>>& start,
               const std::string& solver, std::int64_t steps, std::int64_t block_size, bool many, Array<float>& out,
               int n_threads) {
    require(indptr.ndim() == 1 && indptr.size() >= 1, "indptr of shape (n_rows + 1,)");
    require(columns.ndim() == 1 && weights.ndim() == 1 && pulls.ndim() == 1, "entries in one dimension");
    require(weights.size() == columns.size() && pulls.size() == columns.size(), "a weight and a pull for each entry");
    const SparseRowsView view{indptr.data(), columns.data(), weights.data(), indptr.size() - 1, factors_.shape(0)};
    require(l2.ndim() == 1 && l2.size() == view.n_rows, "a penalty for each row");
    const MatrixView<float> result = mutable_matrix(out, view.n_rows, factors_.shape(1), "out of shape (n_rows, d)");
    const float* from = nullptr;
    if (start) {
      const MatrixView<const float> rows = matrix(*start, "start of shape (n_rows, d)");
      require(rows.rows == view.n_rows && rows.cols == factors_.shape(1), "start of the shape of out");
      from = rows.data;
    }
    require(steps >= 1 && block_size >= 1, "at least one step and one direction a block");
    const AlsRates rates{solver_of(solver), steps, block_size};
    const std::int64_t n_entries = columns.size();
    return compute([&] {
      require(view.indptr[0] == 0 && view.n_entries() == n_entries &&
                  std::is_sorted(view.indptr, view.indptr + view.n_rows + 1),
              "an indptr that ascends from 0 to the number of entries");
      std::uint32_t largest = 0;  // a negative column is a huge one
      for (std::int64_t e = 0; e < n_entries; ++e) largest = std::max(largest, std::uint32_t(view.columns[e]));
      require(n_entries == 0 || std::int64_t(largest) < view.n_columns, "columns inside the matrix");
      return shared_->solve(view, pulls.data(), l2.data(), from, rates, many, result, n_threads);
    });
  }

 private:
  Array<float> factors_;
  std::unique_ptr<cpu::AlsShared> shared_;
};

// Eigenvalues, falling, and their eigenvectors as rows.
py::tuple eigen_of(const Array<double>& symmetric, int n_threads) {
  require(symmetric.ndim() == 2 && symmetric.shape(0) == symmetric.shape(1), "a square matrix");
  const std::int64_t n = symmetric.shape(0);
  cpu::SymmetricEigen found;
  compute([&] {
    found = cpu::symmetric_eigen(std::vector<double>(symmetric.data(), symmetric.data() + n * n), n, n_threads);
  });
  Array<double> values(n), vectors({n, n});
  std::copy(found.values.begin(), found.values.end(), values.mutable_data());
  std::copy(found.vectors.begin(), found.vectors.end(), vectors.mutable_data());
  return py::make_tuple(values, vectors);
}

}  // namespace

void register_als(py::module_& m) {
  m.def("symmetric_eigen", &eigen_of, py::arg("symmetric"), py::arg("n_threads"));
  py::class_<Shared>(m, "AlsShared")
      .def(py::init<Array<float>, double, const std::string&, int>(), py::arg("factors"), py::arg("unobserved_weight"),
           py::arg("isa"), py::arg("n_threads"))
      .def_property_readonly("gram", &Shared::gram)
      .def("solve", &Shared::solve, py::arg("indptr"), py::arg("columns"), py::arg("weights"), py::arg("pulls"),
           py::arg("l2"), py::arg("start"), py::arg("solver"), py::arg("steps"), py::arg("block_size"),
           py::arg("many"), py::arg("out").noconvert(), py::arg("n_threads"));
}

}  // namespace gpurec::bindings
