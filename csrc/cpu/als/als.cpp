#include "als/als.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "als/heavy_rows.hpp"
#include "als/symmetric_eigen.hpp"
#include "gpurec/planted.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kTileItems = kPanelItems * kTilePanels;
// Of the Gram matrix: rows that are widened at a time, the most parts, and the numbers that all parts may take.
constexpr std::int64_t kGramRows = 64, kGramParts = 64, kGramNumbers = std::int64_t(1) << 23;
// Rows of it that a task adds up.
constexpr std::int64_t kGramRowsAdded = 16;
// Rows of a task, and multiply-adds from which a task is full.
constexpr std::int64_t kRowsPerTask = 64;
constexpr double kWorkPerTask = 4e6;
constexpr std::int64_t kRowsRotated = 96;

const AlsKernels& als_kernels(const Kernels& kernels) {
  static const AlsKernels table[] = {
#if defined(__x86_64__) || defined(_M_X64)
      GPUREC_ALS_KERNELS("avx512", avx512),
      GPUREC_ALS_KERNELS("avx2", avx2),
      GPUREC_ALS_KERNELS("avxvnni", avx2),
#endif
      GPUREC_ALS_KERNELS("serial", serial),
  };
  constexpr std::size_t kCount = sizeof table / sizeof table[0];
  for (const AlsKernels& row : table) {
    if (std::strncmp(kernels.isa, row.isa, std::strlen(row.isa)) == 0) return row;
  }
  return table[kCount - 1];
}

// Panels of a matrix of n_in rows and n_out columns, element (i, j) by `at`.
template <class F>
AlignedFloats panels_of(std::int64_t n_in, std::int64_t n_out, const F& at) {
  AlignedFloats panels(n_in * als_padded_to(n_out, kTileItems));
  for (std::int64_t j = 0; j < n_out; ++j) {
    float* const panel = panels.data() + j / kPanelItems * n_in * kPanelItems + j % kPanelItems;
    for (std::int64_t i = 0; i < n_in; ++i) panel[i * kPanelItems] = float(at(i, j));
  }
  return panels;
}

}  // namespace

std::vector<double> gram_of(MatrixView<const float> x, const Kernels& kernels, int n_threads) {
  const std::int64_t d = x.cols, padded = als_padded_to(d, kAlsPadding);
  const std::int64_t most = std::clamp<std::int64_t>(kGramNumbers / (padded * padded), 1, kGramParts);
  const std::int64_t n_parts = std::clamp<std::int64_t>(x.rows / (4 * kGramRows), 1, most);
  const AddGram add = als_kernels(kernels).add_gram;
  std::vector<std::vector<double>> parts(static_cast<std::size_t>(n_parts));
  parallel_for(n_threads, n_parts, [&](std::int64_t part) {
    std::vector<double> sums(std::size_t(padded * padded)), wide(std::size_t(kGramRows * padded));
    const std::int64_t end = x.rows * (part + 1) / n_parts;
    for (std::int64_t first = x.rows * part / n_parts; first < end; first += kGramRows) {
      add(x.row(first), std::min(kGramRows, end - first), d, wide.data(), sums.data());
    }
    parts[std::size_t(part)] = std::move(sums);
  });
  if (GPUREC_PLANTED(als_gram_part_lost) && n_parts > 1) parts.pop_back();
  std::vector<double> gram(std::size_t(d * d));
  parallel_for(n_threads, (d + kGramRowsAdded - 1) / kGramRowsAdded, [&](std::int64_t task) {
    for (std::int64_t i = task * kGramRowsAdded; i < std::min(d, (task + 1) * kGramRowsAdded); ++i) {
      double* const row = gram.data() + i * d;
      for (const std::vector<double>& part : parts) {
        const double* const added = part.data() + i * padded;
        for (std::int64_t j = i; j < d; ++j) row[j] += added[j];
      }
    }
  });
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j < i; ++j) gram[std::size_t(i * d + j)] = gram[std::size_t(j * d + i)];
  }
  return gram;
}

