// Op `gibbs`: draws one side's vectors of a Bayesian factorisation anew, given the other side's.
//   model     rating of row r with another o = v_r[0] + z_o[0] + sum over f > 0 of v_r[f] z_o[f] + noise of precision
//             precisions[r] * other_precisions[o], v_r being the row's own part and the weighted parts of its owner's features
//   shapes    ratings (rows, others) by rows; others (others, width); precisions and errors (rows,); own, vectors and means (rows, width);
//             an owner of each row, or each row its own; features by column (features, owners), weights of them
//             (features, width); a prior's mean and precision (groups, width), group 0 of own
//   launch    rows in parallel, each on one thread; features one after another on the caller's
//   bytes     a rating is read once with its other's vector; sums of its row take 8 width (width + 1) / 2
//   memory    of a thread's row alone without features; with them 8 (width (width + 1) / 2 + 2 width) for every row, and
//             as much with 2 width more for every owner
//   needs     ascending indptrs from 0, columns inside, finite values, precisions > 0
//   bits      float64; every operation and its order stand in cpu/gibbs/: independent of threads and ISA
//   source    Salakhutdinov and Mnih 2008, "Bayesian probabilistic matrix factorization using Markov chain Monte
//             Carlo"; Rendle 2012, "Factorization machines with libFM", section 3.3; Koren 2008, "Factorization meets
//             the neighborhood", section 4, for features that are items
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

struct GibbsSide {
  MatrixView<double> own, vectors, means;
  const double* precisions = nullptr;
  const std::int32_t* owners = nullptr;  // of each row; null where each is its own
  SparseRowsView features;               // row j: the owners that have feature j, with values
  MatrixView<double> weights;
  const std::int32_t* groups = nullptr;  // of each feature, 1 or more
  MatrixView<const double> prior_means, prior_precisions;
};

struct GibbsDraw {
  std::uint64_t seed = 0;
  std::uint32_t sweep = 0;
  std::uint32_t number = 0;  // of the side, 0 or 1: the two draw other numbers
  bool random = true;        // false: conditional means in place of draws, a half sweep of alternating least squares
};

namespace cpu {

struct Kernels;

// Writes the sum of each row's squared errors after the draw, each times the other's precision.
void gibbs_half_sweep(const SparseRowsView& ratings, const MatrixView<const double>& others,
                      const double* other_precisions, const GibbsSide& side, const GibbsDraw& draw, double* errors,
                      const Kernels& kernels, int n_threads);

}  // namespace cpu
}  // namespace gpurec
