#include "score.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "gpurec/bounds.hpp"
#include "gpurec/canonical.hpp"
#include "table/aligned.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 1024;

CanonicalSum canonical_sum(Metric metric, const Kernels& kernels) {
  return metric == Metric::euclidean ? kernels.neg_squared_distance64 : kernels.dot64;
}

bool all_finite(const float* x, std::int64_t n) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bad |= std::uint32_t((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

}  // namespace

std::int64_t first_invalid_row(MatrixView<const float> rows, int n_threads) {
  const std::int64_t n_tasks = (rows.rows + kRowsPerTask - 1) / kRowsPerTask;
  std::vector<std::int64_t> found(static_cast<std::size_t>(n_tasks), rows.rows);
  parallel_for(n_threads, n_tasks, [&](std::int64_t task) {
    const std::int64_t end = std::min(rows.rows, (task + 1) * kRowsPerTask);
    std::int64_t row = task * kRowsPerTask;
    if (all_finite(rows.row(row), (end - row) * rows.cols)) return;
    while (all_finite(rows.row(row), rows.cols)) ++row;
    found[std::size_t(task)] = row;
  });
  return n_tasks == 0 ? rows.rows : *std::min_element(found.begin(), found.end());
}

void prepare_rows(MatrixView<const float> rows, Metric metric, MatrixView<float> out, int n_threads) {
  parallel_for(n_threads, (rows.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    std::vector<double> work(static_cast<std::size_t>(rows.cols));
    const std::int64_t end = std::min(rows.rows, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) {
      prepare_row(rows.row(i), rows.cols, metric, out.row(i), work.data());
    }
  });
}

void score(MatrixView<const float> a, MatrixView<const float> b, Metric metric, MatrixView<float> out,
           const Kernels& kernels, int n_threads) {
  const std::int64_t d = b.cols;
  // Packing a panel costs about as much as scoring it against two queries; distances cancel too much in float32.
  if (a.rows <= 2 || metric == Metric::euclidean) {
    const CanonicalSum sum = canonical_sum(metric, kernels);
    parallel_for(n_threads, (b.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
      const std::int64_t end = std::min(b.rows, (task + 1) * kRowsPerTask);
      for (std::int64_t i = 0; i < a.rows; ++i) {
        for (std::int64_t j = task * kRowsPerTask; j < end; ++j) out.row(i)[j] = round32(sum(a.row(i), b.row(j), d));
      }
    });
    return;
  }
  parallel_for(n_threads, (b.rows + kTileItems - 1) / kTileItems, [&](std::int64_t tile) {
    const std::int64_t first = tile * kTileItems;
    const int n_items = int(std::min<std::int64_t>(kTileItems, b.rows - first));
    AlignedFloats panels(d * kTileItems);
    float squares[kPanelItems];
    for (int j = 0; j < n_items; j += kPanelItems) {
      kernels.pack_panel(b.row(first + j), b.row_stride, std::min(kPanelItems, n_items - j), d, panels.data() + j * d,
                         squares);
    }
    alignas(64) const float start[kTileItems] = {};
    alignas(64) float scores[kTileQueries * kTileItems];
    float reject[kTileQueries];
    std::fill_n(reject, kTileQueries, std::numeric_limits<float>::infinity());
    std::uint64_t hits[kTileQueries];
    const float* queries[kTileQueries];
    for (std::int64_t i = 0; i < a.rows; i += kTileQueries) {
      const int n_queries = int(std::min<std::int64_t>(kTileQueries, a.rows - i));
      for (int m = 0; m < n_queries; ++m) queries[m] = a.row(i + m);
      kernels.scan_tile(queries, n_queries, panels.data(), d, start, reject, scores, hits, nullptr, 0);
      for (int m = 0; m < n_queries; ++m) std::copy_n(scores + m * kTileItems, n_items, out.row(i + m) + first);
    }
  });
}

void score_pairs(MatrixView<const float> a, MatrixView<const float> b, Metric metric, float* out,
                 const Kernels& kernels, int n_threads) {
  const CanonicalSum sum = canonical_sum(metric, kernels);
  parallel_for(n_threads, (a.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(a.rows, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) out[i] = round32(sum(a.row(i), b.row(i), a.cols));
  });
}

}  // namespace gpurec::cpu
