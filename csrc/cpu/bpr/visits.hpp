// The body of kernel `bpr`, for the vectors of whoever includes it inside a target region: Vec of kWidth floats, load,
// load_part, store, store_part, splat and sum_lanes; kAtOnce rows are scored together. No header may be included here.
//
// The lanes belong to the contract: lane l of 16 adds the terms of components l, l + 16, ... in that order from +0, then
// halves are added (8, 4, 2, 1). Products and sums are rounded one by one. So every ISA gives the same bits.

constexpr int kLanes = 16;
constexpr int kParts = kLanes / kWidth;
// 2^f for |f| <= 1/2, by powers of f: within 1e-7 of it, and 1 at 0.
constexpr float kExp2[] = {1.0f, 0.6931470036506653f, 0.24022242426872253f, 0.05550733953714371f, 0.009671513922512531f,
                           0.0013264714507386088f};
constexpr float kLog2E = 1.4426950408889634f;

inline float exp2_f32(float t) {
  // 1.5 * 2^23: what is added to it is rounded to an integer, which then stands in the low bits.
  const float magic = 12582912.0f;
  const float shifted = t + magic;
  const float whole = shifted - magic;
  const float f = t - whole;
  float y = kExp2[5];
  for (int k = 4; k >= 0; --k) y = y * f + kExp2[k];
  std::uint32_t bits, power;
  __builtin_memcpy(&bits, &y, 4);
  __builtin_memcpy(&power, &shifted, 4);
  bits += power << 23;
  __builtin_memcpy(&y, &bits, 4);
  return y;
}

// e^y for y <= 0.
inline float exp_f32(float y) {
  const float least = -80.0f;  // e^-80 beside 1 is nothing, and its bits are those of a normal number
  return exp2_f32((y > least ? y : least) * kLog2E);
}

inline Vec load_n(const float* from, std::int64_t n) { return n == kWidth ? load(from) : load_part(from, n); }

inline void store_n(float* to, Vec value, std::int64_t n) {
  if (n == kWidth) {
    store(to, value);
  } else {
    store_part(to, value, n);
  }
}

// (b_i - b_j) + p . (q_i - q_j)
inline float margin(const float* p, const float* q_i, const float* q_j, std::int64_t d, float bias_i, float bias_j) {
  Vec sum[kParts];
  for (int l = 0; l < kParts; ++l) sum[l] = splat(0.0f);
  std::int64_t c = 0;
  for (; c + kLanes <= d; c += kLanes) {
#pragma GCC unroll 4
    for (int l = 0; l < kParts; ++l) {
      const std::int64_t at = c + l * kWidth;
      sum[l] = sum[l] + load(p + at) * (load(q_i + at) - load(q_j + at));
    }
  }
  for (int l = 0; c < d; c += kWidth, ++l) {
    const std::int64_t n = d - c < kWidth ? d - c : kWidth;
    sum[l] = sum[l] + load_n(p + c, n) * (load_n(q_i + c, n) - load_n(q_j + c, n));
  }
  return (bias_i - bias_j) + sum_lanes(sum);
}

// Adds the sums of lanes of rows to floats.
template <int kRows>
inline void add_rows(const Vec (&sum)[kRows][kParts], float* to) {
  for (int r = 0; r < kRows; ++r) to[r] = to[r] + sum_lanes(sum[r]);
}

// b + p . q of rows at places, kRows of them at once, so that no sum waits for another.
template <int kRows>
inline void score_rows(const float* p, const float* items, std::int64_t stride, const std::int32_t* item_of,
                       const std::int32_t* places, const float* biases, std::int64_t d, float* scores) {
  const float* q[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) q[r] = items + item_of[places[r]] * stride;
  Vec sum[kRows][kParts];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    for (int l = 0; l < kParts; ++l) sum[r][l] = splat(0.0f);
  }
  std::int64_t c = 0;
  for (; c + kLanes <= d; c += kLanes) {
#pragma GCC unroll 4
    for (int l = 0; l < kParts; ++l) {
      const Vec of_user = load(p + c + l * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][l] = sum[r][l] + of_user * load(q[r] + c + l * kWidth);
    }
  }
  for (int l = 0; c < d; c += kWidth, ++l) {
    const std::int64_t n = d - c < kWidth ? d - c : kWidth;
    const Vec of_user = load_n(p + c, n);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r][l] = sum[r][l] + of_user * load_n(q[r] + c, n);
  }
  for (int r = 0; r < kRows; ++r) scores[r] = biases[places[r]];
  add_rows(sum, scores);
}

