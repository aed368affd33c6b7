// Scans for many queries: a block takes 128 or 32 queries and passes over all items that norms leave possible for any of
// them, two tiles at a time. Codes go through the matrix units, float32 through the threads.
#pragma once
#include "near.cuh"
#include "multiply.cuh"

namespace gpurec::cuda {

// How a scan reads codes.
struct Int8Scan {
  using Query = Int8Query;
  using Products = MatrixProducts<CodesUnit>;

  GPUREC_DEVICE static std::int64_t bytes(const Items& items) { return items.code_stride; }
  GPUREC_DEVICE static const void* item(const Items& items, std::int64_t position) {
    return items.codes + position * items.code_stride;
  }
  // Rows of codes go on to a multiple of 128 queries.
  GPUREC_DEVICE static const void* query(const SearchParams& p, std::int64_t i) {
    return p.queries.codes + i * p.items.code_stride;
  }
  GPUREC_DEVICE static void ask(Query& query, const SearchParams& p, std::int64_t i) { query.ask(p, i); }
  // Sums begin at minus their limit, so that what comes near is not negative: one bit of each to look at.
  GPUREC_DEVICE static std::int32_t start(std::int32_t limit, float) { return -limit; }
  GPUREC_DEVICE static std::int32_t value(std::int32_t sum, std::int32_t limit) { return sum + limit; }
  template <class Limit>
  GPUREC_DEVICE static bool any_near(const Products& products, Limit) {
    std::int32_t signs = -1;
    GPUREC_UNROLL
    for (int i = 0; i < kSums; ++i) signs &= products.sums[i];
    return signs >= 0;
  }
  GPUREC_DEVICE static bool is_near(std::int32_t sum, std::int32_t) { return sum >= 0; }
};

// How a scan reads float32 rows.
template <class Bound, class Multiplied>
struct FloatScan {
  using Query = FloatQuery<Bound>;
  using Products = Multiplied;

  GPUREC_DEVICE static std::int64_t bytes(const Items& items) { return items.row_stride * 4; }
  GPUREC_DEVICE static const void* item(const Items& items, std::int64_t position) {
    return items.rows + position * items.row_stride;
  }
  GPUREC_DEVICE static const void* query(const SearchParams& p, std::int64_t i) {
    return i < p.queries.n_queries ? p.queries.rows + i * p.items.row_stride : nullptr;
  }
  GPUREC_DEVICE static float start(float, float scan_start) { return scan_start; }
  GPUREC_DEVICE static float value(float sum, float) { return sum; }
  template <class Limit>
  GPUREC_DEVICE static bool any_near(const Products& products, Limit limit) {
    bool near = false;
    GPUREC_UNROLL
    for (int i = 0; i < kSums; ++i) near = near || is_near(products.sums[i], limit(i));
    return near;
  }
  GPUREC_DEVICE static bool is_near(float sum, float limit) { return Query::is_near(sum, limit); }
};

struct Float32Scan : FloatScan<Float32Bound, Float32Products> {
  GPUREC_DEVICE static void ask(Query& query, const SearchParams& p, std::int64_t i) { query.ask(p, i); }
};
#if defined(GPUREC_FLOAT_TILES) && GPUREC_FLOAT_MMA
template <class Unit>
struct FloatUnitScan : FloatScan<MatrixUnitBound, MatrixProducts<Unit>> {
  using Query = FloatQuery<MatrixUnitBound>;
  GPUREC_DEVICE static void ask(Query& query, const SearchParams& p, std::int64_t i) { query.ask(p, i, Unit::kCut); }
};
#endif

// Shared memory of a block that scans.
template <class Scan, class S>
struct MmaShared {
  using Limit = typename Scan::Query::Limit;
  unsigned char* stages;
  typename Scan::Query* queries;
  Limit* limits;   // two sets, of two tiles one after another: (kTiles, kQueries)
  float* starts;   // likewise: kItems
  TileOfItems* tiles;  // of 32 steps
  std::uint32_t* needed;
  float* values;   // of a sample: (kQueries, kValuesStride), each tile one after another

  static constexpr int kValuesStride = kWarpItems + 1;
  static_assert(kStages * S::kStageBytes + shared_bytes<typename Scan::Query>(S::kQueries) +
                        shared_bytes<Limit>(2 * S::kTiles * S::kQueries) + shared_bytes<float>(2 * S::kItems) +
                        shared_bytes<TileOfItems>(kWarp * S::kTiles) + shared_bytes<std::uint32_t>(1) <=
                    kMmaBytes + S::kQueries * kMmaBytesOfQuery,
                "a scan of many queries");
  static_assert(shared_bytes<float>(S::kTiles * kWarpQueries * kValuesStride) <= kMmaBytesOfSample, "a sample of a narrow scan");

