// Epochs of pairwise ranking: gpurec/bpr.hpp on a device, bit for bit. Negatives of an epoch are drawn all at once, since
// draws depend on counters alone; then the tasks of a round, which share no row, are a warp each.
#pragma once
#include "gpurec/planted.hpp"
#include "params.hpp"
#include "simt/simt.hpp"

namespace gpurec::cuda {

using namespace simt;

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;
constexpr std::int32_t kPlaceBits = 0x7fffffff;  // of a positive's place; the sign says that it is not visited
constexpr int kRankingLanes = 16;                // of sums

// The finaliser of SplitMix64.
GPUREC_DEVICE std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// The upper half of a product, which is the part of 0..n-1 that a drawn number falls on.
GPUREC_DEVICE std::uint64_t part_of(std::uint64_t drawn, std::uint64_t n) {
  const std::uint64_t low = 0xffffffffu, a = drawn & low, b = drawn >> 32, c = n & low, d = n >> 32;
  const std::uint64_t middle = b * c + (a * c >> 32), other = a * d + (middle & low);
  return b * d + (middle >> 32) + (other >> 32);
}

// Kernel bpr_draws: the negatives of an epoch's visits -> negatives (n_positives, n_draws), item rows; -1 in all of a visit's
// where its user has everything that may be drawn of the block. A draw is a number among what is left of the block when the
// user's positives are taken out, so none is rejected. Launch: any grid, a thread a visit in turn; no shared memory.
// Bytes: 8 a positive of the user's in the block and draw, of a cache but for the first, 4 a draw. Not measured.
GPUREC_KERNEL(bpr_draws, RankingParams, 256) {
  const std::int64_t n_threads = std::int64_t(grid_blocks()) * block_threads();
  for (std::int64_t t = std::int64_t(block_index()) * block_threads() + thread_index(); t < p.n_positives; t += n_threads) {
    if (p.places[t] < 0) continue;
    const std::int32_t user = p.users_of[t];
    const std::int32_t own = p.places[t];
    const std::int64_t block = p.block_of[own], first = p.first_place[block];
    const std::int64_t end_drawable = first + p.n_drawable[block], end_block = p.first_place[block + 1];
    const auto with_user = [&](std::int64_t at) {
      const std::int32_t place = p.places[at] & kPlaceBits;
      return p.users_of[at] == user && place >= first && place < end_block;
    };
    std::int64_t begin = t, end = t + 1;
    while (begin > 0 && with_user(begin - 1)) --begin;
    while (end < p.n_positives && with_user(end)) ++end;
    std::uint64_t left = p.totals == nullptr ? std::uint64_t(end_drawable - first) : p.totals[block];
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int32_t place = p.places[at] & kPlaceBits;
      if (place < end_drawable) left -= p.before == nullptr ? 1 : p.weights[p.item_of[place]];
    }
    const std::uint64_t user_key = p.keys == nullptr ? std::uint64_t(user) : std::uint64_t(p.keys[user]);
    std::uint64_t stream = mix64(std::uint64_t(p.draw_key) + kGolden * ((user_key << 32) + std::uint64_t(p.item_of[own])));
    for (std::int64_t draw = 0; draw < p.n_draws; ++draw) {
      std::int32_t* const to = p.negatives + t * p.n_draws + draw;
      if (left == 0) {
        *to = -1;
        continue;
      }
      stream += kGolden;
      std::uint64_t at = part_of(mix64(stream), left);
      // The user's places rise, so each that is not beyond moves the number on by what it takes.
      for (std::int64_t other = begin; other < end; ++other) {
        const std::int32_t place = p.places[other] & kPlaceBits;
        if (place >= end_drawable) continue;
        if (p.before == nullptr) {
          if (at >= std::uint64_t(place - first)) ++at;
        } else if (at >= p.before[place]) {
          at += p.weights[p.item_of[place]];
        }
      }
      std::int64_t found = first + std::int64_t(at);
      if (p.before != nullptr) {  // the last place that begins at or before it
        std::int64_t low = first, high = end_drawable;
        while (high - low > 1) {
          const std::int64_t half = low + (high - low) / 2;
          (p.before[half] <= at ? low : high) = half;
        }
        found = low;
      }
      *to = p.item_of[found];
    }
  }
}

