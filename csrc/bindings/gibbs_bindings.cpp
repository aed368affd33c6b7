// Registers op `gibbs` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>

#include "../cpu/dispatch.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/gibbs.hpp"

namespace gpurec::bindings {
namespace {

using Doubles = Array<double>;
using Ints = Array<std::int32_t>;

MatrixView<const double> table(const Doubles& a, std::int64_t cols, const char* what) {
  require(a.ndim() == 2 && a.shape(1) == cols, what);
  return {a.data(), a.shape(0), cols, cols};
}

SparseRowsView sparse_rows(const Array<std::int64_t>& indptr, const Ints& columns, const Array<float>& values,
                           std::int64_t n_columns) {
  require(indptr.ndim() == 1 && indptr.size() >= 1, "offsets in one dimension");
  require(columns.ndim() == 1 && values.ndim() == 1 && columns.size() == values.size(), "a value for each column");
  return {indptr.data(), columns.data(), values.data(), indptr.size() - 1, n_columns};
}

void require_inside(const SparseRowsView& a, std::int64_t n_entries, const char* what) {
  require(a.indptr[0] == 0 && a.n_entries() == n_entries && std::is_sorted(a.indptr, a.indptr + a.n_rows + 1), what);
  // Without an early end, so that it is vector code; none below 0 is none above 2^31 - 1 as unsigned.
  std::uint32_t most = 0;
  for (std::int64_t t = 0; t < n_entries; ++t) most = std::max(most, std::uint32_t(a.columns[t]));
  require(n_entries == 0 || most < a.n_columns, what);
}

Doubles gibbs_half_sweep(const Array<std::int64_t>& indptr, const Ints& columns, const Array<float>& values,
                        const Doubles& others, const Doubles& other_precisions, Doubles& own, Doubles& vectors, Doubles& means,
                        const Doubles& precisions, const std::optional<Ints>& owners, std::int64_t n_owners,
                        const Array<std::int64_t>& feature_indptr, const Ints& feature_rows,
                        const Array<float>& feature_values, Doubles& weights, const Ints& groups,
                        const Doubles& prior_means, const Doubles& prior_precisions, std::uint64_t seed, std::uint32_t sweep,
                        std::uint32_t number, bool random, const std::string& isa, int n_threads) {
  require(others.ndim() == 2 && others.shape(1) >= 1, "others of shape (n_others, width)");
  const std::int64_t width = others.shape(1), n_rows = indptr.size() - 1;
  const MatrixView<const double> theirs = table(others, width, "others of shape (n_others, width)");
  const SparseRowsView ratings = sparse_rows(indptr, columns, values, others.shape(0));
  GibbsSide view;
  view.own = mutable_matrix(own, n_rows, width, "own of shape (n_rows, width)");
  view.vectors = mutable_matrix(vectors, n_rows, width, "vectors of shape (n_rows, width)");
  view.means = mutable_matrix(means, n_rows, width, "means of shape (n_rows, width)");
  require(owners ? owners->ndim() == 1 && owners->size() == n_rows : n_owners == n_rows, "an owner for each row");
  view.owners = owners ? owners->data() : nullptr;
  view.features = sparse_rows(feature_indptr, feature_rows, feature_values, n_owners);
  const std::int64_t n_features = view.features.n_rows;
  view.weights = mutable_matrix(weights, n_features, width, "weights of shape (n_features, width)");
  require(groups.ndim() == 1 && groups.size() == n_features, "a group for each feature");
  view.groups = groups.data();
  view.prior_means = table(prior_means, width, "prior means of shape (n_groups, width)");
  view.prior_precisions = table(prior_precisions, width, "prior precisions of shape (n_groups, width)");
  require(view.prior_means.rows >= 1 && view.prior_means.rows == view.prior_precisions.rows, "a prior for each group");
  require(precisions.ndim() == 1 && precisions.size() == n_rows, "a precision for each row");
  require(other_precisions.ndim() == 1 && other_precisions.size() == theirs.rows, "a precision for each other");
  view.precisions = precisions.data();
  const GibbsDraw draw{seed, sweep, number, random};
  Doubles errors(n_rows);
  double* const out = errors.mutable_data();
  compute([&] {
    require_inside(ratings, columns.size(), "others inside the table");
    require_inside(view.features, feature_rows.size(), "features of owners inside the side");
    const auto is_owner = [&](std::int32_t u) { return u >= 0 && u < n_owners; };
    require(!owners || std::all_of(view.owners, view.owners + n_rows, is_owner), "owners inside the side");
    const auto is_group = [&](std::int32_t g) { return g >= 1 && g < view.prior_means.rows; };
    require(std::all_of(view.groups, view.groups + n_features, is_group), "groups that have a prior");
    cpu::gibbs_half_sweep(ratings, theirs, other_precisions.data(), view, draw, out, cpu::kernels(isa), n_threads);
  });
  return errors;
}

}  // namespace

void register_gibbs(py::module_& m) {
  m.def("gibbs_half_sweep", &gibbs_half_sweep, py::arg("indptr"), py::arg("columns"), py::arg("values"),
        py::arg("others"), py::arg("other_precisions"), py::arg("own").noconvert(), py::arg("vectors").noconvert(), py::arg("means").noconvert(), py::arg("precisions"), py::arg("owners"), py::arg("n_owners"),
        py::arg("feature_indptr"), py::arg("feature_rows"), py::arg("feature_values"), py::arg("weights").noconvert(),
        py::arg("groups"), py::arg("prior_means"), py::arg("prior_precisions"), py::kw_only(),
        py::arg("seed"), py::arg("sweep"), py::arg("number"), py::arg("random"), py::arg("isa"), py::arg("n_threads"));
}

}  // namespace gpurec::bindings
