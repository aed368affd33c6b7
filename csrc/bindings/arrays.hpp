// NumPy arrays as views. Python has checked dtypes and values; here only what memory safety needs is checked.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "gpurec/views.hpp"

namespace gpurec::bindings {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("[native] expected ") + what);
}

inline MatrixView<const float> matrix(const Array<float>& a, const char* what) {
  require(a.ndim() == 2, what);
  return {a.data(), a.shape(0), a.shape(1), a.shape(1)};
}

template <class T>
MatrixView<T> mutable_matrix(Array<T>& a, std::int64_t rows, std::int64_t cols, const char* what) {
  require(a.ndim() == 2 && a.shape(0) == rows && a.shape(1) == cols, what);
  return {a.mutable_data(), rows, cols, cols};
}

// (indptr, rows, which or None) of RowSets, checked so that no look-up can leave the arrays.
class RowSetsArrays {
 public:
  RowSetsArrays(const py::tuple& parts, std::int64_t n_queries, std::int64_t n_items)
      : indptr_(parts[0].cast<Array<std::int64_t>>()), rows_(parts[1].cast<Array<std::int64_t>>()) {
    require(indptr_.ndim() == 1 && indptr_.size() >= 1 && rows_.ndim() == 1, "row sets of (indptr, rows, which)");
    const std::int64_t n_sets = indptr_.size() - 1;
    const std::int64_t* p = indptr_.data();
    require(p[0] >= 0 && p[n_sets] <= rows_.size(), "an indptr within rows");
    for (std::int64_t s = 0; s < n_sets; ++s) require(p[s] <= p[s + 1], "an ascending indptr");
    for (std::int64_t i = 0; i < rows_.size(); ++i) {
      require(rows_.data()[i] >= 0 && rows_.data()[i] < n_items, "rows of items in row sets");
    }
    view_.indptr = p;
    view_.rows = rows_.data();
    if (parts[2].is_none()) {
      require(n_sets == n_queries, "a set for each query");
    } else {
      which_ = parts[2].cast<Array<std::int64_t>>();
      require(which_.ndim() == 1 && which_.size() == n_queries, "which of one set for each query");
      for (std::int64_t i = 0; i < n_queries; ++i) {
        require(which_.data()[i] >= 0 && which_.data()[i] < n_sets, "which within the sets");
      }
      view_.which = which_.data();
    }
  }

  const RowSetsView& view() const { return view_; }

 private:
  Array<std::int64_t> indptr_, rows_, which_;
  RowSetsView view_;
};

inline Metric metric_of(const std::string& name) {
  if (name == "dot") return Metric::dot;
  if (name == "cosine") return Metric::cosine;
  if (name == "pearson") return Metric::pearson;
  if (name == "euclidean") return Metric::euclidean;
  throw std::invalid_argument("[native] unknown metric '" + name + "'");
}

// The metric of prepared rows: only distances are not dots.
inline Metric scanned_metric(const std::string& name) {
  return metric_of(name) == Metric::euclidean ? Metric::euclidean : Metric::dot;
}

}  // namespace gpurec::bindings
