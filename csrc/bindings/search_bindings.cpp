// Registers the searches of op `score_top_k` and of `search_above` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../cpu/dispatch.hpp"
#include "../cpu/search/score_top_k.hpp"
#include "../cpu/table/item_table.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "filter_arrays.hpp"
#include "gpurec/order.hpp"

namespace gpurec::bindings {
namespace {

using Table = std::shared_ptr<const cpu::ItemTable>;

constexpr std::pair<const char*, Precision> kPrecisions[] = {
    {"fp32", Precision::fp32}, {"int8", Precision::int8}, {"bf16", Precision::bf16}, {"int4", Precision::int4},
    {"leading", Precision::leading}};

const char* name_of(Precision precision) { return kPrecisions[std::size_t(precision)].first; }

Precision precision_of(const std::string& name) {
  for (const auto& known : kPrecisions) {
    if (name == known.first) return known.second;
  }
  throw std::invalid_argument("[cpu] unknown precision '" + name + "'");
}

// What a search did, in arrays of one entry a query; seconds and what was chosen are of the whole search.
py::dict report_of(const SearchReport& report) {
  const auto column = [&](auto value) {
    Array<decltype(value(report.queries[0]))> out(py::ssize_t(report.queries.size()));
    std::transform(report.queries.begin(), report.queries.end(), out.mutable_data(), value);
    return out;
  };
  const std::pair<const char*, std::int64_t SearchStats::*> names[] = {
      {"tiles_scanned", &SearchStats::tiles_scanned},
      {"tiles_skipped", &SearchStats::tiles_skipped},
      {"leading_tiles", &SearchStats::leading_tiles},
      {"items_scanned", &SearchStats::items_scanned},
      {"candidates", &SearchStats::candidates},
      {"compressions", &SearchStats::compressions},
      {"ties_at_threshold", &SearchStats::ties_at_threshold},
      {"canonical_fallbacks", &SearchStats::canonical_fallbacks},
      {"supposed", &SearchStats::supposed},
      {"rescans", &SearchStats::rescans},
      {"scored_at_once", &SearchStats::scored_at_once},
      {"rescored", &SearchStats::rescored},
  };
  py::dict counts;
  for (const auto& name : names) {
    counts[name.first] = column([&](const SearchReport::Query& q) { return q.stats.*name.second; });
  }
  const char* const phases[kPhases] = {"start", "sample", "scan", "thin", "rescore", "rescan", "order"};
  py::dict seconds;
  for (std::size_t i = 0; i < kPhases; ++i) seconds[phases[i]] = report.seconds[i];
  const char* const splits[] = {"queries", "blocks", "lists"};
  py::dict out;
  out["counts"] = counts;
  out["thresholds"] = column([](const SearchReport::Query& q) { return q.tau; });
  std::vector<const char*> precisions;
  for (const SearchReport::Query& q : report.queries) precisions.push_back(name_of(q.precision));
  out["precisions"] = precisions;
  out["thread_seconds"] = seconds;
  out["split"] = splits[std::size_t(report.split)];
  out["sample_every"] = report.sample_every;
  return out;
}

// The arrays of an answer, filled by `searched(out)`, which says whether it could.
struct Answer {
  template <class Searched>
  Answer(std::int64_t n_queries, std::int64_t k, Searched searched) : rows({n_queries, k}), scores({n_queries, k}) {
    const TopKView out{mutable_matrix(rows, n_queries, k, "rows"), mutable_matrix(scores, n_queries, k, "scores")};
    is_found = compute([&] { return searched(out); });
  }

  Array<std::int64_t> rows;
  Array<float> scores;
  bool is_found;
};

py::tuple search(const Table& table, const Array<float>& queries, std::int64_t k,
                 const std::optional<Array<std::uint8_t>>& mask, const std::optional<py::tuple>& allow,
                 const std::vector<py::tuple>& deny, const std::optional<py::tuple>& hint,
                 const std::string& precision, bool with_report, const std::string& isa, int n_threads) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == table->d(), "queries as wide as the items");
  require(k >= 1, "k >= 1");
  const FilterArrays filters(mask, allow, deny, hint, q.rows, table->n_rows());
  const Precision arithmetic = precision_of(precision);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  SearchReport report;
  const Answer answer(q.rows, k, [&](TopKView out) {
    cpu::score_top_k(*table, q, k, filters.view, arithmetic, out, with_report ? &report : nullptr, kernels, n_threads);
    return true;
  });
  return py::make_tuple(answer.rows, answer.scores, with_report ? py::object(report_of(report)) : py::none());
}

// (indptr, rows, scores) of every item that scores at least `threshold`.
py::tuple search_above(const Table& table, const Array<float>& queries, float threshold, std::int64_t k,
                       std::int64_t most, const std::optional<Array<std::uint8_t>>& mask,
                       const std::optional<py::tuple>& allow, const std::vector<py::tuple>& deny,
                       const std::string& precision, const std::string& isa, int n_threads) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == table->d(), "queries as wide as the items");
  require(k >= 1, "k >= 1");
  const FilterArrays filters(mask, allow, deny, std::nullopt, q.rows, table->n_rows());
  const Precision arithmetic = precision_of(precision);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const auto keys = compute(
      [&] { return cpu::score_above(*table, q, threshold, k, most, filters.view, arithmetic, kernels, n_threads); });
  Array<std::int64_t> indptr(q.rows + 1);
  std::int64_t* const ends = indptr.mutable_data();
  ends[0] = 0;
  for (std::int64_t i = 0; i < q.rows; ++i) ends[i + 1] = ends[i] + std::int64_t(keys[std::size_t(i)].size());
  Array<std::int64_t> rows(ends[q.rows]);
  Array<float> scores(ends[q.rows]);
  for (std::int64_t i = 0; i < q.rows; ++i) {
    const auto& found = keys[std::size_t(i)];
    std::transform(found.begin(), found.end(), rows.mutable_data() + ends[i], row_of_key);
    std::transform(found.begin(), found.end(), scores.mutable_data() + ends[i], score_of_key);
  }
  return py::make_tuple(indptr, rows, scores);
}

// As search, over items that need not be finite: False, and nothing in the arrays, where they are not.
py::tuple search_rows(const Array<float>& items, const std::string& metric, const Array<float>& queries,
                      std::int64_t k, const std::optional<Array<std::uint8_t>>& mask,
                      const std::optional<py::tuple>& allow, const std::vector<py::tuple>& deny,
                      const std::string& isa, int n_threads) {
  const MatrixView<const float> x = matrix(items, "items of shape (n_items, d)");
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(q.cols == x.cols, "queries as wide as the items");
  require(x.rows <= kMaxRows, "at most 2^32 - 2 items");
  require(k >= 1, "k >= 1");
  const FilterArrays filters(mask, allow, deny, std::nullopt, q.rows, x.rows);
  const Metric m = metric_of(metric);
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const Answer answer(q.rows, k, [&](TopKView out) {
    return cpu::score_top_k_of_rows(x, m, q, k, filters.view, out, kernels, n_threads);
  });
  return py::make_tuple(answer.rows, answer.scores, answer.is_found);
}

}  // namespace

void register_search(py::module_& m) {
  m.def("search", &search);
  m.def("search_rows", &search_rows);
  m.def("search_above", &search_above);
}

}  // namespace gpurec::bindings
