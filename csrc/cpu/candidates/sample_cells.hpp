// What is kept of a sample of the items: the largest scan value that came to each of some cells. No item comes to two
// cells, so that at least as many items reach the rank-th largest of them.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/views.hpp"

namespace gpurec::cpu {

class SampleCells {
 public:
  // A group of cells has one for each item of a tile; tiles take turns among the groups.
  void begin(std::int64_t n_groups) {
    cells_.assign(std::size_t(n_groups * kTileItems), -std::numeric_limits<float>::infinity());
    group_ = 0;
  }
  bool taken() const { return !cells_.empty(); }

  // Scan values of items of one tile.
  void raise(const float* scores, std::uint64_t bits, const Kernels& kernels) {
    kernels.raise_lanes(scores, bits, next_group());
  }
  template <class Score>
  void raise_each(Score score, std::uint64_t bits) {
    float* const cells = next_group();
    for (; bits != 0; bits &= bits - 1) {
      const int j = __builtin_ctzll(bits);
      cells[j] = std::max(cells[j], score(j));
    }
  }

  // Near the rank-th largest of the cells' values, which are then forgotten; -infinity where there are fewer.
  float end(std::int64_t rank, const Kernels& kernels) {
    const auto n = std::int64_t(cells_.size());
    const float kth = rank > n ? -std::numeric_limits<float>::infinity()
                               : kernels.near_kth_largest(cells_.data(), n, rank);
    cells_.clear();
    return kth;
  }

 private:
  float* next_group() {
    float* const group = cells_.data() + group_;
    group_ = group_ + kTileItems < cells_.size() ? group_ + kTileItems : 0;
    return group;
  }

  std::vector<float> cells_;
  std::size_t group_ = 0;  // where the next tile's items go
};

}  // namespace gpurec::cpu
