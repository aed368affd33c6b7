// Op `score_top_k`: the exact best k items of each query, by a certified scan in one arithmetic or another.
#pragma once
#include <array>
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

enum class Precision { fp32, int8, bf16, int4, leading };  // leading: int8 codes in a few directions first

// Counts of the work done for one query.
struct SearchStats {
  std::int64_t tiles_scanned = 0;        // of kTileItems items, those of a sample too
  std::int64_t tiles_skipped = 0;        // that norms ruled out, in whole blocks
  std::int64_t leading_tiles = 0;        // of those scanned, in leading directions alone
  std::int64_t items_scanned = 0;        // items whose scan value was compared with a threshold
  std::int64_t candidates = 0;           // items that entered a list
  std::int64_t compressions = 0;         // times a buffer was thinned
  std::int64_t ties_at_threshold = 0;    // items left out that score the same as the k-th answer
  std::int64_t canonical_fallbacks = 0;  // tiles scored canonically
  std::int64_t supposed = 0;             // scans that a sample gave a threshold
  std::int64_t rescans = 0;              // scans whose threshold proved too high
  std::int64_t scored_at_once = 0;       // items scored while their tile was scanned: all that came near in 4-bit
                                         // codes or directions, in int8 those of tiles that many queries want
                                         // and, of followed queries, those that reach the threshold
  std::int64_t rescored = 0;             // canonical scores computed for candidates

  void add(const SearchStats& other) {
    tiles_scanned += other.tiles_scanned;
    tiles_skipped += other.tiles_skipped;
    leading_tiles += other.leading_tiles;
    items_scanned += other.items_scanned;
    candidates += other.candidates;
    compressions += other.compressions;
    ties_at_threshold += other.ties_at_threshold;
    canonical_fallbacks += other.canonical_fallbacks;
    supposed += other.supposed;
    rescans += other.rescans;
    scored_at_once += other.scored_at_once;
    rescored += other.rescored;
  }
};

// What a thread is busy with; the scan contains the thinning of full lists, a search by lists is one rescore.
enum class Phase { start, sample, scan, thin, rescore, rescan, order };
constexpr int kPhases = 7;

// What a search did, for the caller who asks.
struct SearchReport {
  enum class Split { queries, blocks, lists };
  struct Query {
    SearchStats stats;
    float tau;  // what the scan ended with
    Precision precision;
  };

  std::vector<Query> queries;
  std::array<double, kPhases> seconds{};  // of all threads together
  Split split = Split::queries;           // what was shared out between the threads
  std::int64_t sample_every = 0;          // tiles for each one of the sample, 0 without a sample
};

}  // namespace gpurec
