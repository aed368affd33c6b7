// The search over rows as they lie: every row scored canonically, no panels.
#include <algorithm>
#include <vector>

#include "search/candidates.hpp"
#include "search/permits.hpp"
#include "search/score_top_k.hpp"
#include "threads.hpp"

namespace gpurec::cpu {

SearchStats score_top_k_of_rows(MatrixView<const float> rows, Metric metric, MatrixView<const float> queries,
                                std::int64_t k, const FiltersView& filters, TopKView out, const Kernels& kernels,
                                int n_threads) {
  constexpr std::int64_t kRowsPerPart = 1 << 12;
  const CanonicalSum canonical = metric == Metric::euclidean ? kernels.neg_squared_distance64 : kernels.dot64;
  const ItemTable none(rows.cols, metric);
  const std::int64_t n_parts = std::clamp<std::int64_t>(rows.rows / kRowsPerPart, 1, n_threads);
  SearchStats stats;
  for (std::int64_t i = 0; i < queries.rows; ++i) {
    std::vector<Candidates> parts(static_cast<std::size_t>(n_parts),
                                  Candidates(none, rows.rows, canonical, kernels, queries.row(i), k));
    parallel_for(n_threads, n_parts, [&](std::int64_t part) {
      Candidates& candidates = parts[std::size_t(part)];
      for (std::int64_t row = rows.rows * part / n_parts; row < rows.rows * (part + 1) / n_parts; ++row) {
        if (filters.allow != nullptr &&
            !std::binary_search(filters.allow->begin(i), filters.allow->end(i), row)) {
          continue;
        }
        if (permits(filters, i, row)) candidates.offer_exact(row, candidates.score(rows.row(row)));
      }
    });
    for (std::size_t part = 1; part < parts.size(); ++part) parts[0].take_all_of(parts[part]);
    write_answer(parts[0].answer(), k, out, i);
    stats.add(parts[0].stats());
  }
  return stats;
}

}  // namespace gpurec::cpu