// Which of n scores is the highest, of equal ones the first.
inline std::int64_t highest_of(const float* scores, std::int64_t n) {
  std::int64_t at = 0;
  float most = scores[0];
  for (std::int64_t t = 1; t < n; ++t) {  // without a branch, which would be guessed wrong
    const bool higher = scores[t] > most;
    most = higher ? scores[t] : most;
    at = higher ? t : at;
  }
  return at;
}

// Sum of n floats in lanes.
inline float sum_of(const float* values, std::int64_t n) {
  Vec sum[kParts];
  for (int l = 0; l < kParts; ++l) sum[l] = splat(0.0f);
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) {
#pragma GCC unroll 4
    for (int l = 0; l < kParts; ++l) sum[l] = sum[l] + load(values + c + l * kWidth);
  }
  for (int l = 0; c < n; c += kWidth, ++l) {
    sum[l] = sum[l] + load_n(values + c, n - c < kWidth ? n - c : kWidth);
  }
  return sum_lanes(sum);
}

inline void add_loss(RankingSums& sums, float shift, float z) {
  sums.shift += double(shift);
  sums.product *= double(z);
  if (sums.product > 1e200) settle_product(sums);
}

// The loss -log(e^x / (1 + e^x)) of a margin; returns how strongly it pulls, 1 / (1 + e^x).
inline float pair_pull(float x, RankingSums& sums) {
  const float small = exp_f32(x > 0 ? -x : x);
  const float z = 1.0f + small;
  add_loss(sums, x > 0 ? 0.0f : -x, z);
  return (x > 0 ? small : 1.0f) / z;
}

// Pulls of margins, in their place; returns their sum.
inline float pulls_of(float* x, std::int64_t n, const RankingAim& aim, RankingSums& sums) {
  for (std::int64_t j = 0; j < n; ++j) {
    sums.n_pairs_right += x[j] > 0;
    x[j] *= aim.sharpness;
  }
  if (aim.loss == RankingLoss::bpr || n == 1) {
    for (std::int64_t j = 0; j < n; ++j) x[j] = pair_pull(x[j], sums) / float(n);
    return n == 1 ? x[0] : sum_of(x, n);
  }
  float shift = 0.0f;
  for (std::int64_t j = 0; j < n; ++j) shift = -x[j] > shift ? -x[j] : shift;
  for (std::int64_t j = 0; j < n; ++j) x[j] = exp_f32(-x[j] - shift);
  const float z = exp_f32(-shift) + sum_of(x, n);
  add_loss(sums, shift, z);
  for (std::int64_t j = 0; j < n; ++j) x[j] = x[j] / z;
  return sum_of(x, n);
}

struct Keeps {
  float user, positive, negative, bias_positive, bias_negative;
};

// p, q_i and q_j move by each other's old values; where not all of them do, `rates` says which.
template <bool kAll>
inline void move_pair(float* p, float* q_i, float* q_j, std::int64_t d, float step, const Keeps& keep,
                      const RankingRates& rates) {
  for (std::int64_t c = 0; c < d; c += kWidth) {
    const std::int64_t n = d - c < kWidth ? d - c : kWidth;
    const Vec old_p = load_n(p + c, n);
    const Vec old_i = load_n(q_i + c, n);
    const Vec old_j = load_n(q_j + c, n);
    const Vec pull = splat(step) * old_p;
    if (kAll || rates.move_users) store_n(p + c, splat(keep.user) * old_p + splat(step) * (old_i - old_j), n);
    if (kAll || rates.move_positives) store_n(q_i + c, splat(keep.positive) * old_i + pull, n);
    if (kAll || rates.move_negatives) store_n(q_j + c, splat(keep.negative) * old_j - pull, n);
  }
}

// The same for several negatives, one after another; `steps` holds one for each.
inline void move_many(float* p, float* q_i, float* items, std::int64_t stride, const std::int32_t* rows,
                      std::int64_t n_rows, std::int64_t d, const float* steps, float step_i, const Keeps& keep,
                      const RankingRates& rates) {
  for (std::int64_t c = 0; c < d; c += kWidth) {
    const std::int64_t n = d - c < kWidth ? d - c : kWidth;
    const Vec old_p = load_n(p + c, n);
    const Vec old_i = load_n(q_i + c, n);
    Vec sum = splat(0.0f);
    for (std::int64_t j = 0; j < n_rows; ++j) {
      float* const q_j = items + rows[j] * stride + c;
      const Vec old_j = load_n(q_j, n);
      sum = sum + splat(steps[j]) * (old_i - old_j);
      if (rates.move_negatives) store_n(q_j, splat(keep.negative) * old_j - splat(steps[j]) * old_p, n);
    }
    if (rates.move_users) store_n(p + c, splat(keep.user) * old_p + sum, n);
    if (rates.move_positives) store_n(q_i + c, splat(keep.positive) * old_i + splat(step_i) * old_p, n);
  }
}

