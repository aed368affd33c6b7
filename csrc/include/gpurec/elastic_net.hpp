// Op `elastic_net`: columns of a sparse matrix said by some of its others with weights that are not negative.
//   shapes    columns (n_columns, n_rows), the matrix by columns; targets n of them; candidates of target i are the
//             stored columns of row i; weights, in their places, a float each; n_sweeps n
//   minimises |x_t - sum_j w_j x_j|^2 / 2 + l1 sum_j w_j + l2 |w|^2 / 2 over w_j >= 0, by coordinate descent
//   launch    targets in parallel, each on one thread
//   bytes     20 for an entry of a candidate that is visited, of them 8 of the residual, which lies in the cache
//   memory    8 bytes a row and 16 a candidate for each thread; weights and n_sweeps are the caller's
//   needs     ascending indptrs from 0, columns inside, finite values, l1, l2 and tolerance >= 0
//   bits      float64; lane l of a product adds entries l, l + 4, ... from +0.0, then halves are added (2, 1); weights
//             are rounded once to float32: independent of threads and ISA
//   source    Ning and Karypis 2011, "SLIM: sparse linear methods for top-n recommender systems"; Friedman, Hastie and
//             Tibshirani 2010, "Regularization paths for generalized linear models via coordinate descent", section 2
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

struct ElasticNetRates {
  double l1 = 0;
  double l2 = 0;
  double tolerance = 0;  // a sweep that moves no weight by more is the last of its kind
  std::int64_t most_sweeps = 1;
};

namespace cpu {

void elastic_net(const SparseRowsView& columns, const std::int64_t* targets, const SparseRowsView& candidates,
                 const ElasticNetRates& rates, float* weights, std::int32_t* n_sweeps, int n_threads);

}  // namespace cpu
}  // namespace gpurec
