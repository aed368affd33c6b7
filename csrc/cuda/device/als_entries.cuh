// What solvers of a row of als share: its entries, its loss, and the room that a block has for them.
#pragma once
#include "cholesky.cuh"
#include "params.hpp"
#include "rows.cuh"

namespace gpurec::cuda {

constexpr int kAlsThreads = 128;
constexpr int kAlsWarps = kAlsThreads / kWarp;
constexpr float kLeastLeft = 1.0f / 128;  // of D: the error of float32 times 128 is far within what the op promises

// D of component k; those behind the last factor are 1.
GPUREC_DEVICE double shared_curvature(const AlsParams& p, double l2, std::int64_t k) {
  return k < p.d ? p.curvature[k] + l2 : 1.0;
}

GPUREC_DEVICE const float* factors_of(const AlsParams& p, std::int64_t entry) {
  return p.table + std::int64_t(ld_readonly(p.columns + entry)) * p.stride;
}

// What an entry weighs above a column without one.
GPUREC_DEVICE double extra_of(const AlsParams& p, std::int64_t entry) {
  return double(ld_readonly(p.weights + entry)) - p.unobserved_weight;
}

GPUREC_DEVICE float sum_over_lanes(float v) {  // in the order of sum_of_lanes
  GPUREC_UNROLL
  for (int half = kWarp / 2; half > 0; half /= 2) v += shfl_xor(v, half);
  return v;
}
GPUREC_DEVICE double sum_over_lanes(double v) { return sum_of_lanes(v); }

// The product of `width` numbers with as many, by a warp; all lanes get it.
template <class Real, class Other>
GPUREC_DEVICE Real product_by_warp(const Real* a, const Other* b, int width) {
  Real sum = 0;
  for (int c = lane_index(); c < width; c += kWarp) sum = add_product(a[c], Real(b[c]), sum);
  return sum_over_lanes(sum);
}

// Components lo .. lo + width - 1 of entries first .. first + n - 1 to shared memory, by all threads; lo is a multiple of 4.
GPUREC_DEVICE void stage_entries(const AlsParams& p, std::int64_t first, int n, std::int64_t lo, int width, float* rows) {
  sync_block();  // nobody reads what was there
  const int pieces = width / kSide;
  for (int i = thread_index(); i < n * pieces; i += block_threads()) {
    const int e = i / pieces, c = i % pieces * kSide;
    cp_async16(rows + e * width + c, factors_of(p, first + e) + lo + c);
  }
  cp_async_commit();
  cp_async_wait<0>();
  sync_block();
}

// A row that is solved: what it adds to the loss, all threads together. `x` in shared memory; the first thread gets it.
template <class Real>
GPUREC_DEVICE double loss_of_row(const AlsParams& p, std::int64_t row, const Real* x, double* totals) {
  const std::int64_t end = p.indptr[row + 1];
  double sum = 0.0;
  for (std::int64_t e = p.indptr[row] + warp_index(); e < end; e += kAlsWarps) {
    const double s = double(product_by_warp(x, factors_of(p, e), int(p.stride)));
    const double w = double(ld_readonly(p.weights + e)), pull = double(ld_readonly(p.pulls + e));
    sum += ((w - p.unobserved_weight) * s - 2.0 * pull) * s + (w > 0.0 ? pull * pull / w : 0.0);
  }
  if (lane_index() == 0) totals[warp_index()] = sum;
  sync_block();
  double loss = 0.0;
  if (warp_index() == 0) {
    loss = lane_sum_by_warp(p.d, [&](std::int64_t k) {
      return shared_curvature(p, p.l2[row], k) * double(x[k]) * double(x[k]);
    });
    for (int warp = 0; warp < kAlsWarps; ++warp) loss += totals[warp];
  }
  return loss;
}

// Writes a solved row and its loss; all threads, after a barrier.
template <class Real>
GPUREC_DEVICE void give_row(const AlsParams& p, std::int64_t row, const Real* x, double* totals) {
  const double loss = loss_of_row(p, row, x, totals);
  if (thread_index() == 0) p.losses[row] = loss;
  for (std::int64_t k = thread_index(); k < p.stride; k += block_threads()) p.solutions[row * p.stride + k] = float(x[k]);
  sync_block();  // the room is free again
}

GPUREC_DEVICE void give_empty_row(const AlsParams& p, std::int64_t row) {
  if (thread_index() == 0) p.losses[row] = 0.0;
  for (std::int64_t k = thread_index(); k < p.stride; k += block_threads()) p.solutions[row * p.stride + k] = 0.0f;
}

// Shared memory of a block that solves rows in blocks of components.
template <class Real>
struct AlsRoom {
  Equations<Real> equations;
  Real* x;         // (stride)
  Real* extra;     // (chunk) of the entries that are staged
  Real* pulls;     // (chunk) what of their pulls is not accounted for yet
  float* entries;  // (chunk, width)
  double* totals;  // (warps)

  GPUREC_DEVICE explicit AlsRoom(const AlsParams& p) {
    const std::int64_t side = p.width / kSide, numbers = side * (side + 1) / 2 * kSide * kSide;
    SharedMemory memory;
    if (p.matrices == nullptr) {
      equations.matrix.numbers = memory.take<Real>(numbers);
    } else {
      equations.matrix.numbers = static_cast<Real*>(p.matrices) + block_index() * numbers;
    }
    equations.roots = memory.take<Real>(p.width * kSide);
    equations.right = memory.take<Real>(p.width);
    equations.sizes = memory.take<Real>(p.width);
    equations.out = memory.take<Real>(p.width);
    x = memory.take<Real>(p.stride);
    extra = memory.take<Real>(p.chunk);
    pulls = memory.take<Real>(p.chunk);
    entries = memory.take<float>(p.chunk * p.width);
    totals = memory.take<double>(kAlsWarps);
    equations.failed = memory.take<int>(1);
  }
};

}  // namespace gpurec::cuda
