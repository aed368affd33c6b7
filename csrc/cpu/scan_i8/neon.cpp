// Kernel `scan_i8` for NEON with dot products of bytes: strips of two vectors by six queries.
#include "scan_i8.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#endif

namespace gpurec::cpu {
namespace {

constexpr int kGroupBytes = kTileItems * kGroup;
constexpr int kVectors = kTileItems / 4;
constexpr int W = 2;  // vectors of a strip
constexpr int kLine = 64;

// Both factors of the dot product are signed: items lose their offset on the way.
inline int8x16_t four_items(const std::uint8_t* codes) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(0x80)));
}

inline int8x16_t four_codes(const std::int8_t* query) {
  std::int32_t codes;
  __builtin_memcpy(&codes, query, sizeof(codes));
  return vreinterpretq_s8_s32(vdupq_n_s32(codes));
}

// 128 times the sum of a query's codes: what the start value has taken off for the offset that is gone.
inline std::int32_t offset_of(const std::int8_t* query, std::int64_t n_groups) {
  int32x4_t sum = vdupq_n_s32(0);
  std::int64_t g = 0;
  for (; g + 4 <= n_groups; g += 4) sum = vdotq_s32(sum, vld1q_s8(query + g * kGroup), vdupq_n_s8(1));
  std::int32_t total = vaddvq_s32(sum);
  for (std::int64_t i = g * kGroup; i < n_groups * kGroup; ++i) total += query[i];
  return 128 * total;
}

// Group G of the four whose codes q holds.
template <int M, int G>
inline void add_group(const std::uint8_t* codes, const int8x16_t (&q)[M], int32x4_t (&sum)[M][W]) {
  const int8x16_t x0 = four_items(codes + G * kGroupBytes);
  const int8x16_t x1 = four_items(codes + G * kGroupBytes + 16);
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    sum[m][0] = vdotq_laneq_s32(sum[m][0], x0, q[m], G);
    sum[m][1] = vdotq_laneq_s32(sum[m][1], x1, q[m], G);
  }
}

// M queries by W vectors of items, whose sums are stored in rows of `sums`. With each group a line from `ahead` on is
// asked for, which moves on by `step` bytes. Returns the and of the sums.
template <int M>
inline int32x4_t strip(const std::int8_t* const* queries, const std::int32_t (&start)[M], const std::uint8_t* codes,
                       std::int64_t n_groups, std::int32_t* sums, const char* ahead, std::int64_t step) {
  const std::int8_t* at[M];
  int8x16_t q[M];
  int32x4_t sum[M][W];
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    at[m] = queries[m];
    sum[m][0] = sum[m][1] = vdupq_n_s32(start[m]);
  }
  std::int64_t g = 0;
  for (; g + 4 <= n_groups; g += 4, codes += 4 * kGroupBytes) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, ahead += step) __builtin_prefetch(ahead);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) q[m] = vld1q_s8(at[m] + g * kGroup);
    add_group<M, 0>(codes, q, sum);
    add_group<M, 1>(codes, q, sum);
    add_group<M, 2>(codes, q, sum);
    add_group<M, 3>(codes, q, sum);
  }
  for (; g < n_groups; ++g, codes += kGroupBytes, ahead += step) {
    __builtin_prefetch(ahead);
#pragma GCC unroll 6
    for (int m = 0; m < M; ++m) q[m] = four_codes(at[m] + g * kGroup);
    add_group<M, 0>(codes, q, sum);
  }
  int32x4_t all = vandq_s32(sum[0][0], sum[0][1]);
#pragma GCC unroll 6
  for (int m = 0; m < M; ++m) {
    vst1q_s32(sums + m * kTileItems, sum[m][0]);
    vst1q_s32(sums + m * kTileItems + 4, sum[m][1]);
    all = vandq_s32(all, vandq_s32(sum[m][0], sum[m][1]));
  }
  return all;
}

// M queries, the first of which is number `first`. Returns how many of them an item comes near.
template <int M>
int sub_tile(const std::int8_t* const* queries, const std::int32_t* start, const std::uint8_t* codes,
             std::int64_t n_groups, int first, std::int32_t* near, std::uint64_t* hits, std::int32_t* sums,
             const char* ahead, std::int64_t step) {
  std::int32_t from[M];
  for (int m = 0; m < M; ++m) {
    const auto offset = std::uint32_t(offset_of(queries[first + m], n_groups));
    from[m] = std::int32_t(std::uint32_t(start[first + m]) + offset);
  }
  int32x4_t all = vdupq_n_s32(-1);
  for (int v = 0; v < kVectors; v += W, ahead += n_groups * step) {
    all = vandq_s32(all, strip<M>(queries + first, from, codes + 16 * v, n_groups, sums + 4 * v, ahead, step));
  }
  // All sums of nearly every sub-tile are negative, which one test tells.
  if (__builtin_expect(vmaxvq_s32(all) < 0, 1)) return 0;
  // Rows move up to the place of those that are not kept.
  const int32x4_t places = {0, 1, 2, 3};
  int n = 0;
  for (int m = 0; m < M; ++m) {
    std::uint64_t bits = 0;
    for (int v = 0; v < kVectors; ++v) {
      const int32x4_t x = vld1q_s32(sums + m * kTileItems + 4 * v);
      vst1q_s32(sums + n * kTileItems + 4 * v, x);
      const uint32x4_t hit = vshrq_n_u32(vreinterpretq_u32_s32(vmvnq_s32(x)), 31);
      bits |= std::uint64_t(vaddvq_u32(vshlq_u32(hit, places))) << (4 * v);
    }
    near[n] = first + m;
    hits[n] = bits;
    n += bits != 0;
  }
  return n;
}

