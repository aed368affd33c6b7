// Half a sweep of alternating least squares: gpurec/als.hpp on a device. Rows are solved in the eigenvectors of the Gram
// matrix, where what all rows share, D, is diagonal: (D + Z' a Z) x = Z' p with the row's entries as rows of Z.
#pragma once
#include "als_narrow.cuh"

namespace gpurec::cuda {

// One tile of the weighted outer products of n staged entries, or four components of the right side.
template <class Real>
GPUREC_DEVICE void add_entries(const AlsRoom<Real>& room, int n, int width, bool first, int q) {
  const int side = width / kSide, n_tiles = side * (side + 1) / 2;
  const Equations<Real>& to = room.equations;
  if (q >= n_tiles) {
    const int c = (q - n_tiles) * kSide;
    Real sum[kSide] = {};
    for (int e = 0; e < n; ++e) {
      float y[kSide];
      load4(room.entries + e * width + c, y);
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) sum[r] = add_product(room.pulls[e], Real(y[r]), sum[r]);
    }
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) to.right[c + r] = first ? sum[r] : to.right[c + r] + sum[r];
    return;
  }
  const Place place = place_in_triangle(q);
  const float *left = room.entries + place.row * kSide, *right = room.entries + place.column * kSide;
  Real sum[kSide][kSide] = {};
  for (int e = 0; e < n; ++e, left += width, right += width) {
    float y[kSide], z[kSide];
    load4(left, y);
    load4(right, z);
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) {
      const Real by = room.extra[e] * Real(y[r]);
      GPUREC_UNROLL
      for (int c = 0; c < kSide; ++c) sum[r][c] = add_product(by, Real(z[c]), sum[r][c]);
    }
  }
  // Sums begin anew with each chunk, so that those of long rows do not lose the small ones.
  if (!first) {
    Real before[kSide][kSide];
    to.matrix.load(q, before);
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) {
      GPUREC_UNROLL
      for (int c = 0; c < kSide; ++c) sum[r][c] += before[r][c];
    }
  }
  to.matrix.store(q, sum);
}

// Components begin .. end - 1 of a row become what solves their equations while the others stand still. False, for all
// threads alike, where numbers of this kind do not suffice. `said`: x' z of each entry, nothing where `fresh`.
template <class Real>
GPUREC_DEVICE bool solve_block(const AlsParams& p, const AlsRoom<Real>& room, std::int64_t row, std::int64_t begin,
                               std::int64_t end, bool fresh, bool regular) {
  const std::int64_t lo = begin / kSide * kSide, first = p.indptr[row], n = p.indptr[row + 1] - first;
  const int width = int(round_up(end, kSide) - lo), side = width / kSide;
  for (std::int64_t from = 0; from < n; from += p.chunk) {
    const int here = int(n - from < p.chunk ? n - from : p.chunk);
    stage_entries(p, first + from, here, lo, width, room.entries);
    for (int e = thread_index(); e < here; e += block_threads()) {
      const std::int64_t at = first + from + e;
      const double extra = extra_of(p, at), pull = double(ld_readonly(p.pulls + at));
      room.extra[e] = Real(extra);
      room.pulls[e] = Real(fresh ? pull : pull - extra * p.said[at]);
      // Components of other blocks; behind the last factor there are zeros.
      for (std::int64_t k = lo; k < begin; ++k) room.entries[e * width + k - lo] = 0.0f;
      for (std::int64_t k = end; k < lo + width; ++k) room.entries[e * width + k - lo] = 0.0f;
    }
    if (!GPUREC_PLANTED(cuda_als_weights_unawaited)) sync_block();
    const int n_tasks = side * (side + 1) / 2 + side;
    for (int q = thread_index(); q < n_tasks; q += block_threads()) add_entries(room, here, width, from == 0, q);
  }
  sync_block();
  const Equations<Real>& of = room.equations;
  bool lost = false;
  for (int c = thread_index(); c < width; c += block_threads()) {
    const std::int64_t k = lo + c;
    const Real own = Real(shared_curvature(p, p.l2[row], k));
    Real* const diagonal = of.matrix.row(of.matrix.at(c / kSide, c / kSide), c % kSide) + c % kSide;
    of.sizes[c] = *diagonal = *diagonal + own;
    // Entries that weigh less than what is not there take away what D says, and leave its rounding.
    lost = lost || (regular && *diagonal < own * Real(kLeastLeft));
    of.right[c] = begin <= k && k < end ? of.right[c] - own * room.x[k] : Real(0);
  }
  if (sync_block_or(lost) || !solve_equations(of, side, regular)) return false;
  for (int c = thread_index(); c < width; c += block_threads()) room.x[lo + c] += of.out[c];
  return true;
}

