// Op `score_top_k` on the CPU; the contract is gpurec/score_top_k.hpp.
#pragma once
#include <vector>

#include "dispatch.hpp"
#include "gpurec/score_top_k.hpp"
#include "candidates/sort_keys.hpp"
#include "table/item_table.hpp"

namespace gpurec::cpu {

// `queries` are prepared rows of table.d() finite components; `out` holds (queries.rows, k), k >= 1.
// A table without codes is not scanned in int8, and none in bf16 by an ISA without that arithmetic: then in float32.
// `report` may be null.
void score_top_k(const ItemTable& table, MatrixView<const float> queries, std::int64_t k, const FiltersView& filters,
                 Precision precision, TopKView out, SearchReport* report, const Kernels& kernels, int n_threads);

// Every item that scores at least `threshold`, at most `k` of them a query: keys of order.hpp, best first.
// Throws std::length_error where there are more than `most` in all.
std::vector<Keys> score_above(const ItemTable& table, MatrixView<const float> queries, float threshold, std::int64_t k,
                              std::int64_t most, const FiltersView& filters, Precision precision,
                              const Kernels& kernels, int n_threads);

// The same as score_top_k over rows as they lie: cheaper than a table for less than a thousand queries. These rows are
// raw and need not be finite: false, and no answer, where one is not. The queries are prepared.
bool score_top_k_of_rows(MatrixView<const float> rows, Metric metric, MatrixView<const float> queries, std::int64_t k,
                         const FiltersView& filters, TopKView out, const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