using SubTile = int (*)(const std::int8_t* const*, const std::int32_t*, const std::uint8_t*, std::int64_t, int,
                        std::int32_t*, std::uint64_t*, std::int32_t*, const char*, std::int64_t);
constexpr SubTile kSubTiles[kTileQueries + 1] = {nullptr,     sub_tile<1>, sub_tile<2>, sub_tile<3>,
                                                 sub_tile<4>, sub_tile<5>, sub_tile<6>};

}  // namespace

int scan_tile_i8_neon(const std::int8_t* const* queries, const std::int32_t* start, int n_queries,
                      const std::uint8_t* codes, std::int64_t n_groups, std::int32_t* near, std::uint64_t* hits,
                      std::int32_t* sums, const std::uint8_t* next) {
  // All sub-tiles ask for what comes next, each for its share. To ask for a line twice costs next to nothing, and so
  // does asking for the tile itself where nothing comes.
  const auto* ahead = reinterpret_cast<const char*>(next == nullptr ? codes : next);
  const int n_strips = (n_queries + kTileQueries - 1) / kTileQueries * (kVectors / W);
  const std::int64_t step = (kGroupBytes + n_strips - 1) / n_strips;
  static_assert(kGroupBytes / (kVectors / W) <= kLine, "one line a group must do");
  int n_near = 0;
  for (int first = 0; first < n_queries; first += kTileQueries, ahead += n_groups * (kVectors / W) * step) {
    const int n = n_queries - first < kTileQueries ? n_queries - first : kTileQueries;
    n_near += kSubTiles[n](queries, start, codes, n_groups, first, near + n_near, hits + n_near,
                           sums + n_near * kTileItems, ahead, step);
  }
  return n_near;
}

void start_values_i8_neon(const StartTermsI8& queries, int n_queries, const TileTermsI8& tile, std::int32_t* start) {
  const float32x4_t shift = vdupq_n_f32(tile.shift);
  int m = 0;
  for (; m + 4 <= n_queries; m += 4) {
    const float32x4_t below = vld1q_f32(queries.below + m);
    const float32x4_t of_query = vmulq_n_f32(vld1q_f32(queries.error + m), tile.norm);
    const float32x4_t of_tile = vmulq_n_f32(vld1q_f32(queries.length + m), tile.error);
    const float32x4_t error = vmulq_n_f32(vaddq_f32(of_query, of_tile), 1.0f + 0x1p-20f);
    const float32x4_t slack = vmulq_n_f32(vaddq_f32(vabsq_f32(below), vabsq_f32(shift)), 0x1p-22f);
    const float32x4_t least = vsubq_f32(vsubq_f32(vaddq_f32(below, shift), slack), error);
    const float32x4_t scaled =
        vmulq_n_f32(vmulq_f32(least, vld1q_f32(queries.inverse_scale + m)), tile.inverse_scale);
    const float32x4_t rounding = vmulq_n_f32(vabsq_f32(scaled), 0x1p-20f);
    float32x4_t bound = vsubq_f32(vsubq_f32(scaled, rounding), vdupq_n_f32(1.0f));
    // This maximum of a NaN is its other operand.
    bound = vminq_f32(vmaxnmq_f32(bound, vdupq_n_f32(-0x1p30f)), vdupq_n_f32(0x1p30f));
    const int32x4_t most_of_no_use = vcvtq_s32_f32(vrndmq_f32(bound));
    // x + ~y is x - y - 1
    vst1q_s32(start + m, vaddq_s32(vld1q_s32(queries.offset + m), vmvnq_s32(most_of_no_use)));
  }
  const StartTermsI8 rest = {queries.below + m, queries.length + m, queries.error + m, queries.inverse_scale + m,
                             queries.offset + m};
  start_values_i8_serial(rest, n_queries - m, tile, start + m);
}

void scores_of_sums_neon(const std::int32_t* sums, std::int32_t add, float scale, float shift, float* scores) {
  for (int j = 0; j < kTileItems; j += 4) {
    const int32x4_t dot = vaddq_s32(vld1q_s32(sums + j), vdupq_n_s32(add));
    vst1q_f32(scores + j, vsubq_f32(vmulq_n_f32(vcvtq_f32_s32(dot), scale), vdupq_n_f32(shift)));
  }
}

}  // namespace gpurec::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#elif defined(__clang__)
#pragma clang attribute pop
#endif
#endif
