// Half a sweep of alternating least squares: gpurec/als.hpp on a device. Rows are solved in the eigenvectors of the Gram
// matrix, where what all rows share, D, is diagonal: (D + Z' a Z) x = Z' p with the row's entries as rows of Z.
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
// becomes depends on neither grid nor order. Entries are staged `chunk` at a time; a thread adds up 4 x 4 products.
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

// Kernel als_gram: rows' rows (n, stride) -> sums (n_parts, tiles, 4, 4) float64, the lower triangle in tiles row by row, of
// as many parts of the rows, which the host adds up in their order. Parts do not depend on the device.
// Launch: x = n_parts, y = ceil(tiles / 128); 128 threads, one tile each. shared: 4 chunk stride bytes. Not measured.
GPUREC_KERNEL(als_gram, GramParams, kAlsThreads) {
  SharedMemory memory;
  float* const rows = memory.take<float>(p.chunk * p.stride);
  const std::int64_t part = block_index(), end = p.n * (part + 1) / p.n_parts;
  const std::int64_t side = p.stride / kSide, n_tiles = side * (side + 1) / 2;
  const std::int64_t q = std::int64_t(block_index_y()) * kAlsThreads + thread_index();
  const Place place = place_in_triangle(int(q < n_tiles ? q : 0));
  double sum[kSide][kSide] = {};
  for (std::int64_t first = p.n * part / p.n_parts; first < end; first += p.chunk) {
    const int here = int(end - first < p.chunk ? end - first : p.chunk);
    sync_block();
    for (std::int64_t i = thread_index() * kSide; i < here * p.stride; i += kAlsThreads * kSide) {
      cp_async16(rows + i, p.rows + first * p.stride + i);
    }
    cp_async_commit();
    cp_async_wait<0>();
    sync_block();
    for (int e = 0; e < here && q < n_tiles; ++e) {
      float y[kSide], z[kSide];
      load4(rows + e * p.stride + place.row * kSide, y);
      load4(rows + e * p.stride + place.column * kSide, z);
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) {
        GPUREC_UNROLL
        for (int c = 0; c < kSide; ++c) sum[r][c] += double(y[r]) * double(z[c]);
      }
    }
  }
  if (q >= n_tiles) return;
  double* const to = p.sums + (part * n_tiles + q) * kSide * kSide;
  GPUREC_UNROLL
  for (int r = 0; r < kSide; ++r) {
    GPUREC_UNROLL
    for (int c = 0; c < kSide; ++c) to[r * kSide + c] = sum[r][c];
  }
}

// Kernel als_rotate: rows times a matrix of float64, each number rounded once, so that what D says of all rows and what
// entries take away from it differ by no more than that. -> out (n, out_stride). Launch: any grid, 128 threads, a thread a
// column of four rows. shared: 4 chunk stride bytes. Bytes: 8 d a row read and written, 2 d^2 of a cache. Not measured.
GPUREC_KERNEL(als_rotate, RotateParams, kAlsThreads) {
  SharedMemory memory;
  float* const rows = memory.take<float>(p.chunk * p.stride);
  const int d = int(p.d), stride = int(p.stride), width = int(p.out_stride);
  for (std::int64_t first = block_index() * p.chunk; first < p.n; first += grid_blocks() * p.chunk) {
    const int here = int(p.n - first < p.chunk ? p.n - first : p.chunk);
    sync_block();
    for (int i = thread_index(); i < here * stride; i += kAlsThreads) rows[i] = ld_readonly(p.rows + first * stride + i);
    sync_block();
    for (int i = thread_index(); i < (here + kSide - 1) / kSide * width; i += kAlsThreads) {
      const int row = i / width * kSide, k = i % width, n = here - row < kSide ? here - row : kSide;
      double sum[kSide] = {};
      for (int j = 0; j < d && k < d; ++j) {
        const double by = ld_readonly(p.matrix + std::int64_t(j) * d + k);
        GPUREC_UNROLL
        for (int r = 0; r < kSide; ++r) sum[r] += double(rows[(r < n ? row + r : row) * stride + j]) * by;
      }
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) {
        if (r < n) p.out[(first + row + r) * width + k] = float(sum[r]);
      }
    }
  }
}

}  // namespace gpurec::cuda
