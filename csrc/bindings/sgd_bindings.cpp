#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "gpurec/sgd.hpp"

namespace py = pybind11;

namespace {

using Rows = py::array_t<std::int64_t, py::array::c_style>;
using Floats = py::array_t<float, py::array::c_style>;

void expect(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("[sgd_epoch] expected ") + what);
}

bool rows_inside(const std::int64_t* rows, std::int64_t n, std::int64_t limit) {
  // One comparison a row: a negative row is a huge unsigned one.
  return std::all_of(rows, rows + n, [limit](std::int64_t row) {
    return static_cast<std::uint64_t>(row) < static_cast<std::uint64_t>(limit);
  });
}

gpurec::FactorTable factor_table(Floats& factors, Floats& biases, const Floats& shrink) {
  expect(factors.ndim() == 2, "factors of two dimensions");
  const std::int64_t n_rows = factors.shape(0);
  expect(biases.ndim() == 1 && biases.shape(0) == n_rows, "one bias a row of the factors");
  expect(shrink.ndim() == 1 && shrink.shape(0) == n_rows, "one shrink a row of the factors");
  const std::int64_t n_factors = factors.shape(1);
  return {{factors.mutable_data(), n_rows, n_factors, n_factors}, biases.mutable_data(), shrink.data()};
}

double sgd_epoch(const Rows& user_rows, const Rows& item_rows, const Floats& ratings,
                 Floats user_factors, Floats item_factors, Floats user_biases, Floats item_biases,
                 const Floats& user_shrink, const Floats& item_shrink, float factor_rate, float factor_penalty,
                 float bias_rate, float bias_penalty) {
  expect(user_rows.ndim() == 1 && item_rows.ndim() == 1 && ratings.ndim() == 1, "ratings of one dimension");
  const std::int64_t n = ratings.shape(0);
  expect(user_rows.shape(0) == n && item_rows.shape(0) == n, "user_rows, item_rows and ratings of one length");
  const gpurec::FactorTable users = factor_table(user_factors, user_biases, user_shrink);
  const gpurec::FactorTable items = factor_table(item_factors, item_biases, item_shrink);
  expect(users.factors.cols == items.factors.cols, "users and items of equally many factors");
  const gpurec::RatingsView view{n, user_rows.data(), item_rows.data(), ratings.data()};

  const py::gil_scoped_release unlocked;
  expect(rows_inside(view.user_rows, n, users.factors.rows), "user rows inside the user table");
  expect(rows_inside(view.item_rows, n, items.factors.rows), "item rows inside the item table");
  return gpurec::cpu::sgd_epoch(view, users, items, {factor_rate, factor_penalty, bias_rate, bias_penalty});
}

}  // namespace

void register_sgd(py::module_& m) {
  m.def("sgd_epoch", &sgd_epoch, py::arg("user_rows").noconvert(), py::arg("item_rows").noconvert(),
        py::arg("ratings").noconvert(), py::arg("user_factors").noconvert(),
        py::arg("item_factors").noconvert(), py::arg("user_biases").noconvert(),
        py::arg("item_biases").noconvert(), py::arg("user_shrink").noconvert(),
        py::arg("item_shrink").noconvert(), py::kw_only(), py::arg("factor_rate"), py::arg("factor_penalty"),
        py::arg("bias_rate"), py::arg("bias_penalty"));
}
