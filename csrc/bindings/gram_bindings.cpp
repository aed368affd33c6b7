// Registers op `gram_top_k` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../cpu/gram_top_k/codes.hpp"
#include "../cpu/gram_top_k/gram_top_k.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "filter_arrays.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {
namespace {

GramForm form_of(const std::string& name) {
  if (name == "products") return GramForm::products;
  if (name == "sets") return GramForm::sets;
  if (name == "pearson") return GramForm::pearson;
  throw std::invalid_argument("[native] unknown form '" + name + "'");
}

cpu::CodeUse code_use_of(const std::string& name) {
  if (name == "never") return cpu::CodeUse::never;
  if (name == "auto") return cpu::CodeUse::where_they_pay;
  if (name == "always") return cpu::CodeUse::always;
  throw std::invalid_argument("[native] unknown use of codes '" + name + "'");
}

// A sparse matrix by rows and by columns, checked so that no sum can leave its arrays.
class GramRows {
 public:
  GramRows(Array<std::int64_t> indptr, Array<std::int32_t> columns, Array<float> values, std::int64_t n_columns)
      : indptr_(std::move(indptr)), columns_(std::move(columns)), values_(std::move(values)) {
    require(indptr_.ndim() == 1 && indptr_.size() >= 1 && columns_.ndim() == 1 && values_.ndim() == 1,
            "rows of (indptr, columns, values)");
    view_ = {indptr_.data(), columns_.data(), values_.data(), indptr_.size() - 1, n_columns};
    require(n_columns >= 0 && n_columns < kMaxRows && view_.n_rows <= kMaxRows, "fewer than 2^32 - 1 rows and columns");
    const std::int64_t* const p = view_.indptr;
    require(p[0] == 0 && p[view_.n_rows] == columns_.size() && columns_.size() == values_.size(), "an indptr of all");
    require(std::is_sorted(p, p + view_.n_rows + 1), "an ascending indptr");
    for (std::int64_t row = 0; row < view_.n_rows; ++row) {
      std::int64_t before = -1;
      for (std::int64_t e = p[row]; e < p[row + 1]; ++e) {
        const std::int64_t column = view_.columns[e];
        require(column > before && column < n_columns, "ascending columns within the matrix");
        before = column;
      }
    }
    by_columns_ = compute([&] { return std::make_unique<const cpu::SparseColumns>(view_); });
  }

  py::tuple top_k(const std::string& form, const std::optional<Array<double>>& left,
                  const std::optional<Array<double>>& right, double alpha, double beta, double shrinkage,
                  std::int64_t min_overlap, const Array<std::int64_t>& asked, std::int64_t k, bool include_self,
                  const std::optional<Array<std::uint8_t>>& mask, const std::optional<py::tuple>& allow,
                  const std::vector<py::tuple>& deny, const std::string& codes, std::int64_t tile_rows,
                  const std::string& isa, int n_threads) const {
    require(k >= 1 && min_overlap >= 1, "k and min_overlap of at least 1");
    require(tile_rows >= 1 && tile_rows <= cpu::CodedColumns::kMostTileRows, "tiles of at most 2^16 rows");
    require(asked.ndim() == 1, "rows asked about in one dimension");
    const std::int64_t n_asked = asked.size();
    require(std::all_of(asked.data(), asked.data() + n_asked, [&](std::int64_t r) { return r >= 0 && r < view_.n_rows; }),
            "rows of the matrix");
    GramScoring how{form_of(form), nullptr, nullptr, alpha, beta, shrinkage, min_overlap};
    require(left.has_value() == right.has_value(), "both divisors or none");
    if (left) {
      require(left->size() == view_.n_rows && right->size() == view_.n_rows, "a divisor for each row");
      how.left = left->data();
      how.right = right->data();
    }
    const FilterArrays filters(mask, allow, deny, std::nullopt, n_asked, view_.n_rows);
    const cpu::Kernels& kernels = cpu::kernels(isa);
    Array<std::int64_t> rows({n_asked, k});
    Array<float> scores({n_asked, k});
    const TopKView out{mutable_matrix(rows, n_asked, k, "rows"), mutable_matrix(scores, n_asked, k, "scores")};
    // A call may take minutes: Ctrl-C ends it between rows.
    bool was_interrupted = false;
    auto asked_at = std::chrono::steady_clock::now();
    const std::function<bool()> is_interrupted = [&] {
      const auto now = std::chrono::steady_clock::now();
      if (was_interrupted || now - asked_at < std::chrono::milliseconds(100)) return was_interrupted;
      asked_at = now;
      const py::gil_scoped_acquire gil;
      return was_interrupted = PyErr_CheckSignals() != 0;
    };
    const cpu::GramStats stats = compute([&] {
      return cpu::gram_top_k({view_, *by_columns_, how, asked.data(), n_asked, k, include_self, filters.view, out, kernels,
                              n_threads, code_use_of(codes), tile_rows, is_interrupted});
    });
    if (was_interrupted) throw py::error_already_set();
    py::dict counts;
    counts["coded"] = stats.coded;
    counts["uncertain"] = stats.uncertain;
    counts["dense"] = stats.dense;
    return py::make_tuple(rows, scores, counts);
  }

 private:
  Array<std::int64_t> indptr_;
  Array<std::int32_t> columns_;
  Array<float> values_;
  SparseRowsView view_;
  std::unique_ptr<const cpu::SparseColumns> by_columns_;
};

}  // namespace

void register_gram(py::module_& m) {
  py::class_<GramRows>(m, "GramRows")
      .def(py::init<Array<std::int64_t>, Array<std::int32_t>, Array<float>, std::int64_t>())
      .def("top_k", &GramRows::top_k);
}

}  // namespace gpurec::bindings
