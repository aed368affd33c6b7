// The canonical sums in plain C++.
#include "rescore.hpp"

#include "gpurec/canonical.hpp"
#include "gpurec/scan.hpp"

namespace gpurec::cpu {

double dot64_serial(const float* q, const float* x, std::int64_t d) {
  if (GPUREC_PLANTED(rescore_drops_tail)) return dot64(q, x, d > kLanes ? d / kLanes * kLanes : d);
  return dot64(q, x, d);
}

double neg_squared_distance64_serial(const float* q, const float* x, std::int64_t d) {
  if (GPUREC_PLANTED(euclidean_expanded)) return 2 * dot64(q, x, d) - dot64(q, q, d) - dot64(x, x, d);
  return neg_squared_distance64(q, x, d);
}

void unpack_panel_serial(const float* panel, std::int64_t d, float* items) {
  for (std::int64_t i = 0; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) items[lane * d + i] = panel[i * kPanelItems + lane];
  }
}

}  // namespace gpurec::cpu
