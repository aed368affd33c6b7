#include "score.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gpurec/bounds.hpp"
#include "gpurec/canonical.hpp"
#include "table/aligned.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 1024;

bool all_finite(const float* x, std::int64_t n) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bad |= std::uint32_t((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

// All pairs of a few rows with many.
void score_canonically(MatrixView<const float> a, MatrixView<const float> b, CanonicalSum sum, MatrixView<float> out,
                       int n_threads) {
  const std::int64_t n_tasks_of_row = (b.rows + kRowsPerTask - 1) / kRowsPerTask;
  parallel_for(n_threads, a.rows * n_tasks_of_row, [&](std::int64_t task) {
    const std::int64_t i = task / n_tasks_of_row;
    const std::int64_t first = task % n_tasks_of_row * kRowsPerTask;
    const std::int64_t end = std::min(b.rows, first + kRowsPerTask);
    for (std::int64_t j = first; j < end; ++j) out.row(i)[j] = round32(sum(a.row(i), b.row(j), b.cols));
  });
}

// A whole matrix in tasks of some queries with some tiles of items. The panels of a tile lie in the first-level cache
// while all queries of the task pass over them, the queries in the second, and scores go where they belong at once.
class MatrixJob {
 public:
  MatrixJob(MatrixView<const float> a, MatrixView<const float> b, bool distances, MultiplyTile multiply,
            MatrixView<float> out, const Kernels& kernels, int n_threads)
      : a_(a), b_(b), out_(out), kernels_(kernels), multiply_(multiply), distances_(distances) {
    // Scores that no cache can hold go past them, where the rows of the matrix begin alike within a cache line.
    constexpr std::int64_t kLine = 64 / sizeof(float);
    const std::int64_t offset = std::int64_t(reinterpret_cast<std::uintptr_t>(out.data) / sizeof(float)) % kLine;
    stream_ = out.row_stride % kLine == 0 && out.rows * out.cols >= kScoresWorthStreaming;
    first_tile_items_ = stream_ ? kTileItems - offset : kTileItems;
    n_tiles_ = 1 + (std::max<std::int64_t>(0, b.rows - first_tile_items_) + kTileItems - 1) / kTileItems;

    const std::int64_t most = std::clamp<std::int64_t>(kQueryFloats / b.cols, 8 * kTileQueries, 64 * kTileQueries);
    n_query_blocks_ = (a.rows + most - 1) / most;
    queries_per_block_ = (a.rows + n_query_blocks_ - 1) / n_query_blocks_;
    queries_per_block_ = (queries_per_block_ + kTileQueries - 1) / kTileQueries * kTileQueries;
    tiles_per_task_ = std::clamp<std::int64_t>(n_tiles_ * n_query_blocks_ / (4 * n_threads), 1, kMostTilesPerTask);
    n_ranges_ = (n_tiles_ + tiles_per_task_ - 1) / tiles_per_task_;
    if (distances) {
      query_squares_ = squares_of(a, n_threads);
      item_squares_ = squares_of(b, n_threads);
      item_squares_.resize(item_squares_.size() + kTileItems);
    }
  }

  std::int64_t n_tasks() const { return n_query_blocks_ * n_ranges_; }

  void run(std::int64_t task) const {
    const std::int64_t first_query = task / n_ranges_ * queries_per_block_;
    const std::int64_t end_query = std::min(a_.rows, first_query + queries_per_block_);
    const std::int64_t first_tile = task % n_ranges_ * tiles_per_task_;
    const std::int64_t end_tile = std::min(n_tiles_, first_tile + tiles_per_task_);
    AlignedFloats panels((end_tile - first_tile) * b_.cols * kTileItems);
    for (std::int64_t tile = first_tile; tile < end_tile; ++tile) {
      pack(first_of(tile), int(end_of(tile) - first_of(tile)), panels.data() + (tile - first_tile) * kTileItems * b_.cols);
    }
    for (std::int64_t i = first_query; i < end_query; i += kTileQueries) {
      const int n_queries = int(std::min<std::int64_t>(kTileQueries, end_query - i));
      for (std::int64_t tile = first_tile; tile < end_tile; ++tile) {
        score_tile(i, n_queries, first_of(tile), int(end_of(tile) - first_of(tile)),
                   panels.data() + (tile - first_tile) * kTileItems * b_.cols);
      }
    }
    // What went past the caches is there for every thread before the task counts as done.
    if (stream_) std::atomic_thread_fence(std::memory_order_seq_cst);
  }

 private:
  std::int64_t first_of(std::int64_t tile) const { return tile == 0 ? 0 : first_tile_items_ + (tile - 1) * kTileItems; }
  std::int64_t end_of(std::int64_t tile) const { return std::min(b_.rows, first_tile_items_ + tile * kTileItems); }

  static constexpr std::int64_t kScoresWorthStreaming = std::int64_t(1) << 20;
  static constexpr std::int64_t kQueryFloats = std::int64_t(1) << 17;
  static constexpr std::int64_t kMostTilesPerTask = 16;  // rows of a page each: the same pages for all tiles of a task

  std::vector<float> squares_of(MatrixView<const float> rows, int n_threads) const {
    std::vector<float> squares(static_cast<std::size_t>(rows.rows));
    parallel_for(n_threads, (rows.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
      const std::int64_t end = std::min(rows.rows, (task + 1) * kRowsPerTask);
      for (std::int64_t i = task * kRowsPerTask; i < end; ++i) {
        squares[std::size_t(i)] = trusted_square(kernels_.dot64(rows.row(i), rows.row(i), rows.cols));
      }
    });
    return squares;
  }

  void pack(std::int64_t first, int n_items, float* panels) const {
    float squares[kPanelItems];
    for (int j = 0; j < n_items; j += kPanelItems) {
      kernels_.pack_panel(b_.row(first + j), b_.row_stride, std::min(kPanelItems, n_items - j), b_.cols,
                          panels + j * b_.cols, squares);
    }
  }

  void score_tile(std::int64_t i, int n_queries, std::int64_t first, int n_items, const float* panels) const {
    const float* queries[kTileQueries];
    for (int m = 0; m < n_queries; ++m) queries[m] = a_.row(i + m);
    alignas(64) float scores[kTileQueries * kTileItems];
    const bool whole = n_items == kTileItems;
    const TileOut tile = whole ? TileOut{out_.row(i) + first, out_.row_stride, stream_} : TileOut{scores, kTileItems, false};
    std::uint64_t close[kTileQueries] = {};
    if (distances_) {
      kernels_.distance_tile(queries, n_queries, panels, b_.cols, query_squares_.data() + i, item_squares_.data() + first,
                             tile, close);
    } else {
      multiply_(queries, n_queries, panels, b_.cols, tile);
    }
    const std::uint64_t live = whole ? ~std::uint64_t(0) : (std::uint64_t(1) << n_items) - 1;
    for (int m = 0; m < n_queries; ++m) {
      float* const row = out_.row(i + m) + first;
      if (!whole) std::copy_n(scores + m * kTileItems, n_items, row);
      if (GPUREC_PLANTED(distance_close_kept)) continue;
      for (std::uint64_t left = close[m] & live; left != 0; left &= left - 1) {
        const int j = __builtin_ctzll(left);
        row[j] = round32(kernels_.neg_squared_distance64(queries[m], b_.row(first + j), b_.cols));
      }
    }
  }

  MatrixView<const float> a_, b_;
  MatrixView<float> out_;
  const Kernels& kernels_;
  MultiplyTile multiply_;
  bool distances_;
  bool stream_;
  std::int64_t first_tile_items_;  // fewer than a tile's where the others are to begin at a cache line
  std::int64_t n_tiles_;
  std::int64_t n_query_blocks_, queries_per_block_;
  std::int64_t n_ranges_, tiles_per_task_;
  std::vector<float> query_squares_, item_squares_;
};

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
  const bool distances = metric == Metric::euclidean;
  // Packing a panel costs about as much as scoring it against two queries.
  if (std::min(a.rows, b.rows) <= 2 || (distances && b.cols >= kWidestTrusted)) {
    score_canonically(a, b, kernels.canonical_sum(metric), out, n_threads);
    return;
  }
  const MatrixJob job(a, b, distances, kernels.multiply_tile, out, kernels, n_threads);
  parallel_for(n_threads, job.n_tasks(), [&](std::int64_t task) { job.run(task); });
}

void score_in_order(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> out, const Kernels& kernels,
                    int n_threads) {
  const MatrixJob job(a, b, false, kernels.multiply_in_order, out, kernels, n_threads);
  parallel_for(n_threads, job.n_tasks(), [&](std::int64_t task) { job.run(task); });
}

void score_pairs(MatrixView<const float> a, MatrixView<const float> b, Metric metric, float* out,
                 const Kernels& kernels, int n_threads) {
  const CanonicalSum sum = kernels.canonical_sum(metric);
  parallel_for(n_threads, (a.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(a.rows, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) out[i] = round32(sum(a.row(i), b.row(i), a.cols));
  });
}

}  // namespace gpurec::cpu
