// The canonical sums in plain C++.
#include "rescore.hpp"

#include "gpurec/canonical.hpp"

namespace gpurec::cpu {

double dot64_serial(const float* q, const float* x, std::int64_t d) {
  if (GPUREC_PLANTED(rescore_drops_tail)) return dot64(q, x, d > kLanes ? d / kLanes * kLanes : d);
  return dot64(q, x, d);
}

double neg_squared_distance64_serial(const float* q, const float* x, std::int64_t d) {
  if (GPUREC_PLANTED(euclidean_expanded)) return 2 * dot64(q, x, d) - dot64(q, q, d) - dot64(x, x, d);
  return neg_squared_distance64(q, x, d);
}

}  // namespace gpurec::cpu