// 2^f for |f| <= 1/2 by powers of f, times 2^whole: e^y for y <= 0, as cpu/bpr/visits.hpp has it.
GPUREC_DEVICE float exp_f32(float y) {
  const float kPowers[] = {1.0f, 0.6931470036506653f, 0.24022242426872253f, 0.05550733953714371f, 0.009671513922512531f,
                           0.0013264714507386088f};
  const float magic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer
  const float t = (y > -80.0f ? y : -80.0f) * 1.4426950408889634f;
  const float shifted = t + magic;
  const float f = t - (shifted - magic);
  float power = kPowers[5];
  GPUREC_UNROLL
  for (int k = 4; k >= 0; --k) power = power * f + kPowers[k];
  return float_of_bits(bits_of(power) + (bits_of(shifted) << 23));
}

// Lane l of 16 adds terms l, l + 16, ... from +0, then halves are added; both halves of a warp do the same.
template <class Term>
GPUREC_DEVICE float sum_in_lanes(int n, Term term) {
  float sum = 0.0f;
  for (int c = lane_index() % kRankingLanes; c < n; c += kRankingLanes) sum = sum + term(c);
  GPUREC_UNROLL
  for (int half = kRankingLanes / 2; half > 0; half /= 2) sum = sum + shfl_xor(sum, half);
  return sum;
}

// Sums over a task: of losses, shifts + logarithm of a product that is kept as fraction * 2^exponent.
struct RankingLosses {
  double shifts = 0.0;
  double fraction = 1.0;
  std::int64_t exponent = 0;
  std::int64_t n_visits = 0, n_right = 0, n_skipped = 0;

  GPUREC_DEVICE void add(float shift, float z) {
    int power = 0;
    shifts += double(shift);
    fraction = std::frexp(fraction * double(z), &power);
    exponent += power;
  }
};

// How strongly a margin pulls, 1 / (1 + e^x); its loss is added.
GPUREC_DEVICE float pull_of_pair(float x, RankingLosses& losses) {
  const float small = exp_f32(x > 0.0f ? -x : x);
  const float z = 1.0f + small;
  losses.add(x > 0.0f ? 0.0f : -x, z);
  return (x > 0.0f ? small : 1.0f) / z;
}

// Margins of n negatives in shared memory, times the sharpness, become pulls; the sum of those. All lanes, which agree.
GPUREC_DEVICE float pulls_of(float* x, int n, bool softmax, RankingLosses& losses) {
  if (!softmax || n == 1) {
    float pull = 0.0f;
    for (int j = 0; j < n; ++j) {
      pull = pull_of_pair(x[j], losses) / float(n);
      sync_warp();  // all have read the margin
      if (lane_index() == 0) x[j] = pull;
    }
    sync_warp();
    return n == 1 ? pull : sum_in_lanes(n, [=](int j) { return x[j]; });
  }
  float shift = 0.0f;
  for (int j = 0; j < n; ++j) shift = -x[j] > shift ? -x[j] : shift;
  sync_warp();
  for (int j = lane_index(); j < n; j += kWarp) x[j] = exp_f32(-x[j] - shift);
  sync_warp();
  const float z = exp_f32(-shift) + sum_in_lanes(n, [=](int j) { return x[j]; });
  losses.add(shift, z);
  sync_warp();
  for (int j = lane_index(); j < n; j += kWarp) x[j] = x[j] / z;
  sync_warp();
  return sum_in_lanes(n, [=](int j) { return x[j]; });
}

// A row is divided by its length; one of zeros stays. All lanes of a warp.
GPUREC_DEVICE void to_unit(float* row, int d) {
  if (!GPUREC_PLANTED(cuda_bpr_lengths_unawaited)) sync_warp();  // other lanes have written what this one reads
  const float squares = sum_in_lanes(d, [=](int k) { return row[k] * row[k]; });
  sync_warp();  // all have read
  if (!(squares > 0.0f)) return;
  const float by = 1.0f / std::sqrt(squares);
  for (int k = lane_index(); k < d; k += kWarp) row[k] = by * row[k];
}