// A row divided by its length; one of zeros stays.
inline void to_unit(float* row, std::int64_t d) {
  Vec sum[kParts];
  for (int l = 0; l < kParts; ++l) sum[l] = splat(0.0f);
  std::int64_t c = 0;
  for (; c + kLanes <= d; c += kLanes) {
#pragma GCC unroll 4
    for (int l = 0; l < kParts; ++l) sum[l] = sum[l] + load(row + c + l * kWidth) * load(row + c + l * kWidth);
  }
  for (int l = 0; c < d; c += kWidth, ++l) {
    const Vec part = load_n(row + c, d - c < kWidth ? d - c : kWidth);
    sum[l] = sum[l] + part * part;
  }
  const float squares = sum_lanes(sum);
  if (!(squares > 0)) return;
  const Vec by = splat(1.0f / __builtin_sqrtf(squares));
  for (c = 0; c < d; c += kWidth) {
    const std::int64_t n = d - c < kWidth ? d - c : kWidth;
    store_n(row + c, by * load_n(row + c, n), n);
  }
}

inline void prefetch_row(const float* row, std::int64_t d) {
  for (std::int64_t c = 0; c < d; c += 16) __builtin_prefetch(row + c, 1);
}

inline Keeps keeps_of(const RankingRates& rates, std::int64_t n) {
  const float decay = rates.rate * rates.penalty, bias_decay = rates.bias_rate * rates.bias_penalty;
  return {1.0f - decay, 1.0f - decay, 1.0f - decay / float(n), 1.0f - bias_decay, 1.0f - bias_decay / float(n)};
}

// Rows of visits, or of draws, so far ahead are asked for.
constexpr std::int64_t kAhead = 4, kDrawsAhead = 16;

// Visits with one negative, drawn once. A function of its own, as its loop needs most registers.
template <bool kAll, bool kUnit>
__attribute__((noinline)) void visit_pairs(const RankingVisits& visits, const RankingFactors& factors,
                                           const RankingSteps& steps, RankingSums& out) {
  const RankingRates rates = steps.rates;
  const float sharpness = steps.aim.sharpness;
  const Keeps keep = keeps_of(rates, 1);
  RankingSums sums = out;
  const std::int64_t d = factors.users.cols, user_stride = factors.users.row_stride;
  const std::int64_t item_stride = factors.items.row_stride;
  float* const users = factors.users.data;
  float* const items = factors.items.data;
  float* const biases = visits.biases;
  for (std::int64_t v = 0; v < visits.n; ++v) {
    if (v + kAhead < visits.n) {
      prefetch_row(users + visits.users[v + kAhead] * user_stride, d);
      prefetch_row(items + visits.item_of[visits.positives[v + kAhead]] * item_stride, d);
      prefetch_row(items + visits.item_of[visits.negatives[v + kAhead]] * item_stride, d);
    }
    const std::int32_t place_i = visits.positives[v], place_j = visits.negatives[v];
    float* const p = users + visits.users[v] * user_stride;
    float* const q_i = items + visits.item_of[place_i] * item_stride;
    float* const q_j = items + visits.item_of[place_j] * item_stride;
    const float bias_i = biases[place_i], bias_j = biases[place_j];
    const float x = sharpness * margin(p, q_i, q_j, d, bias_i, bias_j);
    sums.n_pairs_right += x > 0;
    const float pull = pair_pull(x, sums);
    const float bias_step = rates.bias_rate * pull;
    move_pair<kAll>(p, q_i, q_j, d, rates.rate * pull, keep, rates);
    if (kUnit) {
      if (rates.move_users) to_unit(p, d);
      if (rates.move_positives) to_unit(q_i, d);
      if (rates.move_negatives) to_unit(q_j, d);
    }
    if (kAll || rates.move_positives) biases[place_i] = keep.bias_positive * bias_i + bias_step;
    if (kAll || rates.move_negatives) biases[place_j] = keep.bias_negative * bias_j - bias_step;
  }
  out = sums;
}

