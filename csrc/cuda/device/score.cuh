// Whole matrices of scores, and scores of pairs.
#pragma once
#include "params.hpp"
#include "multiply.cuh"

namespace gpurec::cuda {

// A distance that is too close to be trusted, summed canonically: those of all lanes' bits, one after another. `at(i)`
// of the asked lane's sum i, as (row of a, row of b).
template <class S, class Products>
GPUREC_DEVICE void score_closely(const ScoreParams& p, std::uint64_t close, std::int64_t first_a, std::int64_t first_b) {
  for (std::uint32_t lanes = ballot(close != 0); lanes != 0; lanes &= lanes - 1) {
    const int owner = lowest_bit(lanes);
    for (std::uint64_t left = shfl(close, owner); left != 0; left &= left - 1) {
      const int i = lowest_bit(left);
      const std::int64_t row = first_a + S::first_query() + shfl(Products::query_of(i), owner);
      const std::int64_t column = first_b + S::tile() * kWarpItems + shfl(Products::item_of(i), owner);
      const float* const a = p.a + row * p.a_stride;
      const float* const b = p.b + column * p.b_stride;
      const double sum = lane_sum_by_warp(p.d, [=](std::int64_t c) {
        const double difference = double(a[c]) - double(b[c]);
        return difference * difference;
      });
      if (lane_index() == owner) p.out[row * p.out_stride + column] = round32(-sum);
    }
  }
}

// Kernel score_tile: all products of rows of a (n_a, a_stride) with rows of b (n_b, b_stride), which are prepared, in
// float32; negative squared distances where `euclidean`, of which bounds.hpp says when float32 can be trusted; the others are
// summed canonically. -> out (n_a, out_stride). Rows begin at multiples of 16 bytes and are zero from d to a stride.
// Launch: x any, 128 rows of b a step, in turn; y = ceil(n_a / 64). shared: 36864 + 768 bytes.
// Bytes: ceil(n_a / 64) times b, ceil(n_b / 128) times a, 4 a score. Not measured.
GPUREC_KERNEL(score_tile, ScoreParams, 128, 3) {
  using S = Middle;
  using Products = Float32Products;
  static_assert(kStages * S::kStageBytes + shared_bytes<float>(S::kQueries) + shared_bytes<float>(S::kItems) <= kScoreTileBytes,
                "a block of whole matrices");
  SharedMemory memory;
  unsigned char* const stages = memory.take<unsigned char>(kStages * S::kStageBytes);
  float* const a_squares = memory.take<float>(S::kQueries);
  float* const b_squares = memory.take<float>(S::kItems);
  const std::int64_t first_a = std::int64_t(block_index_y()) * S::kQueries;
  const int n_steps = int((p.n_b + S::kItems - 1) / S::kItems);
  const int n_bytes = int(p.a_stride < p.b_stride ? p.a_stride : p.b_stride) * 4;
  const bool euclidean = p.euclidean != 0;
  for (int m = thread_index(); m < S::kQueries && euclidean; m += S::kThreads) {
    a_squares[m] = first_a + m < p.n_a ? trusted_square(p.a_squares[first_a + m]) : 0.0f;
  }
  const auto following = [&](int step) { return step + grid_blocks() < n_steps ? step + grid_blocks() : -1; };
  const auto source = [&](int step, int row) -> const unsigned char* {
    const std::int64_t i = row < S::kQueries ? first_a + row : std::int64_t(step) * S::kItems + row - S::kQueries;
    const float* const x = row < S::kQueries ? (i < p.n_a ? p.a + i * p.a_stride : nullptr)
                                             : (i < p.n_b ? p.b + i * p.b_stride : nullptr);
    return reinterpret_cast<const unsigned char*>(x);
  };
  const auto start = [&](int, Products& products) {
    GPUREC_UNROLL
    for (int i = 0; i < kSums; ++i) products.sums[i] = 0.0f;
  };
  const auto begin = [](int) {};
  const auto end = [&](int step, Products& products) {
    const std::int64_t first_b = std::int64_t(step) * S::kItems;
    if (euclidean) {
      sync_block();  // the squares of the step before are no longer read
      for (int n = thread_index(); n < S::kItems; n += S::kThreads) {
        b_squares[n] = first_b + n < p.n_b ? trusted_square(p.b_squares[first_b + n]) : 0.0f;
      }
      sync_block();
    }
    std::uint64_t close = 0;
    GPUREC_UNROLL
    for (int i = 0; i < kSums; ++i) {
      const int m = S::first_query() + Products::query_of(i), n = S::tile() * kWarpItems + Products::item_of(i);
      float score = products.sums[i];
      bool trusted = true;
      if (euclidean) {
        const float squares = a_squares[m] + b_squares[n];
        score = 2.0f * score - squares;
        trusted = trusted_distance(score, squares) && p.d < kWidestTrusted;
      }
      if (first_a + m >= p.n_a || first_b + n >= p.n_b) continue;
      if (trusted) {
        p.out[(first_a + m) * p.out_stride + first_b + n] = score;
      } else {
        close |= std::uint64_t(1) << i;
      }
    }
    if (euclidean) score_closely<S, Products>(p, close, first_a, first_b);
  };
  multiply_tiles<S, Products>(stages, n_bytes, block_index() < n_steps ? block_index() : -1, following, source, begin, start, end);
}

// Kernel score_pairs: canonical scores of row i of a with row i of b, which are prepared -> out (n_a).
// Launch: any grid, blocks of whole warps, a warp eight pairs in turn; no shared memory.
// Bytes: 8 d read and 4 written a pair. Not measured.
GPUREC_KERNEL(score_pairs, ScoreParams, 256) {
  const std::int64_t n_warps = std::int64_t(grid_blocks()) * (block_threads() / kWarp);
  const std::int64_t own = std::int64_t(block_index()) * (block_threads() / kWarp) + warp_index();
  for (std::int64_t first = own * kRowsTogether; first < p.n_a; first += n_warps * kRowsTogether) {
    std::int64_t pairs[kRowsTogether];
    GPUREC_UNROLL
    for (int c = 0; c < kRowsTogether; ++c) pairs[c] = first + c < p.n_a ? first + c : p.n_a - 1;
    double sum;
    if (p.euclidean != 0) {
      sum = -eight_sums(p.d, [&](int c, std::int64_t i) {
        const double difference = double(p.a[pairs[c] * p.a_stride + i]) - double(p.b[pairs[c] * p.b_stride + i]);
        return difference * difference;
      });
    } else {
      sum = eight_sums(p.d, [&](int c, std::int64_t i) {
        return double(p.a[pairs[c] * p.a_stride + i]) * double(p.b[pairs[c] * p.b_stride + i]);
      });
    }
    const std::int64_t pair = first + lane_index() / 4;
    if (lane_index() % 4 == 0 && pair < p.n_a) p.out[pair] = round32(sum);
  }
}

}  // namespace gpurec::cuda