AlsShared::AlsShared(MatrixView<const float> factors, double unobserved_weight, const Kernels& kernels, int n_threads)
    : factors_(factors),
      d_(factors.cols),
      d_padded_(als_padded_to(factors.cols, kAlsPadding)),
      unobserved_weight_(unobserved_weight),
      kernels_(kernels),
      gram_(gram_of(factors, kernels, n_threads)),
      curvature_(std::size_t(d_padded_), 1.0f) {
  const SymmetricEigen eigen = symmetric_eigen(gram_, d_, n_threads);
  for (std::int64_t k = 0; k < d_; ++k) {
    curvature_[std::size_t(k)] = float(unobserved_weight * std::max(0.0, eigen.values[std::size_t(k)]));
  }
  const auto vector = [&](std::int64_t k, std::int64_t i) { return eigen.vectors[std::size_t(k * d_ + i)]; };
  to_eigen_ = panels_of(d_, d_, [&](std::int64_t i, std::int64_t k) { return vector(k, i); });
  from_eigen_ = panels_of(d_, d_, [&](std::int64_t k, std::int64_t i) { return vector(k, i); });
}

// Rows of d_ numbers times panels: n_out numbers each, at out, those behind the first d_ being zeros. Past the caches
// where rows of `out` are lines and are to `stream`.
void AlsShared::rotate(const float* const* from, std::int64_t n, const AlignedFloats& panels, std::int64_t n_out,
                       float* out, std::int64_t out_stride, bool stream) const {
  alignas(64) float tile[kTileQueries * kTileItems];
  for (std::int64_t first = 0; first < n_out; first += kTileItems) {
    const std::int64_t here = std::min(kTileItems, n_out - first);
    for (std::int64_t q = 0; q < n; q += kTileQueries) {
      const int queries = int(std::min<std::int64_t>(kTileQueries, n - q));
      if (here == kTileItems) {
        float* const at = out + q * out_stride + first;
        const bool at_lines = reinterpret_cast<std::uintptr_t>(at) % 64 == 0 && out_stride % kPanelItems == 0;
        kernels_.multiply_tile(from + q, queries, panels.data() + first * d_, d_, {at, out_stride, stream && at_lines});
        continue;
      }
      kernels_.multiply_tile(from + q, queries, panels.data() + first * d_, d_, {tile, kTileItems, false});
      for (int m = 0; m < queries; ++m) std::copy_n(tile + m * kTileItems, here, out + (q + m) * out_stride + first);
    }
  }
}

const float* AlsShared::whole_table(int n_threads) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (table_.size() == 0) {
    AlignedFloats table = AlignedFloats::unset(factors_.rows * d_padded_);
    const std::int64_t n_tasks = (factors_.rows + kRowsRotated - 1) / kRowsRotated;
    parallel_for(n_threads, n_tasks, [&](std::int64_t task) {
      const std::int64_t first = task * kRowsRotated, n = std::min(kRowsRotated, factors_.rows - first);
      const float* rows[kRowsRotated];
      for (std::int64_t i = 0; i < n; ++i) rows[i] = factors_.row(first + i);
      rotate(rows, n, to_eigen_, d_padded_, table.data() + first * d_padded_, d_padded_);
    });
    table_ = std::move(table);
  }
  return table_.data();
}

struct AlsShared::Task {
  std::int64_t first, end;
  double work;
};