// Which of n draws from one on scores highest, of equal ones the first; of n_all, those to come are asked for.
inline std::int64_t hardest(const float* p, const RankingFactors& factors, const RankingVisits& visits, std::int64_t first,
                            std::int64_t n, std::int64_t n_all, float* scores) {
  const float* const items = factors.items.data;
  const std::int64_t d = factors.users.cols, stride = factors.items.row_stride;
  const std::int32_t* const places = visits.negatives + first;
  const std::int64_t n_ahead = n_all - first;  // of places
  const auto ask = [&](std::int64_t t) {
    if (t < n_ahead) prefetch_row(items + visits.item_of[places[t]] * stride, d);
  };
  std::int64_t t = 0;
  for (; t + kAtOnce <= n; t += kAtOnce) {
    for (int r = 0; r < kAtOnce; ++r) ask(t + r + kDrawsAhead);
    score_rows<kAtOnce>(p, items, stride, visits.item_of, places + t, visits.biases, d, scores + t);
  }
  for (; t < n; ++t) {
    ask(t + kDrawsAhead);
    score_rows<1>(p, items, stride, visits.item_of, places + t, visits.biases, d, scores + t);
  }
  return highest_of(scores, n);
}

// Visits with several negatives, or each the highest-scored of several draws.
__attribute__((noinline)) inline void visit_many(const RankingVisits& visits, const RankingFactors& factors,
                                                 const RankingSteps& steps, float* scratch, RankingSums& sums) {
  const std::int64_t d = factors.users.cols, n = steps.n_negatives, n_candidates = steps.n_candidates;
  const std::int64_t stride = factors.items.row_stride, n_draws = n * n_candidates, n_all = visits.n * n_draws;
  const RankingRates rates = steps.rates;
  const Keeps keep = keeps_of(rates, n);
  float* const items = factors.items.data;
  float* const biases = visits.biases;
  float* const pulls = scratch;
  float* const row_steps = scratch + n;
  std::int32_t* const rows = reinterpret_cast<std::int32_t*>(scratch + 2 * n);
  std::int32_t* const places = reinterpret_cast<std::int32_t*>(scratch + 3 * n);
  float* const scores = scratch + 4 * n;
  for (std::int64_t v = 0; v < visits.n; ++v) {
    float* const p = factors.users.row(visits.users[v]);
    const std::int32_t place_i = visits.positives[v];
    float* const q_i = items + visits.item_of[place_i] * stride;
    const float bias_i = biases[place_i];
    std::int64_t draw = v * n_draws;
    for (std::int64_t j = 0; j < n; ++j, draw += n_candidates) {
      const std::int64_t chosen = n_candidates == 1 ? 0 : hardest(p, factors, visits, draw, n_candidates, n_all, scores);
      const std::int32_t place = visits.negatives[draw + chosen];
      const std::int32_t row = visits.item_of[place];
      pulls[j] = margin(p, q_i, items + row * stride, d, bias_i, biases[place]);
      rows[j] = row, places[j] = place;
    }
    const float pull_i = pulls_of(pulls, n, steps.aim, sums);
    for (std::int64_t j = 0; j < n; ++j) row_steps[j] = rates.rate * pulls[j];
    move_many(p, q_i, items, stride, rows, n, d, row_steps, rates.rate * pull_i, keep, rates);
    if (steps.aim.unit) {
      if (rates.move_users) to_unit(p, d);
      if (rates.move_positives) to_unit(q_i, d);
      for (std::int64_t j = 0; j < n && rates.move_negatives; ++j) to_unit(items + rows[j] * stride, d);
    }
    if (rates.move_positives) biases[place_i] = keep.bias_positive * bias_i + rates.bias_rate * pull_i;
    if (rates.move_negatives) {
      for (std::int64_t j = 0; j < n; ++j) {
        float& bias_j = biases[places[j]];
        bias_j = keep.bias_negative * bias_j - rates.bias_rate * pulls[j];
      }
    }
  }
}

// mix64 and part_of in steps that vectors have: halves of 32 bits, as no number is beyond 2^31.
inline void draw_places(std::uint64_t stream, std::int64_t first, std::uint64_t n_left, std::int64_t n, std::int32_t* places) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint64_t z = stream + kGolden * std::uint64_t(i + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z = z ^ (z >> 31);
    const std::uint64_t part = ((z >> 32) * n_left + ((z & 0xffffffffu) * n_left >> 32)) >> 32;
    places[i] = std::int32_t(first + std::int64_t(part));
  }
}

inline void visit_all(const RankingVisits& visits, const RankingFactors& factors, const RankingSteps& steps,
                      float* scratch, RankingSums& sums) {
  const RankingRates& rates = steps.rates;
  const bool all = rates.move_users && rates.move_positives && rates.move_negatives;
  if (steps.n_negatives * steps.n_candidates != 1) {
    visit_many(visits, factors, steps, scratch, sums);
  } else if (steps.aim.unit) {
    visit_pairs<false, true>(visits, factors, steps, sums);
  } else if (all) {
    visit_pairs<true, false>(visits, factors, steps, sums);
  } else {
    visit_pairs<false, false>(visits, factors, steps, sums);
  }
}
