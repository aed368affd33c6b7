// The sample that a search takes of its items: every so-many-th tile, scanned beforehand. The rank-th best of it tells
// where the threshold will lie, so that the scan proper lets through few that are of no use.
#pragma once
#include <cmath>
#include <cstdint>

namespace gpurec::cpu {

struct Sample {
  std::int64_t every = 0;       // 0: none
  std::int64_t rank = 0;
  std::int64_t n_expected = 0;  // items that reach the threshold
};

// The cheapest sample for the best k of n items, in offers: a search without one makes about k (1 + ln(n / k)). To
// scan an item costs `scan_cost` of an offer. The share of the answer that lies in the sample spreads like a Poisson
// number; 3.5 standard deviations and two above its mean hardly ever are too few, which would cost another scan.
inline Sample cheapest_sample(double n, double k, double scan_cost) {
  constexpr double kFewest = 32;  // places: for fewer no sample pays
  Sample best;
  if (k < kFewest || k >= n) return best;
  double least = 0.75 * k * (1.0 + std::log(n / k));  // a little gained is not worth it
  for (double every = 2; every < n; every *= 2) {
    const double m = n / every;
    const double rank = std::ceil(k / every + 3.5 * std::sqrt(k / every)) + 2;
    if (rank >= m) break;
    const double cost = rank * (1.0 + std::log(m / rank)) + rank * every + m * scan_cost;
    if (cost >= least) continue;
    least = cost;
    best = {std::int64_t(every), std::int64_t(rank), std::int64_t(rank * every)};
  }
  return best;
}

}  // namespace gpurec::cpu