// said += the product of each entry with what a block's components moved by.
template <class Real>
GPUREC_DEVICE void tell_entries(const AlsParams& p, std::int64_t row, const Real* moved, std::int64_t lo, int width,
                                bool fresh) {
  const std::int64_t end = p.indptr[row + 1];
  for (std::int64_t e = p.indptr[row] + warp_index(); e < end; e += kAlsWarps) {
    const double s = double(product_by_warp(moved, factors_of(p, e) + lo, width));
    if (lane_index() == 0) p.said[e] = fresh ? s : p.said[e] + s;
  }
  sync_block();
}

// A row in blocks of components; all of them in one block is the exact solution.
template <class Real>
GPUREC_DEVICE bool solve_in_blocks(const AlsParams& p, const AlsRoom<Real>& room, std::int64_t row, bool regular) {
  for (std::int64_t k = thread_index(); k < p.stride; k += block_threads()) {
    room.x[k] = p.started != 0 ? Real(p.solutions[row * p.stride + k]) : Real(0);
  }
  if (thread_index() == 0) *room.equations.failed = 0;
  sync_block();
  bool fresh = p.started == 0;
  if (!fresh) tell_entries(p, row, room.x, 0, int(p.stride), true);
  for (std::int64_t step = 0; step < p.steps; ++step) {
    for (std::int64_t begin = 0; begin < p.d; begin += p.block_size) {
      const std::int64_t end = begin + p.block_size < p.d ? begin + p.block_size : p.d, lo = begin / kSide * kSide;
      if (!solve_block(p, room, row, begin, end, fresh, regular)) return false;
      if (step + 1 == p.steps && end == p.d) break;
      tell_entries(p, row, room.equations.out, lo, int(round_up(end, kSide) - lo), fresh);
      fresh = false;
    }
  }
  sync_block();
  give_row(p, row, room.x, room.totals);
  return true;
}

// Kernel als_rows: rows of a half-sweep, exactly or in blocks of components, in float32; those for which that does not
// suffice are listed in `failed`. A block takes rows in turn, each alone and every sum in an order of its own: what a row
// becomes depends on neither grid nor order. Entries are staged `chunk` at a time; a thread adds up 4 x 4 products. Rows with
// fewer entries than factors are solved from as many equations, where that does.
// shared: 4 (8 s (s + 1) + 7 width + stride + 2 chunk + chunk width) bytes + 48, s = width / 4, pieces rounded up to 16; the
// first term only without `matrices`. Launch: any grid, 128 threads.
// Bytes: 4 d an entry twice, the second time from a cache, for each block of components. Not measured.
GPUREC_KERNEL(als_rows, AlsParams, kAlsThreads, 4) {
  const AlsRoom<float> room(p);
  for (std::int64_t i = block_index(); i < p.n_rows; i += grid_blocks()) {
    const std::int64_t row = p.order[i];
    if (p.indptr[row] == p.indptr[row + 1]) {
      give_empty_row(p, row);
      continue;
    }
    const std::int64_t n = p.indptr[row + 1] - p.indptr[row];
    if (is_narrow(p, n) && solve_narrow(p, room, row, int(n))) continue;
    if (solve_in_blocks(p, room, row, true)) continue;
    if (thread_index() == 0) p.failed[1 + atomic_add(p.failed, 1u)] = std::uint32_t(row);
    sync_block();  // all have read that it failed
  }
}

// Kernel als_rows_f64: the rows that `failed` lists, in float64; directions of which rounding leaves nothing become 0.
// Always launched, after als_rows. shared: as there, 8 bytes a number but of staged entries. Not measured.
GPUREC_KERNEL(als_rows_f64, AlsParams, kAlsThreads) {
  const std::uint32_t n_failed = *p.failed;
  if (n_failed == 0) return;
  const AlsRoom<double> room(p);
  for (std::uint32_t i = std::uint32_t(block_index()); i < n_failed; i += std::uint32_t(grid_blocks())) {
    solve_in_blocks(p, room, p.failed[1 + i], false);
  }
}