double AlsShared::solve(const SparseRowsView& weights, const float* pulls, const double* l2, const float* start,
                        const AlsRates& rates, bool many, MatrixView<float> out, int n_threads) {
  const std::int64_t n_rows = weights.n_rows;
  const float* table = nullptr;
  AlignedFloats of_entries;
  std::vector<std::int32_t> places;  // of entries in their own table
  if (many) {
    table = whole_table(n_threads);
  } else {
    const std::int64_t n = weights.n_entries();
    of_entries = AlignedFloats::unset(n * d_padded_);
    std::vector<const float*> rows(static_cast<std::size_t>(n));
    places.resize(std::size_t(n));
    for (std::int64_t e = 0; e < n; ++e) {
      rows[std::size_t(e)] = factors_.row(weights.columns[e]);
      places[std::size_t(e)] = std::int32_t(e);
    }
    rotate(rows.data(), n, to_eigen_, d_padded_, of_entries.data(), d_padded_);
    table = of_entries.data();
  }
  const std::int32_t* const columns = many ? weights.columns : places.data();

  const AlsKernels& own = als_kernels(kernels_);
  const bool begins = start != nullptr && !GPUREC_PLANTED(als_start_ignored) && rates.solver != AlsSolver::cholesky;
  // A row's a = w - w0, and the constant of its loss.
  const auto read = [&](std::int64_t row, float* extra) {
    const std::int64_t first = weights.indptr[row];
    const double everywhere = GPUREC_PLANTED(als_observed_twice) ? 0.0 : unobserved_weight_;
    return own.read_entries(weights.values + first, pulls + first, weights.length(row), everywhere, extra);
  };
  const auto row_at = [&](std::int64_t row, const float* extra) {
    const std::int64_t first = weights.indptr[row];
    const double penalty = l2[GPUREC_PLANTED(als_first_penalty) ? 0 : row];
    return AlsRow{columns + first, extra, pulls + first, weights.length(row), curvature_.data(),
                  float(penalty),  table, d_padded_};
  };
  std::vector<double> losses(static_cast<std::size_t>(n_rows));
  std::vector<Task> tasks;
  std::int64_t longest = 1;
  std::vector<std::int64_t> heavy;
  for (std::int64_t i = 0; i < n_rows; ++i) {
    if (als_is_heavy(weights.length(i))) {
      heavy.push_back(i);
      tasks.push_back({i + 1, i + 1, 0.0});  // where the next task begins
      continue;
    }
    const double n = double(weights.length(i)), d = double(d_padded_);
    const double work = n * d * (8.0 + std::min(n, d));
    longest = std::max(longest, weights.length(i));
    const bool fits = !tasks.empty() && i - tasks.back().first < kRowsPerTask && tasks.back().work + work <= kWorkPerTask;
    if (!fits) tasks.push_back({i, i, 0.0});
    tasks.back().end = i + 1;
    tasks.back().work += work;
  }
  std::stable_sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) { return a.work > b.work; });

  for (const std::int64_t row : heavy) {
    AlignedFloats z(d_padded_), extra(als_padded_to(weights.length(row), kAlsPadding));
    const float* from = begins ? start + row * d_ : nullptr;
    if (begins) rotate(&from, 1, to_eigen_, d_padded_, z.data(), d_padded_);
    double loss = 0.0;
    const double constant = read(row, extra.data());
    const AlsRow of = row_at(row, extra.data());
    if (!solve_heavy_row(of, rates, own, z.data(), &loss, n_threads)) loss = solve_in_double(of, z.data());
    losses[std::size_t(row)] = constant + loss;
    from = z.data();
    rotate(&from, 1, from_eigen_, d_, out.row(row), out.row_stride);
  }

  AlsRooms rooms(d_padded_, longest, kRowsPerTask);
  parallel_for(n_threads, std::int64_t(tasks.size()), [&](std::int64_t at) {
    const Task& task = tasks[std::size_t(at)];
    const std::int64_t n = task.end - task.first;
    auto room = rooms.take();
    alignas(64) const float* rows[kRowsPerTask];
    float* const z = room->solutions.data();
    if (begins) {
      for (std::int64_t i = 0; i < n; ++i) rows[i] = start + (task.first + i) * d_;
      rotate(rows, n, to_eigen_, d_padded_, z, d_padded_);
    } else {
      std::fill_n(z, n * d_padded_, 0.0f);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = task.first + i;
      float* const solution = z + i * d_padded_;
      rows[i] = solution;
      if (weights.length(row) == 0) {
        std::fill_n(solution, d_padded_, 0.0f);
        continue;
      }
      double loss = 0.0;
      const double constant = read(row, room->extra.data());
      const AlsRow of = row_at(row, room->extra.data());
      const bool solved = own.solve_row(of, rates, room->scratch, solution, &loss);
      if (!solved && !GPUREC_PLANTED(als_float32_kept)) loss = solve_in_double(of, solution);
      losses[std::size_t(row)] = constant + loss;
    }
    rotate(rows, n, from_eigen_, d_, out.row(task.first), out.row_stride, true);
    rooms.give_back(std::move(room));
  });
  double loss = 0.0;
  for (const double of_row : losses) loss += of_row;
  return loss;
}

