#include "gpurec/elastic_net.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gpurec/planted.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

// Targets that a thread takes at a time: popular ones take long.
constexpr std::int64_t kTargetsPerTask = 8;
// The lanes belong to the contract, not to the machine; a single chain of sums would wait for each of its additions.
constexpr int kLanes = 4;

// What a thread keeps for one target after another.
class Descent {
 public:
  Descent(const SparseRowsView& columns, const std::vector<double>& squares, const ElasticNetRates& rates)
      : columns_(columns), squares_(squares), rates_(rates), residual_(std::size_t(columns.n_columns)) {}

  // Weights of one target's candidates; returns the number of sweeps.
  std::int32_t solve(std::int64_t target, const std::int32_t* candidates, std::int64_t n, float* out) {
    weights_.assign(std::size_t(n), 0.0);
    move(target, 1.0);
    std::int64_t sweeps = 0;
    // A sweep of all candidates says whether it is over; between two of them those above zero settle.
    while (sweeps < rates_.most_sweeps) {
      ++sweeps;
      if (sweep_all(candidates, n) <= rates_.tolerance) break;
      if (GPUREC_PLANTED(elastic_net_one_sweep)) break;
      while (sweeps < rates_.most_sweeps) {
        ++sweeps;
        if (sweep_active(candidates) <= rates_.tolerance) break;
      }
    }
    for (std::int64_t c = 0; c < n; ++c) out[c] = float(weights_[std::size_t(c)]);
    // Only these rows are not zero.
    clear(target);
    for (const std::int64_t c : touched_) clear(candidates[c]);
    touched_.clear();
    return std::int32_t(sweeps);
  }

 private:
  double sweep_all(const std::int32_t* candidates, std::int64_t n) {
    double most = 0;
    active_.clear();
    for (std::int64_t c = 0; c < n; ++c) {
      most = std::max(most, settle(c, candidates[c]));
      if (weights_[std::size_t(c)] > 0) active_.push_back(c);
    }
    return most;
  }

  double sweep_active(const std::int32_t* candidates) {
    double most = 0;
    for (const std::int64_t c : active_) most = std::max(most, settle(c, candidates[c]));
    return most;
  }

  // Puts a weight where the objective is least along it; returns how far it moved.
  double settle(std::int64_t c, std::int64_t column) {
    double& weight = weights_[std::size_t(c)];
    const double square = squares_[std::size_t(column)];
    const double pull = product(column) + square * weight - rates_.l1;
    const double best = pull > 0 || GPUREC_PLANTED(elastic_net_negative) ? pull / (square + rates_.l2) : 0.0;
    const double step = best - weight;
    if (step == 0 || square == 0) return 0;
    if (weight == 0) touched_.push_back(c);
    weight = best;
    move(column, -step);
    return std::abs(step);
  }

  double product(std::int64_t column) const {
    const std::int32_t* const rows = columns_.columns + columns_.indptr[column];
    const float* const values = columns_.values + columns_.indptr[column];
    const std::int64_t n = columns_.length(column);
    double lane[kLanes] = {};
    std::int64_t e = 0;
    for (; e + kLanes <= n; e += kLanes) {
      for (int l = 0; l < kLanes; ++l) lane[l] += double(values[e + l]) * residual_[std::size_t(rows[e + l])];
    }
    for (int l = 0; e < n; ++e, ++l) lane[l] += double(values[e]) * residual_[std::size_t(rows[e])];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
  }

  void move(std::int64_t column, double step) {
    for (std::int64_t e = columns_.indptr[column]; e < columns_.indptr[column + 1]; ++e) {
      residual_[std::size_t(columns_.columns[e])] += step * double(columns_.values[e]);
    }
  }

  void clear(std::int64_t column) {
    if (GPUREC_PLANTED(elastic_net_residual_kept)) return;
    for (std::int64_t e = columns_.indptr[column]; e < columns_.indptr[column + 1]; ++e) {
      residual_[std::size_t(columns_.columns[e])] = 0;
    }
  }

  const SparseRowsView& columns_;
  const std::vector<double>& squares_;
  const ElasticNetRates& rates_;
  std::vector<double> residual_;  // of the target, all zero between two of them
  std::vector<double> weights_;
  std::vector<std::int64_t> active_, touched_;  // places among the candidates
};

}  // namespace

void elastic_net(const SparseRowsView& columns, const std::int64_t* targets, const SparseRowsView& candidates,
                 const ElasticNetRates& rates, float* weights, std::int32_t* n_sweeps, int n_threads) {
  std::vector<double> squares(std::size_t(columns.n_rows));
  for (std::int64_t column = 0; column < columns.n_rows; ++column) {
    double sum = 0;
    for (std::int64_t e = columns.indptr[column]; e < columns.indptr[column + 1]; ++e) {
      sum += double(columns.values[e]) * double(columns.values[e]);
    }
    squares[std::size_t(column)] = sum;
  }
  const std::int64_t n_tasks = (candidates.n_rows + kTargetsPerTask - 1) / kTargetsPerTask;
  parallel_for(n_threads, n_tasks, [&](std::int64_t task) {
    Descent descent(columns, squares, rates);
    const std::int64_t end = std::min(candidates.n_rows, (task + 1) * kTargetsPerTask);
    for (std::int64_t i = task * kTargetsPerTask; i < end; ++i) {
      const std::int64_t first = candidates.indptr[i];
      n_sweeps[i] = descent.solve(targets[i], candidates.columns + first, candidates.length(i), weights + first);
    }
  });
}

}  // namespace gpurec::cpu