// sums = those over a row's entries of weight(entry, x' z) z, and what of D x is to be added or subtracted; all threads.
template <class Weight>
GPUREC_DEVICE void sum_entries(const AlsParams& p, std::int64_t row, const double* x, float* entries, double* weights,
                               double* sums, Weight weight) {
  const std::int64_t first = p.indptr[row], n = p.indptr[row + 1] - first;
  const int width = int(p.stride);
  for (std::int64_t from = 0; from < n; from += p.chunk) {
    const int here = int(n - from < p.chunk ? n - from : p.chunk);
    stage_entries(p, first + from, here, 0, width, entries);
    for (int e = warp_index(); e < here; e += kAlsWarps) {
      const double said = product_by_warp(x, entries + e * width, width);
      if (lane_index() == 0) weights[e] = weight(first + from + e, said);
    }
    sync_block();
    for (int c = thread_index(); c < width; c += block_threads()) {
      double sum = 0.0;
      for (int e = 0; e < here; ++e) sum += weights[e] * double(entries[e * width + c]);
      sums[c] = from == 0 ? sum : sums[c] + sum;
    }
  }
}

// Kernel als_gradients: the same by `steps` steps of conjugate gradients, preconditioned by D. Vectors lie in shared
// memory, and every warp adds up the products of two of them for itself. In float64 but for the factors: steps in float32
// stray by 2e-4 of the loss where weights differ by 10^4. shared: 8 (5 stride + chunk) + 4 chunk stride + 32 bytes, pieces
// rounded up to 16. Launch: any grid, 128 threads. Bytes: 4 d an entry and step. Not measured.
GPUREC_KERNEL(als_gradients, AlsParams, kAlsThreads, 7) {
  const int width = int(p.stride);
  SharedMemory memory;
  double* const x = memory.take<double>(width);
  double* const left = memory.take<double>(width);
  double* const towards = memory.take<double>(width);
  double* const moved = memory.take<double>(width);
  double* const own = memory.take<double>(width);  // D
  float* const entries = memory.take<float>(p.chunk * width);
  double* const weights = memory.take<double>(p.chunk);
  double* const totals = memory.take<double>(kAlsWarps);
  const auto size_left = [&] {
    return lane_sum_by_warp(width, [=](std::int64_t c) { return left[c] * (left[c] / own[c]); });
  };
  for (std::int64_t i = block_index(); i < p.n_rows; i += grid_blocks()) {
    const std::int64_t row = p.order[i];
    if (p.indptr[row] == p.indptr[row + 1]) {
      give_empty_row(p, row);
      continue;
    }
    for (int c = thread_index(); c < width; c += block_threads()) {
      x[c] = p.started != 0 ? double(p.solutions[row * p.stride + c]) : 0.0;
      own[c] = shared_curvature(p, p.l2[row], c);
    }
    sum_entries(p, row, x, entries, weights, left, [&](std::int64_t e, double said) {
      return double(ld_readonly(p.pulls + e)) - extra_of(p, e) * said;
    });
    for (int c = thread_index(); c < width; c += block_threads()) {
      left[c] -= own[c] * x[c];
      towards[c] = left[c] / own[c];
    }
    sync_block();
    double size = size_left();
    for (std::int64_t step = 0; step < p.steps; ++step) {
      sum_entries(p, row, towards, entries, weights, moved,
                  [&](std::int64_t e, double said) { return extra_of(p, e) * said; });
      for (int c = thread_index(); c < width; c += block_threads()) moved[c] += own[c] * towards[c];
      sync_block();
      const double curvature = product_by_warp(towards, moved, width);
      if (!(size > 0.0) || !(curvature > 0.0)) break;
      const double by = size / curvature;
      for (int c = thread_index(); c < width; c += block_threads()) {
        x[c] += by * towards[c];
        left[c] -= by * moved[c];
      }
      sync_block();
      const double before = size;
      size = size_left();
      const double keep = size / before;
      for (int c = thread_index(); c < width; c += block_threads()) {
        towards[c] = left[c] / own[c] + keep * towards[c];
      }
    }
    sync_block();
    give_row(p, row, x, totals);
  }
}

}  // namespace gpurec::cuda
