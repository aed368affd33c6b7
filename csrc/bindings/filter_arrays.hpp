// Filters as views of the arrays that Python gives.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "arrays.hpp"
#include "gpurec/score_top_k.hpp"

namespace gpurec::bindings {

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

}  // namespace gpurec::bindings