  GPUREC_DEVICE MmaShared(SharedMemory& memory, bool samples)
      : stages(memory.take<unsigned char>(kStages * S::kStageBytes)),
        queries(memory.take<typename Scan::Query>(S::kQueries)),
        limits(memory.take<Limit>(2 * S::kTiles * S::kQueries)),
        starts(memory.take<float>(2 * S::kItems)),
        tiles(memory.take<TileOfItems>(kWarp * S::kTiles)),
        needed(memory.take<std::uint32_t>(1)),
        values(samples ? memory.take<float>(S::kTiles * S::kQueries * kValuesStride) : nullptr) {}
};

// Enters what of a thread's sums came near. `limit(i)` is that of sum i.
template <class Scan, class S, class Limit>
GPUREC_DEVICE void enter_near(const SearchParams& p, const typename Scan::Products& products, Limit limit,
                              const typename Scan::Query* queries, int first_query, int t,
                              const TileOfItems& tile) {
  if (!Scan::any_near(products, limit)) return;
  std::uint64_t near = 0;
  GPUREC_UNROLL
  for (int i = 0; i < kSums; ++i) near |= std::uint64_t(Scan::is_near(products.sums[i], limit(i))) << i;
  for (; near != 0; near &= near - 1) {
    const int i = lowest_bit(near);
    auto sum = products.sums[0];
    GPUREC_UNROLL
    for (int other = 1; other < kSums; ++other) sum = i == other ? products.sums[other] : sum;
    const int m = S::first_query() + Scan::Products::query_of(i);
    if (first_query + m >= p.queries.n_queries) continue;
    enter(p, first_query + m, (std::int64_t(t) << kTileBits) + Scan::Products::item_of(i),
          queries[m].scan_value(Scan::value(sum, limit(i)), tile));
  }
}

// Samples of one query from the values of a tile, of which a lane has item `lane` and item `lane + 32`.
template <bool with_codes>
GPUREC_DEVICE void sample_values(const SearchParams& p, std::int64_t query, std::int64_t s, std::int64_t t, float low,
                                 float high) {
  const int lane = lane_index();
  std::uint64_t keys[2] = {sample_key<with_codes>(p.items, (t << kTileBits) + lane, low),
                           sample_key<with_codes>(p.items, (t << kTileBits) + kWarp + lane, high)};
  GPUREC_NO_UNROLL
  for (int reach = 1; reach < (p.group == kTile ? kWarp : int(p.group)); reach *= 2) {
    GPUREC_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::uint64_t other = shfl_xor(keys[half], reach);
      keys[half] = other > keys[half] ? other : keys[half];
    }
  }
  if (p.group == kTile) {
    if (lane == 0) write_sample(p, query, s, keys[0] > keys[1] ? keys[0] : keys[1]);
    return;
  }
  if (lane % p.group != 0) return;
  GPUREC_NO_UNROLL
  for (int half = 0; half < 2; ++half) {
    write_sample(p, query, (s * kTile + half * kWarp + lane) / p.group, half == 0 ? keys[0] : keys[1]);
  }
}

