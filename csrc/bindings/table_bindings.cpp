// Registers tables of items: made, changed, and told apart into arrays, in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "../cpu/dispatch.hpp"
#include "../cpu/table/item_table.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {
namespace {

using Table = std::shared_ptr<const cpu::ItemTable>;
using Rows32 = Array<std::uint32_t>;

// By the names of what may be left out; "steep" is "directions" where they should pay.
cpu::Pruning pruning_of(const std::vector<std::string>& names) {
  using Directions = cpu::Pruning::Directions;
  const auto has = [&](const char* name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  const Directions otherwise = has("steep") ? Directions::where_steep : Directions::never;
  return {has("head"), has("norms"), has("directions") ? Directions::always : otherwise};
}

Table empty_table(std::int64_t d, const std::string& metric, bool with_codes, const std::vector<std::string>& pruning) {
  require(d >= 1, "d >= 1");
  return std::make_shared<cpu::ItemTable>(d, scanned_metric(metric), with_codes, pruning_of(pruning));
}

const std::uint32_t* public_rows(const Rows32& rows, std::int64_t n, std::int64_t n_rows) {
  require(rows.ndim() == 1 && rows.size() == n, "one public row an item");
  for (std::int64_t i = 0; i < n; ++i) require(rows.data()[i] < n_rows, "public rows below n_rows");
  return rows.data();
}

Table with_items(const Table& table, const Array<float>& items, const Rows32& rows, std::int64_t n_rows,
                 const std::string& isa, int n_threads) {
  const MatrixView<const float> view = matrix(items, "items of shape (n, d)");
  require(view.cols == table->d(), "items as wide as the table");
  require(n_rows >= table->n_rows() && n_rows <= kMaxRows, "at most 2^32 - 2 rows, and none taken back");
  const std::uint32_t* const of_items = public_rows(rows, view.rows, n_rows);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->with_items(view, of_items, n_rows, kernels, n_threads); });
}

Table without(const Table& table, const Rows32& rows) {
  const std::uint32_t* const removed = public_rows(rows, rows.size(), table->n_rows());
  return compute([&] { return table->without(removed, rows.size()); });
}

Table restricted_to(const Table& table, const Rows32& rows, const std::string& isa, int n_threads) {
  const std::uint32_t* const kept = public_rows(rows, rows.size(), table->n_rows());
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->restricted_to(kept, rows.size(), kernels, n_threads); });
}

Table with_directions(const Table& table, const Array<float>& directions, const std::string& isa, int n_threads) {
  const MatrixView<const float> view = matrix(directions, "directions of shape (m, d)");
  require(view.cols == table->d() && view.rows <= cpu::kMostDirections, "at most 31 directions as wide as the items");
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->with_directions(view, kernels, n_threads); });
}

Table compacted(const Table& table, const std::string& isa, int n_threads) {
  const cpu::Kernels& kernels = cpu::kernels(isa);
  return compute([&] { return table->compacted(kernels, n_threads); });
}

// Items of public rows, and which of the rows have one.
py::tuple items_of(const Table& table, const Rows32& rows) {
  const std::uint32_t* const wanted = public_rows(rows, rows.size(), table->n_rows());
  Array<float> items({std::int64_t(rows.size()), table->d()});
  py::array_t<bool> found(rows.size());
  const MatrixView<float> out = mutable_matrix(items, rows.size(), table->d(), "items");
  bool* const has = found.mutable_data();
  compute([&] {
    for (std::int64_t i = 0; i < out.rows; ++i) {
      const std::uint32_t position = table->position_of(wanted[i]);
      has[i] = position != cpu::kNowhere;
      if (has[i]) {
        table->copy_item(position, out.row(i));
      } else {
        std::fill_n(out.row(i), out.cols, 0.0f);
      }
    }
  });
  return py::make_tuple(items, found);
}

