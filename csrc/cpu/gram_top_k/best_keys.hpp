// The best k of keys that come in any order, and what filters say of a row.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>

#include "candidates/sort_keys.hpp"
#include "gpurec/order.hpp"
#include "search/permits.hpp"

namespace gpurec::cpu {

class BestKeys {
 public:
  BestKeys(std::int64_t k, std::int64_t n_rows) : k_(std::size_t(std::min(k, n_rows))), limit_(2 * k_ + 64) {}

  // Whether fewer than k better ones are known.
  bool may_take(std::uint64_t key) const { return key > least_; }

  void offer(std::uint64_t key) {
    if (!may_take(key)) return;
    keys_.push_back(key);
    if (keys_.size() < limit_) return;
    std::nth_element(keys_.begin(), keys_.begin() + std::ptrdiff_t(k_ - 1), keys_.end(), std::greater<std::uint64_t>());
    keys_.resize(k_);
    least_ = keys_.back();
  }

  void write(std::int64_t k, TopKView out, std::int64_t i, const Kernels& kernels) {
    keep_best(keys_, k, kernels);
    write_answer(keys_, k, out, i);
    keys_.clear();
    least_ = 0;
  }

 private:
  std::size_t k_, limit_;
  Keys keys_;
  std::uint64_t least_ = 0;  // k keys reach it; below the key of any score
};

inline bool allows(const FiltersView& filters, std::int64_t query, std::int64_t row) {
  if (filters.allow != nullptr && !GPUREC_PLANTED(gram_allow_ignored) &&
      !std::binary_search(filters.allow->begin(query), filters.allow->end(query), row)) {
    return false;
  }
  return permits(filters, query, row);
}

}  // namespace gpurec::cpu
