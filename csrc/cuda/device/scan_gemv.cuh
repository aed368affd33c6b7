// Scans for one to eight queries: items pass through registers once, 16 bytes a load, queries lie in shared memory.
// A few lanes share a row: eight take 128 bytes of it at a time, four 64 bytes of codes.
#pragma once
#include "finish.cuh"
#include "near.cuh"
#include "rows.cuh"

namespace gpurec::cuda {

constexpr int kGemvQueries = 8;  // at most, of one block
constexpr int kGemvThreads = 256;
constexpr int kGemvWarps = kGemvThreads / kWarp;

// A group's lanes add up their shares of kRows rows: lane l of the group gets those of rows l kRows / lanes and on.
template <int kShare, int kRows, class T>
GPUREC_DEVICE void add_shares(T (&sums)[kRows]) {
  const int lane = lane_index();
  int rows = kRows;
  GPUREC_UNROLL
  for (int half = kShare / 2; half > 0; half /= 2) {
    rows /= 2;
    const bool upper = (lane & half) != 0;
    GPUREC_UNROLL
    for (int r = 0; r < kRows / 2; ++r) {
      if (r >= rows) break;
      const T mine = upper ? sums[r + rows] : sums[r];
      const T given = upper ? sums[r] : sums[r + rows];
      sums[r] = mine + shfl_xor(given, half);
    }
  }
}

// How a warp passes over a tile: kShare lanes a row, kRows rows a lane at a time, of which it ends up with kOwn sums.
template <int share, int rows>
struct Passes {
  static constexpr int kShare = share;
  static constexpr int kRows = rows;
  static constexpr int kOwn = rows / share;
  static constexpr int kGroups = kWarp / share;
  static constexpr int kPasses = kTile / (rows * kGroups);
  static constexpr int kLanesOfEight = kGroups == 4 ? 1 | 8 | 16 : 4 | 8 | 16;  // by which lanes of eight items in a row differ
  static_assert(kGroups == 8 || (kGroups == 4 && kOwn == 1), "eight items in a row lie in one own sum of eight lanes");

  GPUREC_DEVICE static int item_of_row(int pass, int r) {
    return pass * rows * kGroups + lane_index() / share + kGroups * r;
  }
  GPUREC_DEVICE static int item_of_lane(int pass, int own) { return item_of_row(pass, lane_index() % share * kOwn + own); }
};

// How float32 rows are read.
template <int share, int rows>
struct Float32Rows : Passes<share, rows> {
  using Query = Float32Query;
  using Vector = float4;

  GPUREC_DEVICE static const unsigned char* row(const Items& items, std::int64_t position) {
    return reinterpret_cast<const unsigned char*>(items.rows + position * items.row_stride);
  }
  GPUREC_DEVICE static std::int64_t stride(const Items& items) { return items.row_stride * 4; }
  GPUREC_DEVICE static std::int64_t bytes(const Items& items) { return items.row_stride * 4; }
  GPUREC_DEVICE static const unsigned char* query_row(const SearchParams& p, std::int64_t i) {
    return reinterpret_cast<const unsigned char*>(p.queries.rows + i * p.items.row_stride);
  }
  GPUREC_DEVICE static float multiply(float sum, const float4& a, const float4& b) {
    return fused(a.w, b.w, fused(a.z, b.z, fused(a.y, b.y, fused(a.x, b.x, sum))));
  }
  GPUREC_DEVICE static float started(float sum, const Items& items, std::int64_t position) {
    return items.euclidean != 0 ? sum + scan_start_of_norm(ld_readonly(items.norms + position)) : sum;
  }
};

// How codes are read.
template <int share, int rows>
struct Int8Rows : Passes<share, rows> {
  using Query = Int8Query;
  using Vector = uint4;