// The arrays of a table that is in one segment, as views that keep the table alive.
py::dict arrays_of(const Table& table) {
  require(table->parts().size() == 1 && table->parts()[0].dead == nullptr, "a compacted table with items");
  const cpu::ItemSegment& segment = *table->parts()[0].segment;
  const std::int64_t padded = cpu::ItemSegment::padded(segment.n);
  const py::object owner = py::cast(std::const_pointer_cast<cpu::ItemTable>(table));
  py::dict arrays;
  if (segment.by_rows()) {
    arrays["items"] = py::array_t<float>({segment.n, segment.d}, segment.items, owner);
  } else {
    arrays["panels"] = py::array_t<float>({padded / kPanelItems, segment.d, std::int64_t(kPanelItems)}, segment.items, owner);
  }
  arrays["norms"] = py::array_t<float>(segment.n, segment.norms, owner);
  arrays["row_of"] = py::array_t<std::uint32_t>(segment.n, segment.row_of, owner);
  if (segment.by_rows()) {
    const std::int64_t n_tiles = padded / kTileItems;
    arrays["codes"] = py::array_t<std::uint8_t>({n_tiles, segment.n_groups(), std::int64_t(kTileItems * kGroup)},
                                                segment.codes, owner);
    arrays["scales"] = py::array_t<float>(n_tiles, segment.scales, owner);
    arrays["errors"] = py::array_t<float>(n_tiles, segment.errors, owner);
    arrays["codes4"] = py::array_t<std::uint8_t>({n_tiles, segment.tile_bytes4()}, segment.codes4, owner);
    arrays["scales4"] = py::array_t<float>(n_tiles, segment.scales4, owner);
    arrays["errors4"] = py::array_t<float>(n_tiles, segment.errors4, owner);
  }
  if (segment.leading != nullptr) {
    const cpu::LeadingPlane& plane = *segment.leading;
    const std::int64_t n_tiles = segment.n_tiles();
    arrays["directions"] = py::array_t<float>({plane.m, plane.d}, plane.directions, owner);
    arrays["leading_codes"] = py::array_t<std::uint8_t>({n_tiles, plane.tile_bytes()}, plane.codes, owner);
    arrays["leading_scales"] = py::array_t<float>(n_tiles, plane.scales, owner);
    arrays["leading_errors"] = py::array_t<float>(n_tiles, plane.errors, owner);
    arrays["leading_norms"] = py::array_t<float>(n_tiles, plane.norms, owner);
  }
  return arrays;
}

// Codes with the scales and errors of their tiles, first of a byte, then of half a byte.
using Codes = std::tuple<Array<std::uint8_t>, Array<float>, Array<float>>;

void require_codes(const Codes& parts, std::int64_t n_tiles, std::int64_t tile_bytes) {
  const auto& [codes, scales, errors] = parts;
  require(codes.ndim() >= 2 && codes.shape(0) == n_tiles && codes.size() == n_tiles * tile_bytes && scales.size() == n_tiles && errors.size() == n_tiles,
          "codes, scales and errors of as many tiles as items need");
}

// Directions, and the codes in them with the scales, errors and norms of their tiles.
using Leading = std::tuple<Array<float>, Array<std::uint8_t>, Array<float>, Array<float>, Array<float>>;

std::shared_ptr<const cpu::LeadingPlane> leading_of(const Leading& parts, const cpu::ItemSegment& segment) {
  const auto& [directions, codes, scales, errors, norms] = parts;
  auto plane = std::make_shared<cpu::LeadingPlane>();
  require(directions.ndim() == 2 && directions.shape(1) == segment.d && directions.shape(0) >= 1 &&
              directions.shape(0) <= cpu::kMostDirections,
          "1 to 31 directions as wide as the items");
  plane->d = segment.d;
  plane->m = directions.shape(0);
  const std::int64_t n_tiles = segment.n_tiles();
  require(codes.ndim() == 2 && codes.shape(0) == n_tiles && codes.shape(1) == plane->tile_bytes() &&
              scales.size() == n_tiles && errors.size() == n_tiles && norms.size() == n_tiles,
          "codes, scales, errors and norms of as many tiles as items need");
  plane->directions = directions.data();
  plane->codes = codes.data();
  plane->scales = scales.data();
  plane->errors = errors.data();
  plane->norms = norms.data();
  return plane;
}

