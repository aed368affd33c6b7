// Kernel `quantise_tiles`: int8 codes of prepared rows, with one scale a tile and the largest error in it.
//
// Reads rows (n_tiles * 64, row_stride); writes codes (n_tiles * 64, code_stride), zero past d, scales and errors
// (n_tiles). The same bits as quantise_tile<ByteCodes> on the CPU: extremes do not depend on the order, and errors are
// summed as `lane_sum` does. A tile that can have no codes has scale 0 and codes that are zero.
// Launch: any grid, 256 threads (8 warps, each takes every 8th item); tile first_tile + b, + grid, ... for block b.
// Shared: 16 bytes. Moves 4 bytes an item's component twice (the second time from L2) and writes 1. Not measured.
#pragma once
#include "gpurec/quantise.hpp"
#include "params.hpp"
#include "simt/simt.hpp"
#include "warp.cuh"

namespace gpurec::cuda {

constexpr int kQuantiseThreads = 256;
constexpr int kItemsOfTile = 1 << kTileBits;

GPUREC_KERNEL(quantise_tiles, TableParams, kQuantiseThreads) {
  SharedMemory shared;
  // Of values without their signs, whose bits are in the order of the values; errors are not negative either.
  std::uint32_t* const largest_bits = shared.take<std::uint32_t>(2);
  const int n_warps = block_threads() / kWarp;

  for (std::int64_t tile = p.first_tile + block_index(); tile < p.n_tiles; tile += grid_blocks()) {
    if (thread_index() < 2) largest_bits[thread_index()] = 0;
    sync_block();
    const float* const rows = p.rows + tile * kItemsOfTile * p.row_stride;
    std::int8_t* const codes = p.codes + tile * kItemsOfTile * p.code_stride;
    std::uint32_t largest = 0;
    for (int j = warp_index(); j < kItemsOfTile; j += n_warps) {
      for (std::int64_t i = lane_index(); i < p.d; i += kWarp) {
        const std::uint32_t bits = bits_of(ld_readonly(rows + j * p.row_stride + i)) & 0x7fffffffu;
        largest = bits > largest ? bits : largest;
      }
    }
    largest = max_of_warp(largest);
    if (lane_index() == 0) atomic_max(&largest_bits[0], largest);
    sync_block();

    const float scale = fits_in_codes(p.d) ? scale_for(float_of_bits(largest_bits[0]), 127) : 0.0f;
    const float inverse = 1.0f / scale;
    for (int j = warp_index(); j < kItemsOfTile; j += n_warps) {
      const float* const x = rows + j * p.row_stride;
      std::int8_t* const code = codes + j * p.code_stride;
      for (std::int64_t i = lane_index(); i < p.code_stride; i += kWarp) {
        code[i] = scale != 0.0f && i < p.d ? std::int8_t(code_of(ld_readonly(x + i), inverse, 127.0f)) : std::int8_t(0);
      }
      if (scale == 0.0f) continue;
      const double squares = lane_sum_of_warp(p.d, [=](std::int64_t i) {
        const float value = ld_readonly(x + i);
        return squared_error_of_code(value, scale, double(code_of(value, inverse, 127.0f)));
      });
      if (lane_index() == 0) atomic_max(&largest_bits[1], bits_of(round_up32(error_norm_upper(squares, p.d))));
    }
    sync_block();
    if (thread_index() == 0) {
      p.scales[tile] = scale;
      p.errors[tile] = float_of_bits(largest_bits[1]);
    }
    sync_block();  // before the next tile's zeros
  }
}

}  // namespace gpurec::cuda
