// Op `bpr`: stochastic gradient descent for pairwise ranking (BPR) and sampled softmax over positives of users.
//   shapes    positives CSR (n_users, n_items); factors (rows, d); biases (n_items,)
//   memory    the caller's; factors and biases change in place; 8 bytes a positive and 24 an item of its own
//   launch    rounds of tasks: task b of round r has users of block b and items of block (b + r) % n_blocks alone, so
//             none reads what another writes, and the number of threads does not show
//   random    counters: a positive's draws depend on (seed, epoch, key of the user, item), blocks on (seed, epoch, item)
//   bytes     (8 d + 16) (2 + n_negatives) a visit, of rows that lie in the second cache where blocks are chosen so
//   bits      float32, one fixed sequence of operations (cpu/bpr/visits.hpp), the same on every ISA
//   source    Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009, "BPR: Bayesian personalized ranking from implicit
//             feedback", figure 4; Gemulla, Nijkamp, Haas and Sismanis 2011, "Large-scale matrix factorization with
//             distributed stochastic gradient descent", section 4 (blocks that share nothing)
#pragma once
#include <cstdint>
#include <functional>

#include "gpurec/views.hpp"

namespace gpurec {

enum class RankingLoss { bpr, softmax };

struct PositivesView {
  std::int64_t n_users = 0;
  std::int64_t n_items = 0;
  const std::int64_t* indptr = nullptr;
  const std::int32_t* items = nullptr;       // ascending and distinct for each user
  const std::uint8_t* visited = nullptr;     // of each positive; null visits all
  const std::int64_t* keys = nullptr;        // of each user, in place of its row; or null
};

struct RankingFactors {
  MatrixView<float> users;
  MatrixView<float> items;
  float* biases = nullptr;
};

struct NegativeDraws {
  std::int64_t n = 1;             // negatives of a visit
  std::int64_t n_candidates = 1;  // draws for each of them, of which the highest score is taken
  const std::uint32_t* weights = nullptr;  // of each item, by which it is drawn; null draws all alike
  const std::int32_t* among = nullptr;     // rows of the only items that are drawn, rising; items do not move then
  std::int64_t n_among = 0;
};

struct RankingAim {
  RankingLoss loss = RankingLoss::bpr;
  float sharpness = 1;  // margins are taken so many times
  bool unit = false;    // after a visit, rows that moved are divided by their lengths
};

struct RankingRates {
  float rate = 0;
  float penalty = 0;
  float bias_rate = 0;
  float bias_penalty = 0;
  bool move_users = true;
  bool move_positives = true;  // factors and biases
  bool move_negatives = true;
};

struct RankingTotals {
  double loss = 0;  // of all visits, each before its own update
  std::int64_t n_visits = 0;
  std::int64_t n_pairs_right = 0;  // negatives that scored less than their positive
  std::int64_t n_skipped = 0;  // positives whose users have every item of the block that may be drawn
};

namespace cpu {

struct Kernels;

// Epochs one after another. There are n_blocks of users and as many of items; where items do not move, one of items.
// `between_rounds` may throw, and leaves the factors where they are.
RankingTotals bpr_epochs(const PositivesView& positives, const RankingFactors& factors, const RankingAim& aim,
                         const NegativeDraws& draws, const RankingRates& rates, std::uint64_t seed,
                         std::uint64_t first_epoch, std::int64_t n_epochs, std::int64_t n_blocks,
                         const Kernels& kernels, int n_threads, const std::function<void()>& between_rounds);

}  // namespace cpu
}  // namespace gpurec