  GPUREC_DEVICE static const unsigned char* row(const Items& items, std::int64_t position) {
    return reinterpret_cast<const unsigned char*>(items.codes + position * items.code_stride);
  }
  GPUREC_DEVICE static std::int64_t stride(const Items& items) { return items.code_stride; }
  GPUREC_DEVICE static std::int64_t bytes(const Items& items) { return round_up(items.d, 16); }
  GPUREC_DEVICE static const unsigned char* query_row(const SearchParams& p, std::int64_t i) {
    return reinterpret_cast<const unsigned char*>(p.queries.codes + i * p.items.code_stride);
  }
  GPUREC_DEVICE static std::int32_t multiply(std::int32_t sum, const uint4& a, const uint4& b) {
    return dot4(a.w, b.w, dot4(a.z, b.z, dot4(a.y, b.y, dot4(a.x, b.x, sum))));
  }
  GPUREC_DEVICE static std::int32_t started(std::int32_t sum, const Items&, std::int64_t) { return sum; }
};

// The queries of a block in shared memory: rows as they are multiplied, and what rules items out.
template <class Query>
struct GemvShared {
  static_assert(shared_bytes<Query>(kGemvQueries) + shared_bytes<std::uint32_t>(1) <= kGemvBytes, "a scan of few queries");
  unsigned char* rows;
  Query* queries;
  std::uint32_t* last;

