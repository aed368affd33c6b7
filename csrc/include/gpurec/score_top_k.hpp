// Op `score_top_k`: the exact best k items of each query, by a certified scan in one arithmetic or another.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/top_k.hpp"
#include "gpurec/views.hpp"

namespace gpurec {

// An item may be returned where every part that is present permits it.
struct FiltersView {
  const std::uint8_t* mask = nullptr;   // (n_items), 0 = never returned
  const RowSetsView* allow = nullptr;   // only the rows of the query's set
  std::vector<RowSetsView> deny;        // none of the rows of the query's sets
  const RowSetsView* hint = nullptr;    // rows to score first; never changes an answer
};

enum class Precision { fp32, int8 };

// Counts of the work done, summed over queries.
struct SearchStats {
  std::int64_t scanned = 0;              // items whose scan value was compared with a threshold
  std::int64_t panels_skipped = 0;       // (query, panel) pairs that norms ruled out
  std::int64_t candidates = 0;           // items that entered a list, so that scanned - candidates were pruned
  std::int64_t compressions = 0;         // times a buffer was thinned
  std::int64_t ties_at_threshold = 0;    // items left out that score the same as the k-th answer
  std::int64_t canonical_fallbacks = 0;  // (query, panel) pairs scored canonically
  std::int64_t supposed = 0;             // searches that a sample gave a threshold
  std::int64_t rescans = 0;              // of these, those whose threshold proved too high
  std::int64_t rescored = 0;             // canonical scores computed for candidates

  void add(const SearchStats& other) {
    scanned += other.scanned;
    panels_skipped += other.panels_skipped;
    candidates += other.candidates;
    compressions += other.compressions;
    ties_at_threshold += other.ties_at_threshold;
    canonical_fallbacks += other.canonical_fallbacks;
    supposed += other.supposed;
    rescans += other.rescans;
    rescored += other.rescored;
  }
};

}  // namespace gpurec
