// The body of kernel `sgd`, for the vectors of whoever includes it inside a target region: Vec of 8 floats, Part (which of
// them), load, load_part, store, store_part, splat and sum_lanes. No header may be included here.
//
// The lanes belong to the contract: lane l of 8 adds the products of components l, l + 8, ... in that order from +0, then
// halves are added (4, 2, 1). Products and sums are rounded one by one. So every ISA gives the same bits.

constexpr std::int64_t kLanes = 8;
// Rows of visits so far ahead are asked for.
constexpr std::int64_t kAhead = 8;
// Tables of fewer bytes lie in the second cache, from which the processor has rows in time without being asked.
constexpr std::int64_t kNear = 1 << 20;

inline void prefetch_row(const float* row, std::int64_t d) {
  for (std::int64_t c = 0; c < d; c += 16) __builtin_prefetch(row + c, 1);
}

// Both rows move by the other's old values.
inline void move_part(Vec p, Vec q, Vec step, Vec decay_p, Vec decay_q, Vec& new_p, Vec& new_q) {
  new_p = p + (step * q - decay_p * p);
  new_q = q + (step * p - decay_q * q);
}

// kWhole vectors of 8 to a row, or any number of them where it is -1; then a part of one, or not.
template <int kWhole, bool kPart, bool kFar>
double visit_all(const RatingsView& ratings, const FactorTable& users, const FactorTable& items, const SgdRates& rates) {
  const std::int64_t d = users.factors.cols;
  const std::int64_t whole = kWhole >= 0 ? kWhole * kLanes : d / kLanes * kLanes;
  const Part part = first(d % kLanes);
  const float factor_rate = rates.factor_rate, bias_rate = rates.bias_rate;
  const float factor_decay = factor_rate * rates.factor_penalty;
  const float bias_decay = bias_rate * rates.bias_penalty;
  // Taken out of the views, whose members the compiler would read again after each store.
  const std::int64_t n = ratings.n;
  const std::int64_t* const user_rows = ratings.user_rows;
  const std::int64_t* const item_rows = ratings.item_rows;
  const float* const values = ratings.values;
  float* const user_factors = users.factors.data;
  float* const item_factors = items.factors.data;
  float* const user_biases = users.biases;
  float* const item_biases = items.biases;
  const float* const user_shrink = users.shrink;
  const float* const item_shrink = items.shrink;
  double squared_errors = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (kFar && i + kAhead < n) {
      prefetch_row(user_factors + user_rows[i + kAhead] * d, d);
      prefetch_row(item_factors + item_rows[i + kAhead] * d, d);
    }
    const std::int64_t user = user_rows[i];
    const std::int64_t item = item_rows[i];
    float* const p = user_factors + user * d;
    float* const q = item_factors + item * d;
    const float bias_p = user_biases[user];
    const float bias_q = item_biases[item];
    const float shrink_p = user_shrink[user];
    const float shrink_q = item_shrink[item];

    Vec sum = splat(0.0f);
    for (std::int64_t c = 0; c < whole; c += kLanes) sum = sum + load(p + c) * load(q + c);
    if (kPart) sum = sum + load_part(p + whole, part) * load_part(q + whole, part);
    const float error = values[i] - ((bias_p + bias_q) + sum_lanes(sum));
    squared_errors += double(error) * double(error);

    const float bias_step = bias_rate * error;
    user_biases[user] = bias_p + (bias_step - (bias_decay * shrink_p) * bias_p);
    item_biases[item] = bias_q + (bias_step - (bias_decay * shrink_q) * bias_q);
    const Vec step = splat(factor_rate * error);
    const Vec decay_p = splat(factor_decay * shrink_p);
    const Vec decay_q = splat(factor_decay * shrink_q);
    Vec new_p, new_q;
    for (std::int64_t c = 0; c < whole; c += kLanes) {
      move_part(load(p + c), load(q + c), step, decay_p, decay_q, new_p, new_q);
      store(p + c, new_p);
      store(q + c, new_q);
    }
    if (kPart) {
      move_part(load_part(p + whole, part), load_part(q + whole, part), step, decay_p, decay_q, new_p, new_q);
      store_part(p + whole, new_p, part);
      store_part(q + whole, new_q, part);
    }
  }
  return squared_errors;
}

template <int kWhole, bool kPart>
double visit_at(const RatingsView& ratings, const FactorTable& users, const FactorTable& items, const SgdRates& rates) {
  const std::int64_t bytes = (users.factors.rows + items.factors.rows) * (users.factors.cols + 2) * 4;
  return (bytes > kNear ? visit_all<kWhole, kPart, true> : visit_all<kWhole, kPart, false>)(ratings, users, items, rates);
}

inline double sgd_epoch(const RatingsView& ratings, const FactorTable& users, const FactorTable& items,
                        const SgdRates& rates) {
  const std::int64_t d = users.factors.cols;
  const bool has_part = d % kLanes != 0;
  switch (d / kLanes) {
    case 0:
      return visit_at<0, true>(ratings, users, items, rates);
    case 1:
      return (has_part ? visit_at<1, true> : visit_at<1, false>)(ratings, users, items, rates);
    case 2:
      return (has_part ? visit_at<2, true> : visit_at<2, false>)(ratings, users, items, rates);
    default:
      return (has_part ? visit_at<-1, true> : visit_at<-1, false>)(ratings, users, items, rates);
  }
}
