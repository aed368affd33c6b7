#include "gpurec/sgd.hpp"

#include "fpenv.hpp"

namespace gpurec::cpu {
namespace {

// The lanes belong to the contract, not to the machine: lane l adds the products of components l, l + 8, ... in
// that order, then halves are added (4, 2, 1). Because the order is written out, the compiler may use vectors of
// any width without a licence to reassociate, and the bits stay the same.
constexpr std::int64_t kSgdLanes = 8;

float dot_f32(const float* p, const float* q, std::int64_t n_factors) {
  float lane[kSgdLanes] = {};
  std::int64_t i = 0;
  for (; i + kSgdLanes <= n_factors; i += kSgdLanes) {
    for (std::int64_t l = 0; l < kSgdLanes; ++l) lane[l] += p[i + l] * q[i + l];
  }
  for (std::int64_t l = 0; i < n_factors; ++i, ++l) lane[l] += p[i] * q[i];
  for (std::int64_t half = kSgdLanes / 2; half > 0; half /= 2) {
    for (std::int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  }
  return lane[0];
}

// Both rows move by the other's old values. Saying that they do not overlap is what makes this vector code.
void move_rows(float* __restrict p, float* __restrict q, std::int64_t n_factors, float step, float decay_p,
               float decay_q) {
  for (std::int64_t i = 0; i < n_factors; ++i) {
    const float old_p = p[i];
    const float old_q = q[i];
    p[i] = old_p + (step * old_q - decay_p * old_p);
    q[i] = old_q + (step * old_p - decay_q * old_q);
  }
}

}  // namespace

double sgd_epoch(const RatingsView& ratings, const FactorTable& users, const FactorTable& items,
                 const SgdRates& rates) {
  const FpEnvGuard guard;
  const std::int64_t n_factors = users.factors.cols;
  const float factor_decay = rates.factor_rate * rates.factor_penalty;
  const float bias_decay = rates.bias_rate * rates.bias_penalty;
  double squared_errors = 0.0;
  for (std::int64_t i = 0; i < ratings.n; ++i) {
    const std::int64_t user = ratings.user_rows[i];
    const std::int64_t item = ratings.item_rows[i];
    float* p = users.factors.row(user);
    float* q = items.factors.row(item);
    const float bias_p = users.biases[user];
    const float bias_q = items.biases[item];
    const float shrink_p = users.shrink[user];
    const float shrink_q = items.shrink[item];

    const float error = ratings.values[i] - ((bias_p + bias_q) + dot_f32(p, q, n_factors));
    squared_errors += static_cast<double>(error) * static_cast<double>(error);

    const float bias_step = rates.bias_rate * error;
    users.biases[user] = bias_p + (bias_step - (bias_decay * shrink_p) * bias_p);
    items.biases[item] = bias_q + (bias_step - (bias_decay * shrink_q) * bias_q);
    move_rows(p, q, n_factors, rates.factor_rate * error, factor_decay * shrink_p, factor_decay * shrink_q);
  }
  return squared_errors;
}

}  // namespace gpurec::cpu