  template <class Rows>
  GPUREC_DEVICE GemvShared(Rows, SharedMemory& memory, const SearchParams& p, std::int64_t first, int n)
      : rows(memory.take<unsigned char>(kGemvQueries * Rows::bytes(p.items))),
        queries(memory.take<Query>(kGemvQueries)),
        last(memory.take<std::uint32_t>(1)) {
    const int n_vectors = int(Rows::bytes(p.items) / 16);
    for (int v = thread_index(); v < kGemvQueries * n_vectors; v += block_threads()) {
      const int m = v / n_vectors;
      typename Rows::Vector vector = {};
      if (m < n) vector = ld_vec<typename Rows::Vector>(Rows::query_row(p, first + m) + v % n_vectors * 16);
      st_vec(rows + std::int64_t(v) * 16, vector);
    }
    if (thread_index() < kGemvQueries) {
      const std::int64_t i = thread_index() < n ? first + thread_index() : p.queries.n_queries;
      queries[thread_index()].ask(p, i);
    }
    sync_block();
  }
};

// The sums of one pass over a tile: sums[m][own] of item item_of_lane(pass, own).
template <class Rows, int kQueries>
GPUREC_DEVICE void multiply_pass(const Items& items, std::int64_t tile, int pass, const unsigned char* queries,
                                 typename Rows::Query::Value (&sums)[kQueries][Rows::kRows]) {
  using Vector = typename Rows::Vector;
  const int bytes = int(Rows::bytes(items));
  GPUREC_UNROLL
  for (int m = 0; m < kQueries; ++m) {
    GPUREC_UNROLL
    for (int r = 0; r < Rows::kRows; ++r) sums[m][r] = 0;
  }
  const unsigned char* const first = Rows::row(items, (tile << kTileBits) + Rows::item_of_row(pass, 0));
  const int apart = int(Rows::stride(items)) * Rows::kGroups;
  GPUREC_NO_UNROLL  // kRows loads on their way are enough, and more would want more registers
  for (int at = lane_index() % Rows::kShare * 16; at < bytes; at += Rows::kShare * 16) {
    Vector loaded[Rows::kRows];
    GPUREC_UNROLL
    for (int r = 0; r < Rows::kRows; ++r) loaded[r] = ld_streaming_vec<Vector>(first + (r * apart + at));
    GPUREC_UNROLL
    for (int m = 0; m < kQueries; ++m) {
      const Vector query = ld_vec<Vector>(queries + m * bytes + at);
      GPUREC_UNROLL
      for (int r = 0; r < Rows::kRows; ++r) sums[m][r] = Rows::multiply(sums[m][r], query, loaded[r]);
    }
  }
  GPUREC_UNROLL
  for (int m = 0; m < kQueries; ++m) add_shares<Rows::kShare, Rows::kRows>(sums[m]);
}

// The tiles of this warp that any of the block's queries needs, 32 at a time, of which each lane knows one: work(t, tile).
template <class Query, class Work>
GPUREC_DEVICE void for_each_needed_tile(const SearchParams& p, const GemvShared<Query>& shared, int first, int n, Work work) {
  const int n_tiles = int(p.items.n_tiles);
  for (int base = block_index() * kGemvWarps + warp_index(); base < n_tiles; base += grid_blocks() * kGemvThreads) {
    const int t = base + grid_blocks() * kGemvWarps * lane_index();
    bool needed = false;
    TileOfItems tile = {};
    if (t < n_tiles) {
      tile = tile_of<Query::kCodes>(p.items, t);
      for (int m = 0; m < n; ++m) needed = needed || needs(shared.queries[m], tile);
    }
    for (int m = 0; m < n && t < n_tiles && p.counters != nullptr; ++m) {
      count(p, first + m, needed ? kTilesScanned : kTilesSkipped, 1);
    }
    for (std::uint32_t left = ballot(needed); left != 0; left &= left - 1) {
      const int lane = lowest_bit(left);
      TileOfItems known = {shfl(tile.smallest, lane), shfl(tile.largest, lane), 0.0f, 0.0f};
      if constexpr (Query::kCodes) {
        known.scale = shfl(tile.scale, lane);
        known.error = shfl(tile.error, lane);
      }
      work(base + grid_blocks() * kGemvWarps * lane, known);
    }
  }
}

template <class Rows, int kQueries>
GPUREC_DEVICE void scan_few(const SearchParams& p, const GemvShared<typename Rows::Query>& shared, int first, int n) {
  using Query = typename Rows::Query;
  for_each_needed_tile(p, shared, first, n, [&](int t, const TileOfItems& tile) {
    // Lane m knows what query m's sums have to get past.
    typename Query::Limit limit = {};
    if (lane_index() < kQueries) limit = shared.queries[lane_index()].limit(tile, p.items.euclidean != 0);
    for (int pass = 0; pass < Rows::kPasses; ++pass) {
      typename Query::Value sums[kQueries][Rows::kRows];
      multiply_pass<Rows, kQueries>(p.items, t, pass, shared.rows, sums);
      GPUREC_UNROLL
      for (int own = 0; own < Rows::kOwn; ++own) {
        const int item = Rows::item_of_lane(pass, own);
        std::uint32_t near = 0;
        GPUREC_UNROLL
        for (int m = 0; m < kQueries; ++m) {
          const auto sum = Rows::started(sums[m][own], p.items, (std::int64_t(t) << kTileBits) + item);
          near |= std::uint32_t(Query::is_near(sum, shfl(limit, m))) << m;
          sums[m][own] = sum;
        }
        for (std::uint32_t left = near; left != 0; left &= left - 1) {  // nobody waits for the others until the next item
          const int m = lowest_bit(left);
          if (m >= n) break;
          auto sum = sums[0][own];
          GPUREC_UNROLL
          for (int other = 1; other < kQueries; ++other) sum = m == other ? sums[other][own] : sum;
          enter(p, first + m, (std::int64_t(t) << kTileBits) + item, shared.queries[m].scan_value(sum, tile));
        }
      }
      sync_warp();
    }
  });
}

// Of queries from, from + 1, ... of the block.
template <class Rows, int kQueries>
GPUREC_DEVICE void sample_few(const SearchParams& p, const GemvShared<typename Rows::Query>& shared, std::int64_t first, int n, int from) {
  using Query = typename Rows::Query;
  const std::int64_t groups = kTile / p.group;
  for (std::int64_t s = block_index() * kGemvWarps + warp_index(); s < p.n_sampled; s += grid_blocks() * kGemvWarps) {
    const std::int64_t t = p.sample_first + s * p.sample_every;
    const TileOfItems tile = tile_of<Query::kCodes>(p.items, t);
    std::uint64_t best_of_tile[kQueries] = {};
    for (int pass = 0; pass < Rows::kPasses; ++pass) {
      typename Query::Value sums[kQueries][Rows::kRows];
      multiply_pass<Rows, kQueries>(p.items, t, pass, shared.rows + from * Rows::bytes(p.items), sums);
      GPUREC_UNROLL
      for (int own = 0; own < Rows::kOwn; ++own) {
        const int item = Rows::item_of_lane(pass, own);
        const std::int64_t position = (t << kTileBits) + item;
        GPUREC_UNROLL
        for (int m = 0; m < kQueries; ++m) {
          const auto sum = Rows::started(sums[m][own], p.items, position);
          std::uint64_t key =
              sample_key<Query::kCodes>(p.items, position, shared.queries[from + m].dot_value(sum, tile));
          if (p.group == 1) {
            if (from + m < n) write_sample(p, first + from + m, s * groups + item, key);
            continue;
          }
          GPUREC_UNROLL
          for (int bit = 1; bit < kWarp; bit *= 2) {
            if ((Rows::kLanesOfEight & bit) == 0) continue;
            const std::uint64_t other = shfl_xor(key, bit);
            key = other > key ? other : key;
          }
          if (p.group == 8) {
            if (from + m < n && (lane_index() & Rows::kLanesOfEight) == 0) write_sample(p, first + from + m, s * groups + item / 8, key);
            continue;
          }
          best_of_tile[m] = key > best_of_tile[m] ? key : best_of_tile[m];
        }
      }
    }
    if (p.group != kTile) continue;
    GPUREC_UNROLL
    for (int m = 0; m < kQueries; ++m) {
      const std::uint64_t key = largest_of_warp(best_of_tile[m]);
      if (from + m < n && lane_index() == 0) write_sample(p, first + from + m, s, key);
    }
  }
}

template <class Rows, class FewerRows, bool kSample>
GPUREC_DEVICE void gemv(const SearchParams& p) {
  SharedMemory memory;
  FinishShared finishing(memory);
  const int first = block_index_y() * kGemvQueries;
  const std::int64_t left = p.queries.n_queries - first;
  const int n = left < kGemvQueries ? int(left) : kGemvQueries;
  const GemvShared<typename Rows::Query> shared(Rows(), memory, p, first, n);
  if constexpr (kSample) {
    if (n == 1) {
      sample_few<Rows, 1>(p, shared, first, n, 0);
    } else {
      for (int from = 0; from < n; from += 4) sample_few<FewerRows, 4>(p, shared, first, n, from);
    }
  } else if (n == 1) {
    scan_few<Rows, 1>(p, shared, first, n);
  } else if (n <= 4) {
    scan_few<FewerRows, 4>(p, shared, first, n);
  } else {
    scan_few<FewerRows, 8>(p, shared, first, n);
  }
  if (Rows::Query::kCodes && !kSample && block_index_y() == 0) give_up_queries_without_codes(p);
  if (p.fused == 0 || !is_last_block(p.arrivals + (kSample ? 0 : 1), blocks_of_grid(), shared.last)) return;
  for (std::int64_t i = 0; i < p.queries.n_queries; ++i) {
    if (!kSample) {
      finish_query(p, i, finishing);
    } else if (p.queries.status[i] == kQueryFine) {
      suppose_threshold(p, i, *finishing.selection);
    }
    sync_block();
  }
}

// Kernels scan_gemv_f32, scan_gemv_i8: all tiles that norms leave possible, against eight queries a block; what comes near
// and may be given is entered in the lists. Fused, the last block finishes.
// rows (n_tiles * 64, row_stride) or codes, prepared queries, taus -> entries (n_queries, capacity), counts.
// Launch: x any, tiles go to warps in turn; y = ceil(n_queries / 8). shared: kFinishBytes + kGemvBytes and eight rows (4
// row_stride bytes each, or d rounded up to 16).
// Bytes: 4 row_stride an item, or d rounded up to 16; 16 a tile; 4 more an item for distances in float32. Not measured.
GPUREC_KERNEL(scan_gemv_f32, SearchParams, kGemvThreads, 2) { gemv<Float32Rows<8, 8>, Float32Rows<4, 4>, false>(p); }
GPUREC_KERNEL(scan_gemv_i8, SearchParams, kGemvThreads, 2) { gemv<Int8Rows<4, 8>, Int8Rows<4, 4>, false>(p); }

// Kernels sample_gemv_f32, sample_gemv_i8: the best scan value of each group of items of the sampled tiles that a query may
// be given, -inf where there is none or the best is denied. Fused, the last block supposes the thresholds.
// -> samples (n_queries, samples_per_query). Launch and bytes as for the scans; tiles are the sampled ones.
GPUREC_KERNEL(sample_gemv_f32, SearchParams, kGemvThreads, 2) { gemv<Float32Rows<8, 8>, Float32Rows<4, 4>, true>(p); }
GPUREC_KERNEL(sample_gemv_i8, SearchParams, kGemvThreads, 2) { gemv<Int8Rows<4, 8>, Int8Rows<4, 4>, true>(p); }

}  // namespace gpurec::cuda
