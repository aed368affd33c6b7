// One row's answer by sums of codes, of which those that may be among the best are scored canonically.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gpurec/bounds.hpp"
#include "gram_top_k/best_keys.hpp"
#include "gram_top_k/codes.hpp"
#include "gram_top_k/gram_top_k.hpp"

namespace gpurec::cpu {

class CodedRows {
 public:
  CodedRows(const GramCall& call, const CodedColumns& codes);

  // Offers what row `a`, which is query i, may be given. False, and nothing is offered, where sums of codes do not tell:
  // where fewer than k of them lie clearly above zero, which is what rows without a common column have too.
  bool search(std::int64_t i, std::int64_t a, std::int64_t k, BestKeys& best);

 private:
  // Integers that are looked through as floats: the bits of those above zero are in the same order.
  using Sum = std::int32_t __attribute__((may_alias));

  struct Candidate {
    std::int32_t sum;
    std::uint32_t row;
  };

  void add_tile(std::int64_t tile, std::int64_t a);
  void thin(std::int64_t k, double window);
  void raise_by_sample(std::int64_t n, std::int64_t k, double window);
  template <int N>
  void sums_of(const Candidate* candidates, double* sums) const;
  void score(std::int64_t a, BestKeys& best);

  const GramCall& call_;
  const CodedColumns& codes_;
  std::vector<float> sums_;       // of one tile's rows
  std::vector<double> dense_;     // the row asked about, by column
  bool may_sample_;  // sums are in the order of floats, and no filter is asked
  std::vector<Candidate> found_;
  std::int32_t limit_ = 0;        // what a sum must exceed
};

}  // namespace gpurec::cpu
