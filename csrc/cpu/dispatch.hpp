// Which instruction set runs: one table row per ISA, best first, every kernel in it.
#pragma once
#include <string>
#include <vector>

#include "bpr/bpr.hpp"
#include "gpurec/chosen_gram.hpp"
#include "gpurec/codes.hpp"
#include "gpurec/multiply.hpp"
#include "gpurec/rescore.hpp"
#include "gpurec/scan.hpp"
#include "gpurec/scan_bf16.hpp"
#include "gpurec/scan_i4.hpp"
#include "gpurec/scan_i8.hpp"
#include "gpurec/select.hpp"
#include "gpurec/views.hpp"
#include "gpurec/weighted_rows.hpp"
#include "sgd/sgd.hpp"

namespace gpurec::cpu {

struct Kernels {
  const char* isa;
  bool (*supported)();
  ScanTile scan_tile;
  MultiplyTile multiply_tile;
  MultiplyTile multiply_in_order;
  DistanceTile distance_tile;
  WeightedRows weighted_rows;
  RankingVisit bpr_visits;
  PlaceDraws bpr_draws;
  SgdEpoch sgd_epoch;
  ChosenGram chosen_gram;
  ScanRows scan_rows;
  CanonicalSum dot64;
  CanonicalSum neg_squared_distance64;
  CanonicalScores dot_scores;
  CanonicalScores neg_squared_distance_scores;
  WidenRows widen_rows;
  AppendScored append_dots;
  AppendScored append_neg_squared_distances;
  UnpackPanel unpack_panel;
  PackPanel pack_panel;
  FindAbove find_above;
  NearKthLargest near_kth_largest;
  KeepAbove keep_above;
  AppendHits append_hits;
  RangeOfKeys range_of_keys;
  FindTie find_tie;
  ScanTileI8 scan_tile_i8;
  bool adds_in_words;  // scan_tile_i8 does
  ScanTileI4 scan_tile_i4;
  StartValuesI8 start_values_i8;
  ScoresOfSums scores_of_sums;
  QuantiseQuery quantise_query;
  QuantiseTile quantise_tile_i8;
  QuantiseTile quantise_tile_i4;
  ScanTileBf16 scan_tile_bf16;  // null where the ISA has no such arithmetic
  RoundTileBf16 round_tile_bf16;

  CanonicalSum canonical_sum(Metric metric) const {
    return metric == Metric::euclidean ? neg_squared_distance64 : dot64;
  }
  CanonicalScores canonical_scores(Metric metric) const {
    return metric == Metric::euclidean ? neg_squared_distance_scores : dot_scores;
  }
  AppendScored append_scored(Metric metric) const {
    return metric == Metric::euclidean ? append_neg_squared_distances : append_dots;
  }
};

// Every ISA that was built, best first; the last one, serial, is always supported.
const std::vector<Kernels>& all_kernels();

// The kernels of a named ISA; an empty name means GPUREC_CPU_ISA, else the best that this processor supports.
// Throws std::invalid_argument for an unknown name, std::runtime_error for one that cannot run here.
const Kernels& kernels(const std::string& isa);

}  // namespace gpurec::cpu
