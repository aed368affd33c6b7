// Registers op `sgd` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>

#include "../cpu/dispatch.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/sgd.hpp"

namespace gpurec::bindings {
namespace {

bool rows_inside(const std::int64_t* rows, std::int64_t n, std::int64_t limit) {
  // One comparison a row: a negative row is a huge unsigned one.
  return std::all_of(rows, rows + n, [limit](std::int64_t row) {
    return static_cast<std::uint64_t>(row) < static_cast<std::uint64_t>(limit);
  });
}

FactorTable factor_table(Array<float>& factors, Array<float>& biases, const Array<float>& shrink) {
  require(factors.ndim() == 2, "factors of shape (n_rows, n_factors)");
  const std::int64_t n_rows = factors.shape(0);
  require(biases.ndim() == 1 && biases.shape(0) == n_rows, "biases of shape (n_rows,)");
  require(shrink.ndim() == 1 && shrink.shape(0) == n_rows, "shrink of shape (n_rows,)");
  return {mutable_matrix(factors, n_rows, factors.shape(1), "factors"), biases.mutable_data(), shrink.data()};
}

double sgd_epoch(const Array<std::int64_t>& user_rows, const Array<std::int64_t>& item_rows,
                 const Array<float>& ratings, Array<float>& user_factors, Array<float>& item_factors,
                 Array<float>& user_biases, Array<float>& item_biases, const Array<float>& user_shrink,
                 const Array<float>& item_shrink, float factor_rate, float factor_penalty, float bias_rate,
                 float bias_penalty, const std::string& isa) {
  require(user_rows.ndim() == 1 && item_rows.ndim() == 1 && ratings.ndim() == 1, "ratings of one dimension");
  const std::int64_t n = ratings.shape(0);
  require(user_rows.shape(0) == n && item_rows.shape(0) == n, "user_rows, item_rows and ratings of one length");
  const FactorTable users = factor_table(user_factors, user_biases, user_shrink);
  const FactorTable items = factor_table(item_factors, item_biases, item_shrink);
  require(users.factors.cols == items.factors.cols, "users and items of equally many factors");
  const RatingsView view{n, user_rows.data(), item_rows.data(), ratings.data()};

  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] {
    require(rows_inside(view.user_rows, n, users.factors.rows), "user rows inside the table of users");
    require(rows_inside(view.item_rows, n, items.factors.rows), "item rows inside the table of items");
    return kernels.sgd_epoch(view, users, items, {factor_rate, factor_penalty, bias_rate, bias_penalty});
  });
}

}  // namespace

void register_sgd(py::module_& m) {
  // Conversion would make a copy and change that instead of the caller's arrays.
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("sgd_epoch", &sgd_epoch, array("user_rows"), array("item_rows"), array("ratings"), array("user_factors"),
        array("item_factors"), array("user_biases"), array("item_biases"), array("user_shrink"),
        array("item_shrink"), py::kw_only(), py::arg("factor_rate"), py::arg("factor_penalty"),
        py::arg("bias_rate"), py::arg("bias_penalty"), py::arg("isa"));
}

}  // namespace gpurec::bindings
