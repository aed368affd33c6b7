// Products of many rows with many rows: a pipeline of copies into shared memory, and warps that multiply 32 rows of the
// one side ("queries") with 64 of the other ("items") in registers. Scans and whole matrices differ in what they do then.
#pragma once
#include "rows.cuh"

namespace gpurec::cuda {

constexpr int kChunk = 64;   // bytes of a row at a time
constexpr int kStages = 3;   // chunks in shared memory
constexpr int kWarpQueries = 32;
constexpr int kWarpItems = 64;
constexpr int kSums = kWarpQueries * kWarpItems / kWarp;  // of a thread

template <int warps_of_queries, int warps_of_items>
struct Shape {
  static constexpr int kThreads = kWarp * warps_of_queries * warps_of_items;
  static constexpr int kQueries = kWarpQueries * warps_of_queries;
  static constexpr int kTiles = warps_of_items;  // of items
  static constexpr int kItems = kWarpItems * warps_of_items;
  static constexpr int kStageBytes = (kQueries + kItems) * kChunk;

  GPUREC_DEVICE static int first_query() { return warp_index() / warps_of_items * kWarpQueries; }
  GPUREC_DEVICE static int tile() { return warp_index() % warps_of_items; }
};
using Wide = Shape<4, 2>;    // 128 queries, 128 items, 256 threads
using Middle = Shape<2, 2>;  // 64 queries
using Narrow = Shape<1, 2>;  // 32 queries, 64 threads

// Where 16 bytes of a row lie in a chunk. Two rows share 128 bytes, which pairs of rows permute, so that neither eight rows'
// parts of one number nor the parts of two rows meet in a bank.
GPUREC_DEVICE int place_of(int row, int part) { return row / 2 * 128 + ((row % 2 * 4 + part) ^ (row / 2 % 4)) * 16; }

// Starts copying a chunk: source(row) is where a row begins, null where there is none; the chunk's bytes at `n_bytes` and
// beyond become zeros.
template <class S, class Source>
GPUREC_DEVICE void copy_chunk(unsigned char* stage, Source source, int at, int n_bytes) {
  constexpr int kParts = kChunk / 16;
  GPUREC_NO_UNROLL  // addresses of several copies at once would not find registers beside the sums
  for (int v = thread_index(); v < (S::kQueries + S::kItems) * kParts; v += S::kThreads) {
    const int row = v / kParts, part = v % kParts;
    const unsigned char* const from = source(row);
    const bool valid = from != nullptr && at + part * 16 < n_bytes;
    cp_async16(stage + place_of(row, part), valid ? from + at + part * 16 : nullptr, valid);
  }
}

// How matrix units multiply 16 bytes of each lane's rows g and g + 8 with 16 bytes of a row of items. Which words make a
// fragment does not matter, as long as it is the same for both sides.
struct CodesUnit {
  using Sum = std::int32_t;
  GPUREC_DEVICE static void multiply(Sum (&d)[4], const uint4& a, const uint4& below, const uint4& b) {
    if (GPUREC_PLANTED(cuda_fragment_order)) {
      mma_i8(d, {a.x, a.y, below.x, below.y}, {b.x, b.y});
    } else {
      mma_i8(d, {a.x, below.x, a.y, below.y}, {b.x, b.y});
    }
    mma_i8(d, {a.z, below.z, a.w, below.w}, {b.z, b.w});
  }
};
#if defined(GPUREC_FLOAT_TILES) && GPUREC_FLOAT_MMA
struct Tf32Unit {
  using Sum = float;
  static constexpr double kCut = 0x1p-10;  // of an input
  GPUREC_DEVICE static void multiply(Sum (&d)[4], const uint4& a, const uint4& below, const uint4& b) {
    mma_tf32(d, {a.x, below.x, a.y, below.y}, {b.x, b.y});
    mma_tf32(d, {a.z, below.z, a.w, below.w}, {b.z, b.w});
  }
};
struct Bf16Unit {
  using Sum = float;
  static constexpr double kCut = 0x1p-7;
  GPUREC_DEVICE static std::uint32_t pair(std::uint32_t low, std::uint32_t high) {
    return low >> 16 | (high & 0xffff0000u);
  }
  GPUREC_DEVICE static void multiply(Sum (&d)[4], const uint4& a, const uint4& below, const uint4& b) {
    mma_bf16(d, {pair(a.x, a.y), pair(below.x, below.y), pair(a.z, a.w), pair(below.z, below.w)},
             {pair(b.x, b.y), pair(b.z, b.w)});
  }
};
#endif

// Sum i of a thread: rows and columns as simt.hpp says of tiles.
template <class Unit>
struct MatrixProducts {
  typename Unit::Sum sums[kSums];