// A table over arrays as arrays_of gives them, from a mapped file for example; they are kept, not copied. `items` are
// panels, or rows where there are codes.
Table table_of_arrays(const std::string& metric, std::int64_t n_rows, const Array<float>& items,
                      const Array<float>& norms, const Rows32& row_of,
                      const std::optional<std::pair<Codes, Codes>>& both_codes, const std::vector<std::string>& pruning,
                      const std::optional<Leading>& leading) {
  require(norms.ndim() == 1 && row_of.ndim() == 1 && norms.size() == row_of.size(), "a norm and a row an item");
  require(n_rows >= norms.size() && n_rows <= kMaxRows, "at least as many rows as items");
  const std::int64_t padded = cpu::ItemSegment::padded(norms.size());
  const cpu::Pruning chosen = pruning_of(pruning);
  cpu::ItemSegment segment;
  segment.n = norms.size();
  segment.metric = scanned_metric(metric);
  segment.items = items.data();
  segment.norms = norms.data();
  segment.row_of = row_of.data();
  if (both_codes) {
    const auto& [int8, int4] = *both_codes;
    require(items.ndim() == 2 && items.shape(0) == segment.n && items.shape(1) >= 1, "a row an item");
    segment.d = items.shape(1);
    require_codes(int8, segment.n_tiles(), segment.tile_bytes());
    require_codes(int4, segment.n_tiles(), segment.tile_bytes4());
    segment.codes = std::get<0>(int8).data();
    segment.scales = std::get<1>(int8).data();
    segment.errors = std::get<2>(int8).data();
    segment.codes4 = std::get<0>(int4).data();
    segment.scales4 = std::get<1>(int4).data();
    segment.errors4 = std::get<2>(int4).data();
    if (leading) segment.leading = leading_of(*leading, segment);
  } else {
    require(items.ndim() == 3 && items.shape(2) == kPanelItems && items.shape(1) >= 1, "panels of shape (n_panels, d, 16)");
    require(items.shape(0) * kPanelItems == padded, "as many panels as items need");
    segment.d = items.shape(1);
  }
  // The last search that uses the arrays may end on a thread without the GIL.
  auto* const kept = new py::tuple(py::make_tuple(items, norms, row_of, both_codes, leading));
  segment.owner = std::shared_ptr<const void>(kept, [](const void* p) {
    const py::gil_scoped_acquire gil;
    delete static_cast<const py::tuple*>(p);
  });
  return compute([&] { return cpu::ItemTable::of_segment(cpu::view_segment(std::move(segment), n_rows), n_rows, chosen); });
}

}  // namespace

void register_table(py::module_& m) {
  py::class_<cpu::ItemTable, std::shared_ptr<cpu::ItemTable>>(m, "ItemTable")
      .def_property_readonly("d", &cpu::ItemTable::d)
      .def_property_readonly("n_rows", &cpu::ItemTable::n_rows)
      .def_property_readonly("n_active", &cpu::ItemTable::n_active)
      .def_property_readonly("with_codes", &cpu::ItemTable::with_codes)
      .def_property_readonly("n_bytes", &cpu::ItemTable::n_bytes)
      .def_property_readonly("n_directions", [](const cpu::ItemTable& table) {
        return table.leading() == nullptr ? std::int64_t(0) : table.leading()->m;
      })
      .def("with_items", &with_items)
      .def("without", &without)
      .def("restricted_to", &restricted_to)
      .def("compacted", &compacted)
      .def("with_directions", &with_directions)
      .def("items_of", &items_of)
      .def("arrays", &arrays_of);
  m.def("empty_table", &empty_table);
  m.def("table_of_arrays", &table_of_arrays);
}

}  // namespace gpurec::bindings
