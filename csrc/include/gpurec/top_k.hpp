// Op `top_k`: the best k of each row of given scores; the value is the canonical score.
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

// Answers of a search, both (n_queries, k): missing places are row -1, score -inf.
struct TopKView {
  MatrixView<std::int64_t> rows;
  MatrixView<float> scores;
};

}  // namespace gpurec