template <class Scan, class S, bool kSample>
GPUREC_DEVICE void scan_many(const SearchParams& p) {
  using Products = typename Scan::Products;
  using Limit = typename Scan::Query::Limit;
  SharedMemory memory;
  const MmaShared<Scan, S> shared(memory, kSample);
  const Items& items = p.items;
  const int first_query = block_index_y() * S::kQueries;
  const int n_tiles = int(kSample ? p.n_sampled : items.n_tiles);
  const int n_steps = (n_tiles + S::kTiles - 1) / S::kTiles - (GPUREC_PLANTED(cuda_tail_tile) ? n_tiles % S::kTiles : 0);
  const auto tile_at = [&](std::int64_t i) { return kSample ? p.sample_first + i * p.sample_every : i; };
  const std::int64_t left = p.queries.n_queries - first_query;
  const int n_queries = left < S::kQueries ? int(left) : S::kQueries;
  for (int m = thread_index(); m < S::kQueries; m += S::kThreads) Scan::ask(shared.queries[m], p, first_query + m);
  if (Scan::Query::kCodes && !kSample && block_index_y() == 0) give_up_queries_without_codes(p);

  // 32 steps at a time: which of them any of the queries needs.
  for (int base = block_index(); base < n_steps; base += grid_blocks() * kWarp) {
    if (thread_index() == 0) *shared.needed = 0;
    const int steps_left = (n_steps - base + grid_blocks() - 1) / grid_blocks();
    const int n_here = steps_left < kWarp ? steps_left : kWarp;
    GPUREC_NO_UNROLL  // its addresses would find no registers through the products
    for (int i = thread_index(); i < n_here * S::kTiles; i += S::kThreads) {
      const int t = (base + grid_blocks() * (i / S::kTiles)) * S::kTiles + i % S::kTiles;
      if (t >= n_tiles) continue;
      const TileOfItems tile = tile_of<Scan::Query::kCodes>(items, tile_at(t));
      st_vec(shared.tiles + i, float4{tile.smallest, tile.largest, tile.scale, tile.error});
    }
    sync_block();
    std::uint32_t needed = 0;
    for (int i = thread_index(); i < S::kQueries * n_here; i += S::kThreads) {
      const int bit = i / S::kQueries;
      for (int n = 0; n < S::kTiles; ++n) {
        if ((base + grid_blocks() * bit) * S::kTiles + n >= n_tiles) break;
        const bool needs_it = kSample || needs(shared.queries[i % S::kQueries], shared.tiles[bit * S::kTiles + n]);
        needed |= std::uint32_t(needs_it) << bit;
      }
    }
    if (needed != 0) atomic_or(shared.needed, needed);
    sync_block();
    if (p.counters != nullptr && !kSample && thread_index() < S::kQueries && thread_index() < n_queries) {
      const int n_needed = popcount(*shared.needed);
      count(p, first_query + thread_index(), kTilesScanned, std::uint64_t(n_needed * S::kTiles));
      count(p, first_query + thread_index(), kTilesSkipped, std::uint64_t((n_here - n_needed) * S::kTiles));
    }

    // Steps leave limits and starts in two places in turn.
    const auto parity_of = [&](int bit) { return popcount(*shared.needed & ((1u << bit) - 1u)) % 2; };
    const auto step_of = [&](int bit) { return base + grid_blocks() * bit; };
    const auto following = [&](int bit) {
      return lowest_bit(bit == kWarp - 1 ? 0u : *shared.needed & (~0u << (bit + 1)));
    };
    const auto source = [&](int bit, int row) -> const unsigned char* {
      if (row < S::kQueries) return static_cast<const unsigned char*>(Scan::query(p, first_query + row));
      const int i = step_of(bit) * S::kTiles + (row - S::kQueries) / kTile;
      if (i >= n_tiles) return nullptr;
      return static_cast<const unsigned char*>(Scan::item(items, (tile_at(i) << kTileBits) + (row - S::kQueries) % kTile));
    };
    const auto begin = [&](int bit) {
      const int parity = parity_of(bit);
      for (int i = thread_index(); i < S::kTiles * S::kQueries && !kSample; i += S::kThreads) {
        const int t = step_of(bit) * S::kTiles + i / S::kQueries;
        const TileOfItems& tile = shared.tiles[bit * S::kTiles + i / S::kQueries];
        const typename Scan::Query& query = shared.queries[i % S::kQueries];
        shared.limits[parity * S::kTiles * S::kQueries + i] =
            t < n_tiles ? query.limit(tile, items.euclidean != 0) : Scan::Query::never();
      }
      for (int i = thread_index(); i < S::kItems && !Scan::Query::kCodes && items.euclidean != 0; i += S::kThreads) {
        const int tile = step_of(bit) * S::kTiles + i / kTile;
        const float norm = tile < n_tiles ? ld_readonly(items.norms + (tile_at(tile) << kTileBits) + i % kTile) : 0.0f;
        shared.starts[parity * S::kItems + i] = scan_start_of_norm(norm);
      }
    };
    const auto limits_of = [&](int bit) {
      const Limit* const limits = shared.limits + (parity_of(bit) * S::kTiles + S::tile()) * S::kQueries;
      return [=](int i) { return kSample ? Limit(0) : limits[S::first_query() + Products::query_of(i)]; };
    };
    const auto start = [&](int bit, Products& products) {
      const auto limit = limits_of(bit);
      const float* const starts = shared.starts + parity_of(bit) * S::kItems + S::tile() * kWarpItems;
      GPUREC_UNROLL
      for (int i = 0; i < kSums; ++i) {
        const bool shifted = !Scan::Query::kCodes && items.euclidean != 0;
        products.sums[i] = Scan::start(limit(i), shifted ? starts[Products::item_of(i)] : 0.0f);
      }
    };
    const auto end = [&](int bit, Products& products) {
      const int i = step_of(bit) * S::kTiles + S::tile();
      if constexpr (!kSample) {
        if (i < n_tiles) {
          const TileOfItems& tile = shared.tiles[bit * S::kTiles + S::tile()];
          enter_near<Scan, S>(p, products, limits_of(bit), shared.queries, first_query, i, tile);
        }
        return;
      } else {
        if (i >= n_tiles) return;  // all of the warp
        float* const values = shared.values + S::tile() * S::kQueries * MmaShared<Scan, S>::kValuesStride;
        const TileOfItems tile = shared.tiles[bit * S::kTiles + S::tile()];
        sync_warp();
        GPUREC_UNROLL
        for (int e = 0; e < kSums; ++e) {
          const int m = S::first_query() + Products::query_of(e);
          values[m * MmaShared<Scan, S>::kValuesStride + Products::item_of(e)] =
              shared.queries[m].dot_value(products.sums[e], tile);
        }
        sync_warp();
        for (int m = S::first_query(); m < S::first_query() + kWarpQueries && m < n_queries; ++m) {
          const float* const row = values + m * MmaShared<Scan, S>::kValuesStride;
          sample_values<Scan::Query::kCodes>(p, first_query + m, i, tile_at(i), row[lane_index()], row[kWarp + lane_index()]);
        }
      }
    };
    multiply_tiles<S, Products>(shared.stages, int(Scan::bytes(items)), lowest_bit(*shared.needed), following, source, begin, start, end);
  }
}

