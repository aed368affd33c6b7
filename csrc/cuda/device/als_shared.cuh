// What the rows of a half-sweep of alternating least squares share: the Gram matrix of the factors they read, and their turn
// into its eigenvectors.
#pragma once
#include "als.cuh"

namespace gpurec::cuda {

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
