// Rows of als with fewer entries than factors, from as many equations: x = D^-1/2 y and y = Y' b, where (I + Y Y') b =
// p / sqrt(a) and Y is sqrt(a) Z D^-1/2. At 27 entries of 64 factors that is a third of the work.
#pragma once
#include "als_entries.cuh"

namespace gpurec::cuda {

constexpr float kNarrowLeft = 3e-6f;  // of the right side and for each factor: what the row's own equations may leave
constexpr int kShares = 4;            // lanes that add up a tile together

// Whether a row may be solved so: exactly, from no start, with all its entries in shared memory. All a must be above 0, too.
GPUREC_DEVICE bool is_narrow(const AlsParams& p, std::int64_t n) {
  const std::int64_t rows = round_up(n, kSide);
  return p.block_size == p.d && p.steps == 1 && p.started == 0 && rows < p.width && rows <= p.chunk;
}

// I + Y Y' in tiles; Y lies in `entries`, 4 side rows. Four lanes share a tile: each adds up every fourth four components.
GPUREC_DEVICE void multiply_entries(const AlsRoom<float>& room, int side, int width) {
  const int n_tiles = side * (side + 1) / 2, share = thread_index() % kShares;
  for (int first = 0; first < n_tiles; first += block_threads() / kShares) {
    const int q = first + thread_index() / kShares;
    const Place place = place_in_triangle(q < n_tiles ? q : 0);  // all lanes of a warp add up together
    const float* const left = room.entries + place.row * kSide * width;
    const float* const right = room.entries + place.column * kSide * width;
    float sum[kSide][kSide] = {};
    for (int k = share * kSide; k < width; k += kShares * kSide) {
      float y[kSide][kSide];
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) load4(right + r * width + k, y[r]);
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) {
        float z[kSide];
        load4(left + r * width + k, z);
        GPUREC_UNROLL
        for (int c = 0; c < kSide; ++c) {
          GPUREC_UNROLL
          for (int m = 0; m < kSide; ++m) sum[r][c] = add_product(z[m], y[c][m], sum[r][c]);
        }
      }
    }
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) {
      GPUREC_UNROLL
      for (int c = 0; c < kSide; ++c) {
        sum[r][c] += shfl_xor(sum[r][c], 1);
        sum[r][c] += shfl_xor(sum[r][c], 2);
      }
      if (place.row == place.column) sum[r][r] += 1.0f;
    }
    if (q >= n_tiles || share != 0) continue;
    room.equations.matrix.store(q, sum);
    if (place.row != place.column) continue;
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) room.equations.sizes[place.row * kSide + r] = sum[r][r];
  }
}

// Solves a row of n entries, all threads together. False, for all alike, where that does not do: an a that is not above 0, or
// more left of the row's own equations than float32 leaves, since a small error of b along what y cannot have is a large one.
GPUREC_DEVICE bool solve_narrow(const AlsParams& p, const AlsRoom<float>& room, std::int64_t row, int n) {
  const std::int64_t first = p.indptr[row];
  const int width = int(p.width), side = int(round_up(n, kSide)) / kSide;
  const Equations<float>& of = room.equations;
  float *const shrink = room.x, *const y = of.sizes, *const left = of.roots, *const whole = of.roots + width;
  stage_entries(p, first, n, 0, width, room.entries);
  bool wrong = false;
  for (int e = thread_index(); e < side * kSide; e += block_threads()) {
    const float extra = e < n ? float(extra_of(p, first + e)) : 0.0f;
    wrong = wrong || (e < n && !(extra > 0.0f));
    room.extra[e] = std::sqrt(extra > 0.0f ? extra : 0.0f);
    room.pulls[e] = e < n ? ld_readonly(p.pulls + first + e) / room.extra[e] : 0.0f;
    of.right[e] = room.pulls[e];
  }
  for (int k = thread_index(); k < width; k += block_threads()) {
    shrink[k] = float(1.0 / std::sqrt(shared_curvature(p, p.l2[row], k)));
  }
  if (thread_index() == 0) *of.failed = 0;
  if (sync_block_or(wrong)) return false;
  for (int i = thread_index(); i < side * kSide * width; i += block_threads()) {
    const int e = i / width;
    room.entries[i] = e < n ? room.entries[i] * (room.extra[e] * shrink[i % width]) : 0.0f;
  }
  sync_block();
  multiply_entries(room, side, width);
  sync_block();
  if (!solve_equations(of, side, true)) {
    sync_block();  // all have read that it failed
    return false;
  }
  for (int k = thread_index(); k < width; k += block_threads()) {
    float sum = 0.0f;
    for (int e = 0; e < n; ++e) sum = add_product(of.out[e], room.entries[e * width + k], sum);
    y[k] = sum;
  }
  sync_block();
  for (int e = warp_index(); e < n; e += kAlsWarps) {
    const float said = product_by_warp(y, room.entries + e * width, width);
    if (lane_index() == 0) of.right[e] = room.pulls[e] - said;
  }
  sync_block();
  for (int k = thread_index(); k < width; k += block_threads()) {
    float of_left = 0.0f, of_whole = 0.0f;
    for (int e = 0; e < n; ++e) {
      of_left = add_product(of.right[e], room.entries[e * width + k], of_left);
      of_whole = add_product(room.pulls[e], room.entries[e * width + k], of_whole);
    }
    left[k] = (of_left - y[k]) / shrink[k];
    whole[k] = of_whole / shrink[k];
  }
  sync_block();
  const float most = kNarrowLeft * float(p.d);
  const float found = product_by_warp(left, left, width), asked = product_by_warp(whole, whole, width);
  if (!(found <= most * most * asked)) return false;  // every warp found the same
  for (int k = thread_index(); k < width; k += block_threads()) room.x[k] = y[k] * shrink[k];
  sync_block();
  give_row(p, row, room.x, room.totals);
  return true;
}

}  // namespace gpurec::cuda