// Exactly, where float32 does not suffice; directions in which rounding leaves nothing get 0.
double AlsShared::solve_in_double(const AlsRow& row, float* z) const {
  const std::int64_t d = d_;
  std::vector<double> a(std::size_t(d * d)), x(static_cast<std::size_t>(d));
  const auto entry = [&](std::int64_t e) { return row.table + row.columns[e] * d_padded_; };
  for (std::int64_t k = 0; k < d; ++k) a[std::size_t(k * d + k)] = double(row.curvature[k]) + double(row.l2);
  for (std::int64_t e = 0; e < row.n; ++e) {
    const float* const y = entry(e);
    for (std::int64_t i = 0; i < d; ++i) {
      const double by = double(row.extra[e]) * double(y[i]);
      x[std::size_t(i)] += double(row.pulls[e]) * double(y[i]);
      for (std::int64_t j = i; j < d; ++j) a[std::size_t(i * d + j)] += by * double(y[j]);
    }
  }
  const std::vector<double> right = x;
  std::vector<double> sizes(static_cast<std::size_t>(d));
  for (std::int64_t k = 0; k < d; ++k) sizes[std::size_t(k)] = a[std::size_t(k * d + k)];
  std::vector<char> lost(static_cast<std::size_t>(d));
  for (std::int64_t k = 0; k < d; ++k) {  // U'U, and U'y = right
    double* const pivot = a.data() + k * d;
    const double least = double(d) * std::numeric_limits<double>::epsilon() * std::abs(sizes[std::size_t(k)]);
    if (!(pivot[k] > least)) {
      lost[std::size_t(k)] = 1;
      x[std::size_t(k)] = 0.0;
      continue;
    }
    const double root = std::sqrt(pivot[k]);
    for (std::int64_t j = k; j < d; ++j) pivot[j] /= root;
    x[std::size_t(k)] /= root;
    for (std::int64_t i = k + 1; i < d; ++i) {
      const double by = pivot[i];
      x[std::size_t(i)] -= by * x[std::size_t(k)];
      for (std::int64_t j = i; j < d; ++j) a[std::size_t(i * d + j)] -= by * pivot[j];
    }
  }
  for (std::int64_t k = d - 1; k >= 0; --k) {
    if (lost[std::size_t(k)]) continue;
    double rest = x[std::size_t(k)];
    for (std::int64_t j = k + 1; j < d; ++j) rest -= a[std::size_t(k * d + j)] * x[std::size_t(j)];
    x[std::size_t(k)] = rest / a[std::size_t(k * d + k)];
  }
  double loss = 0.0;
  for (std::int64_t k = 0; k < d; ++k) {
    const double value = x[std::size_t(k)];
    z[k] = float(value);
    loss += (double(row.curvature[k]) + double(row.l2)) * value * value;
  }
  for (std::int64_t e = 0; e < row.n; ++e) {
    double s = 0.0;
    for (std::int64_t k = 0; k < d; ++k) s += double(entry(e)[k]) * x[std::size_t(k)];
    loss += (double(row.extra[e]) * s - 2.0 * double(row.pulls[e])) * s;
  }
  return loss;
}

}  // namespace gpurec::cpu
