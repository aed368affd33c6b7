// The canonical sums in plain C++.
#include "rescore.hpp"

#include "gpurec/canonical.hpp"
#include "gpurec/order.hpp"
#include "gpurec/rescore.hpp"
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

void dot_scores_serial(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions,
                       std::uint32_t first, std::int64_t n, float* scores) {
  for (std::int64_t e = 0; e < n; ++e) scores[e] = round32(dot64_serial(q, items + (positions[e] - first) * d, d));
}

void neg_squared_distance_scores_serial(const float* q, const float* items, std::int64_t d,
                                        const std::uint32_t* positions, std::uint32_t first, std::int64_t n,
                                        float* scores) {
  for (std::int64_t e = 0; e < n; ++e) {
    scores[e] = round32(neg_squared_distance64_serial(q, items + (positions[e] - first) * d, d));
  }
}

void widen_rows_serial(const float* rows, std::int64_t n, std::int64_t d, double* out) {
  for (std::int64_t j = 0; j < n; ++j, rows += d, out += wide(d)) {
    for (std::int64_t i = 0; i < d; ++i) out[i] = double(rows[i]);
    for (std::int64_t i = d; i < wide(d); ++i) out[i] = 0.0;
  }
}

namespace {

// `sum(x)` is the canonical sum with one of the items.
template <class Sum>
Appended append_scored(Sum sum, const double* items, std::int64_t d, std::uint64_t bits, const std::uint32_t* rows,
                  float least, std::uint64_t* keys) {
  int n = 0, n_scored = 0;
  for (; bits != 0; bits &= bits - 1, ++n_scored) {
    const int j = __builtin_ctzll(bits);
    const float score = round32(sum(items + j * wide(d)));
    keys[n] = order_key(score, rows[j]);
    n += int(score >= least) & int(is_finite(score));
  }
  return {n_scored, n};
}

}  // namespace

Appended append_dots_serial(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                       const std::uint32_t* rows, float least, std::uint64_t* keys) {
  return append_scored([=](const double* x) { return dot64(q, x, wide(d)); }, items, d, bits, rows, least, keys);
}

Appended append_neg_squared_distances_serial(const double* q, const double* items, std::int64_t d, std::uint64_t bits,
                                        const std::uint32_t* rows, float least, std::uint64_t* keys) {
  const auto sum = [=](const double* x) { return neg_squared_distance64(q, x, wide(d)); };
  return append_scored(sum, items, d, bits, rows, least, keys);
}

void unpack_panel_serial(const float* panel, std::int64_t d, float* items) {
  for (std::int64_t i = 0; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) items[lane * d + i] = panel[i * kPanelItems + lane];
  }
}

void pack_panel_serial(const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d, float* panel,
                       float* squares) {
  for (int lane = 0; lane < kPanelItems; ++lane) squares[lane] = 0.0f;
  for (std::int64_t i = 0; i < d; ++i) {
    for (int lane = 0; lane < kPanelItems; ++lane) {
      const float x = lane < n_rows ? rows[lane * row_stride + i] : 0.0f;
      panel[i * kPanelItems + lane] = x;
      squares[lane] += x * x;
    }
  }
}

}  // namespace gpurec::cpu
