// The canonical sums in plain C++.
#include "rescore.hpp"

#include "gpurec/canonical.hpp"

namespace gpurec::cpu {

double dot64_serial(const float* q, const float* x, std::int64_t d) { return dot64(q, x, d); }

double neg_squared_distance64_serial(const float* q, const float* x, std::int64_t d) {
  return neg_squared_distance64(q, x, d);
}

}  // namespace gpurec::cpu
