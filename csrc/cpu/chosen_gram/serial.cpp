// Kernel `chosen_gram`, plain C++: the form that the others are checked against and that any processor runs.
#include "chosen_gram.hpp"

#include <algorithm>

namespace gpurec::cpu {

void chosen_gram_f64_serial(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
                            std::int64_t stride, std::int64_t width, double* gram, double* sums) {
  std::fill_n(gram, width * stride, 0.0);
  std::fill_n(sums, stride, 0.0);
  for (std::int64_t t = 0; t < n; ++t) {
    const double* const row = x + rows[t] * stride;
    for (std::int64_t f = 0; f < width; ++f) {
      double* const out = gram + f * stride;
      for (std::int64_t g = 0; g <= f; ++g) out[g] += row[f] * row[g];
    }
    for (std::int64_t g = 0; g < width; ++g) sums[g] += weights[t] * row[g];
  }
}

}  // namespace gpurec::cpu