  GPUREC_DEVICE static int query_of(int i) { return i / 32 * 16 + i % 4 / 2 * 8 + lane_index() / 4; }
  GPUREC_DEVICE static int item_of(int i) { return i % 32 / 4 * 8 + lane_index() % 4 * 2 + i % 2; }

  template <class S>
  GPUREC_DEVICE void multiply(const unsigned char* stage) {
    const int own = place_of(lane_index() / 4, lane_index() % 4);  // eight rows on the pattern is the same again
    const unsigned char* const queries = stage + S::first_query() * kChunk + own;
    const unsigned char* const items = stage + (S::kQueries + S::tile() * kWarpItems) * kChunk + own;
    uint4 a[2][2];
    GPUREC_UNROLL
    for (int m = 0; m < 2; ++m) {
      GPUREC_UNROLL
      for (int half = 0; half < 2; ++half) a[m][half] = ld_vec<uint4>(queries + (m * 16 + half * 8) * kChunk);
    }
    GPUREC_UNROLL
    for (int n = 0; n < 8; ++n) {
      const uint4 b = ld_vec<uint4>(items + n * 8 * kChunk);
      GPUREC_UNROLL
      for (int m = 0; m < 2; ++m) {
        Unit::multiply(*reinterpret_cast<typename Unit::Sum(*)[4]>(sums + (m * 8 + n) * 4), a[m][0], a[m][1], b);
      }
    }
  }
};

// Float32, multiplied by the threads themselves: eight queries with eight items each.
struct Float32Products {
  float sums[kSums];

  GPUREC_DEVICE static int query_of(int i) { return lane_index() / 8 * 8 + i / 8; }
  GPUREC_DEVICE static int item_of(int i) { return i % 8 * 8 + lane_index() % 8; }

  template <class S>
  GPUREC_DEVICE void multiply(const unsigned char* stage) {
    const unsigned char* const queries = stage + (S::first_query() + lane_index() / 8 * 8) * kChunk;
    const unsigned char* const items = stage + (S::kQueries + S::tile() * kWarpItems) * kChunk;
    GPUREC_NO_UNROLL  // else loads are moved ahead until registers run out
    for (int part = 0; part < kChunk / 16; ++part) {
      const unsigned char* const own = items + place_of(lane_index() % 8, part);
      float4 a[8];
      GPUREC_UNROLL
      for (int m = 0; m < 8; ++m) a[m] = ld_vec<float4>(queries + place_of(m, part));
      GPUREC_UNROLL
      for (int n = 0; n < 8; ++n) {
        const float4 b = ld_vec<float4>(own + n * 8 * kChunk);
        GPUREC_UNROLL
        for (int m = 0; m < 8; ++m) {
          float& sum = sums[m * 8 + n];
          sum = fused(a[m].w, b.w, fused(a[m].z, b.z, fused(a[m].y, b.y, fused(a[m].x, b.x, sum))));
        }
      }
    }
  }
};

// Multiplies tile after tile: `first`, following(first), ... until it is negative. source(tile, row) as copy_chunk wants
// it; begin(tile) may write shared memory that start(tile, products), which sets the sums, reads; end(tile, products).
// `stages` are kStages * S::kStageBytes.
template <class S, class Products, class Following, class Source, class Begin, class Start, class End>
GPUREC_DEVICE void multiply_tiles(unsigned char* stages, int n_bytes, int first, Following following,
                                  Source source, Begin begin, Start start, End end) {
  int coming = first, coming_at = 0, out = 0;
  const auto copy_next = [&](int in) {
    if (coming >= 0) {
      const int tile = coming;
      copy_chunk<S>(stages + in * S::kStageBytes, [&](int row) { return source(tile, row); }, coming_at, n_bytes);
      coming_at += kChunk;
      if (coming_at >= n_bytes) {
        coming_at = 0;
        coming = following(coming);
      }
    }
    cp_async_commit();
  };
  for (int s = 0; s < kStages - 1; ++s) copy_next(s);
  for (int tile = first; tile >= 0; tile = following(tile)) {
    begin(tile);
    Products products;
    for (int at = 0; at < n_bytes; at += kChunk) {
      if (GPUREC_PLANTED(cuda_copy_not_awaited)) {
        cp_async_wait<kStages - 1>();
      } else {
        cp_async_wait<kStages - 2>();
      }
      sync_block();  // what all threads copied is there, and nobody reads what is overwritten next
      if (at == 0) start(tile, products);
      copy_next(out == 0 ? kStages - 1 : out - 1);
      products.template multiply<S>(stages + out * S::kStageBytes);
      out = out + 1 == kStages ? 0 : out + 1;
    }
    end(tile, products);
  }
  cp_async_wait<0>();
  sync_block();
}

}  // namespace gpurec::cuda
