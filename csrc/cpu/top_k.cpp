// Op `top_k` on the CPU: a threshold scan over each row of given scores.
#include "top_k.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "gpurec/canonical.hpp"
#include "gpurec/order.hpp"
#include "search/permits.hpp"
#include "candidates/sort_keys.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

void keep_best(Keys& keys, std::int64_t k) {
  if (std::int64_t(keys.size()) <= k) return;
  std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<std::uint64_t>());
  keys.resize(std::size_t(k));
}

// Keys of the best k values of scores[first, end). Rows are met in ascending order, so that once k values are
// held an equal one comes later in the total order and may be passed over.
Keys best_of(const float* scores, std::int64_t first, std::int64_t end, std::int64_t k, const Kernels& kernels) {
  constexpr std::int64_t kSlack = 64;
  const std::int64_t limit = 2 * std::min(k, end - first) + kSlack;
  Keys keys;
  float threshold = -std::numeric_limits<float>::infinity();
  for (std::int64_t row = first; (row = kernels.find_above(scores, row, end, threshold)) < end; ++row) {
    if (!is_finite(scores[row]) && !GPUREC_PLANTED(top_k_returns_infinity)) continue;
    keys.push_back(order_key(scores[row] + 0.0f, row));  // adding +0 makes -0 the +0 that it equals
    if (std::int64_t(keys.size()) >= limit) {
      keep_best(keys, k);
      threshold = score_of_key(keys[std::size_t(k - 1)]);
    }
  }
  keep_best(keys, k);
  return keys;
}

}  // namespace

void top_k(MatrixView<const float> scores, std::int64_t k, TopKView out, const Kernels& kernels, int n_threads) {
  constexpr std::int64_t kValuesPerPart = 1 << 16;
  const std::int64_t parts_of_row =
      scores.rows >= n_threads ? 1 : std::min<std::int64_t>(n_threads, scores.cols / kValuesPerPart + 1);
  std::vector<Keys> keys(static_cast<std::size_t>(scores.rows * parts_of_row));
  parallel_for(n_threads, scores.rows * parts_of_row, [&](std::int64_t task) {
    const std::int64_t row = task / parts_of_row;
    const std::int64_t part = task % parts_of_row;
    auto& best = keys[std::size_t(task)];
    best = best_of(scores.row(row), scores.cols * part / parts_of_row, scores.cols * (part + 1) / parts_of_row, k,
                   kernels);
    if (parts_of_row > 1) return;
    sort_keys(best, kernels);
    write_answer(best, k, out, row);
    best = {};
  });
  for (std::int64_t row = 0; parts_of_row > 1 && row < scores.rows; ++row) {
    auto& all = keys[std::size_t(row * parts_of_row)];
    for (std::int64_t part = 1; part < parts_of_row; ++part) {
      const auto& more = keys[std::size_t(row * parts_of_row + part)];
      all.insert(all.end(), more.begin(), more.end());
    }
    keep_best(all, k);
    sort_keys(all, kernels);
    write_answer(all, k, out, row);
  }
}

}  // namespace gpurec::cpu