// Kernel bpr_round: the tasks of one round, a warp each: block b of users meets block (b + round) % n_item_blocks of items,
// visit after visit; rows and biases move as cpu/bpr/visits.hpp says, operation by operation. -> factors, biases, sums.
// Launch: any grid, blocks of whole warps. shared: 8 n_negatives bytes a warp, rounded up to 16 a piece.
// Bytes: 8 d (2 + n_negatives) a visit. A task is one sequence: what it takes is the latency of its visits. Not measured.
GPUREC_KERNEL(bpr_round, RankingParams, 128, 4) {
  const int lane = lane_index(), d = int(p.d), n = int(p.n_negatives), n_candidates = int(p.n_draws / p.n_negatives);
  const int n_warps = block_threads() / kWarp;
  SharedMemory memory;
  float* const pulls = memory.take<float>(round_up(n, 4) * n_warps) + round_up(n, 4) * warp_index();
  std::int32_t* const rows = memory.take<std::int32_t>(round_up(n, 4) * n_warps) + round_up(n, 4) * warp_index();
  const float rate = float(p.rate), bias_rate = float(p.bias_rate), sharpness = float(p.sharpness);
  const float decay = rate * float(p.penalty), bias_decay = bias_rate * float(p.bias_penalty);
  const float keep = 1.0f - decay, keep_each = 1.0f - decay / float(n);
  const float keep_bias = 1.0f - bias_decay, keep_each_bias = 1.0f - bias_decay / float(n);
  const std::int64_t step = std::int64_t(grid_blocks()) * n_warps;
  for (std::int64_t b = std::int64_t(block_index()) * n_warps + warp_index(); b < p.n_user_blocks; b += step) {
    const std::int64_t* const run = p.first_visit + b * (p.n_item_blocks + 1) + (b + p.round) % p.n_item_blocks;
    RankingLosses losses;
    for (std::int64_t t = run[0]; t < run[1]; ++t) {
      if (p.places[t] < 0) continue;
      const std::int32_t* const drawn = p.negatives + t * p.n_draws;
      if (drawn[0] < 0) {
        ++losses.n_skipped;
        continue;
      }
      const std::int64_t item = p.item_of[p.places[t]];
      float* const of_user = p.users + std::int64_t(p.users_of[t]) * p.user_stride;
      float* const of_item = p.items + item * p.item_stride;
      const float bias = p.biases[item];
      ++losses.n_visits;
      for (int j = 0; j < n; ++j) {
        std::int32_t hardest = drawn[j * n_candidates];
        float most = 0.0f;
        for (int c = 0; c < n_candidates && n_candidates > 1; ++c) {  // of equal scores the first that was drawn
          const std::int32_t row = drawn[j * n_candidates + c];
          const float* const other = p.items + std::int64_t(row) * p.item_stride;
          const float score = p.biases[row] + sum_in_lanes(d, [=](int k) { return of_user[k] * other[k]; });
          if (c == 0 || score > most) most = score, hardest = row;
        }
        const float* const other = p.items + std::int64_t(hardest) * p.item_stride;
        const float x = (bias - p.biases[hardest]) +
                        sum_in_lanes(d, [=](int k) { return of_user[k] * (of_item[k] - other[k]); });
        losses.n_right += x > 0.0f;
        if (lane == 0) pulls[j] = GPUREC_PLANTED(cuda_bpr_blunt) ? x : x * sharpness, rows[j] = hardest;
      }
      sync_warp();
      const float pull = pulls_of(pulls, n, p.softmax != 0, losses);
      for (int k = lane; k < d; k += kWarp) {
        const float user = of_user[k], own = of_item[k];
        float sum = 0.0f;
        for (int j = 0; j < n; ++j) {
          float* const other = p.items + std::int64_t(rows[j]) * p.item_stride + k;
          const float before = *other, by = rate * pulls[j];
          sum = sum + by * (own - before);
          if (p.move_negatives != 0) *other = keep_each * before - by * user;
        }
        if (p.move_users != 0) of_user[k] = keep * user + sum;
        if (p.move_positives != 0) of_item[k] = keep * own + (rate * pull) * user;
      }
      if (p.unit != 0) {
        if (p.move_users != 0) to_unit(of_user, d);
        if (p.move_positives != 0) to_unit(of_item, d);
        for (int j = 0; j < n && p.move_negatives != 0; ++j) to_unit(p.items + std::int64_t(rows[j]) * p.item_stride, d);
      }
      if (lane == 0) {
        if (p.move_positives != 0) p.biases[item] = keep_bias * bias + bias_rate * pull;
        for (int j = 0; j < n && p.move_negatives != 0; ++j) {
          p.biases[rows[j]] = keep_each_bias * p.biases[rows[j]] - bias_rate * pulls[j];
        }
      }
      if (!GPUREC_PLANTED(cuda_bpr_rows_unawaited)) sync_warp();  // the next visit reads what other lanes wrote
    }
    if (lane == 0) {
      const std::int64_t task = p.round * p.n_user_blocks + b;
      p.shifts[task] = losses.shifts;
      p.fractions[task] = losses.fraction;
      std::int64_t* const counts = p.counts + task * 4;
      counts[0] = losses.exponent, counts[1] = losses.n_visits, counts[2] = losses.n_right, counts[3] = losses.n_skipped;
    }
  }
}

}  // namespace gpurec::cuda
