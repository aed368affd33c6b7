// Kernel of op `bpr`: a run of visits whose negatives have been drawn; the op's contract is gpurec/bpr.hpp.
#pragma once
#include <cstdint>

#include "gpurec/bpr.hpp"

namespace gpurec::cpu {

// Visits, made one after another. Items are named by their places in the order of blocks.
struct RankingVisits {
  std::int64_t n = 0;
  const std::int32_t* users = nullptr;      // (n,) rows
  const std::int32_t* positives = nullptr;  // (n,) places
  const std::int32_t* negatives = nullptr;  // (n, n_negatives * n_candidates) places
  const std::int32_t* item_of = nullptr;    // the row of each place
  float* biases = nullptr;                  // of each place
};

// What holds for all visits of an epoch.
struct RankingSteps {
  RankingAim aim;
  std::int64_t n_negatives = 1;
  std::int64_t n_candidates = 1;
  RankingRates rates;
};

// Sums over visits: of losses, sum of shifts + the logarithm of a product, so that one logarithm serves many visits.
struct RankingSums {
  double shift = 0;
  double logs = 0;
  double product = 1;
  std::int64_t n_pairs_right = 0;
};

// `scratch` holds 4 * n_negatives + n_candidates floats.
using RankingVisit = void (*)(const RankingVisits& visits, const RankingFactors& factors, const RankingSteps& steps,
                              float* scratch, RankingSums& sums);

// Drawn places of a run of n_left < 2^31 that begins at `first`: numbers 1, 2, ... n of a stream, as blocks.hpp has them.
using PlaceDraws = void (*)(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n,
                            std::int32_t* places);

// Takes a factor into the product; where it gets large its logarithm goes into the sum.
void settle_product(RankingSums& sums);

#define GPUREC_DECLARE_BPR(isa)                                                                       \
  void bpr_visits_f32_##isa(const RankingVisits& visits, const RankingFactors& factors,              \
                            const RankingSteps& steps, float* scratch, RankingSums& sums);           \
  void bpr_draws_##isa(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n, \
                       std::int32_t* places)
GPUREC_DECLARE_BPR(serial);
GPUREC_DECLARE_BPR(avx2);
GPUREC_DECLARE_BPR(avx512);
#undef GPUREC_DECLARE_BPR

}  // namespace gpurec::cpu