// Kernels scan_mma_i8, scan_mma_f32: all tiles that norms leave possible against blocks of 128 queries; the _narrow ones
// take 32, for fewer. What comes near and may be given is entered in the lists.
// codes (n_tiles * 64, code_stride), or rows; prepared queries, taus -> entries (n_queries, capacity), counts.
// Launch: x any, pairs of tiles go to blocks in turn; y = ceil(n_queries / 128), narrow 32.
// shared: kMmaBytes, and kMmaBytesOfQuery for each of a block's queries. Bytes: ceil(n_queries / 128) times the items',
// ceil(n_tiles / 2) times the queries' (from the second-level cache), 16 a tile. Not measured.
GPUREC_KERNEL(scan_mma_i8, SearchParams, 256, 2) { scan_many<Int8Scan, Wide, false>(p); }
GPUREC_KERNEL(scan_mma_i8_narrow, SearchParams, 64, 6) { scan_many<Int8Scan, Narrow, false>(p); }
GPUREC_KERNEL(scan_mma_f32, SearchParams, 128, 3) { scan_many<Float32Scan, Middle, false>(p); }
GPUREC_KERNEL(scan_mma_f32_narrow, SearchParams, 64, 6) { scan_many<Float32Scan, Narrow, false>(p); }

#if defined(GPUREC_FLOAT_TILES) && GPUREC_FLOAT_MMA
// Kernels scan_mma_tf32, scan_mma_bf16: the same by float tiles of the matrix units. Left out until a device has passed the
// conformance suite with them, since their bound is supposed.
GPUREC_KERNEL(scan_mma_tf32, SearchParams, 256, 2) { scan_many<FloatUnitScan<Tf32Unit>, Wide, false>(p); }
GPUREC_KERNEL(scan_mma_bf16, SearchParams, 256, 2) { scan_many<FloatUnitScan<Bf16Unit>, Wide, false>(p); }
#endif

// Kernels sample_mma_i8, sample_mma_f32: the best scan value of each group of items of the sampled tiles that a query may
// be given, -inf where there is none or the best is denied -> samples (n_queries, samples_per_query).
// Launch: x any, pairs of sampled tiles; y = ceil(n_queries / 32). shared: as narrow scans, and kMmaBytesOfSample. Bytes
// as for the scans.
GPUREC_KERNEL(sample_mma_i8, SearchParams, 64, 6) { scan_many<Int8Scan, Narrow, true>(p); }
GPUREC_KERNEL(sample_mma_f32, SearchParams, 64, 6) { scan_many<Float32Scan, Narrow, true>(p); }

}  // namespace gpurec::cuda
