// A thread's sums over the columns that one row has in common with each other row, kept for one row at a time.
// `add` takes terms in ascending column order and says which is the first of its row; `take` gives the sums of a row that
// was met, as `is_met` says of any row, and forgets them.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "gpurec/gram_top_k.hpp"

namespace gpurec::cpu {

// Products alone, of entries that are not zero. A row that was not met is -0: products of entries do not underflow in
// float64, -0 plus the first of them is that product, and a sum that cancels is +0.
class ProductSums {
 public:
  static constexpr bool kCounts = false;  // knows the overlap
  explicit ProductSums(const SparseRowsView& x) : sums_(std::size_t(x.n_rows), -0.0) {}
  void begin(const SparseRowsView&, std::int64_t) {}
  bool add(std::uint32_t b, double x_a, float x_b) {
    const double sum = sums_[b];
    sums_[b] = sum + x_a * double(x_b);
    return is_unmet(sum);
  }
  bool is_met(std::uint32_t b) const { return !is_unmet(sums_[b]); }
  PairSums take(std::uint32_t b) {
    PairSums sums;
    sums.ab = std::exchange(sums_[b], -0.0);
    return sums;
  }

 private:
  static bool is_unmet(double sum) {
    std::uint64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    return bits == std::uint64_t(1) << 63;
  }
  std::vector<double> sums_;
};

// Common columns alone: of sets, and of products where every entry is 1.
class Counts {
 public:
  static constexpr bool kCounts = true;
  explicit Counts(const SparseRowsView& x) : counts_(std::size_t(x.n_rows), 0) {}
  void begin(const SparseRowsView&, std::int64_t) {}
  bool add(std::uint32_t b, double, float) { return counts_[b]++ == 0; }
  bool is_met(std::uint32_t b) const { return counts_[b] != 0; }
  PairSums take(std::uint32_t b) {
    PairSums sums;
    sums.n = sums.ab = double(std::exchange(counts_[b], 0u));
    return sums;
  }

 private:
  std::vector<std::uint32_t> counts_;
};

class CountedProductSums {
 public:
  static constexpr bool kCounts = true;
  explicit CountedProductSums(const SparseRowsView& x) : sums_(std::size_t(x.n_rows)) {}
  void begin(const SparseRowsView&, std::int64_t) {}
  bool add(std::uint32_t b, double x_a, float x_b) {
    Sum& sum = sums_[b];
    sum.ab += x_a * double(x_b);
    sum.n += 1.0;
    return sum.n == 1.0;
  }
  bool is_met(std::uint32_t b) const { return sums_[b].n != 0.0; }
  PairSums take(std::uint32_t b) {
    PairSums sums;
    sums.n = sums_[b].n;
    sums.ab = sums_[b].ab;
    sums_[b] = {};
    return sums;
  }

 private:
  struct Sum {
    double ab = 0.0;
    double n = 0.0;
  };
  std::vector<Sum> sums_;
};

// What a correlation needs, of values less the first of their row, which leaves ratings the small numbers they are.
class CorrelationSums {
 public:
  static constexpr bool kCounts = true;
  explicit CorrelationSums(const SparseRowsView& x) : sums_(std::size_t(x.n_rows)), firsts_(std::size_t(x.n_rows)) {
    for (std::int64_t row = 0; row < x.n_rows; ++row) {
      if (x.length(row) > 0) firsts_[std::size_t(row)] = x.values[x.indptr[row]];
    }
  }
  void begin(const SparseRowsView&, std::int64_t row) { first_ = double(firsts_[std::size_t(row)]); }
  bool add(std::uint32_t row, double x_a, float x_b) {
    const double a = x_a - first_;
    const double b = double(x_b) - double(firsts_[row]);
    PairSums& s = sums_[row];
    s.n += 1.0;
    s.ab += a * b;
    s.a += a;
    s.b += b;
    s.aa += a * a;
    s.bb += b * b;
    return s.n == 1.0;
  }
  bool is_met(std::uint32_t b) const { return sums_[b].n != 0.0; }
  PairSums take(std::uint32_t b) { return std::exchange(sums_[b], PairSums()); }

 private:
  std::vector<PairSums> sums_;
  std::vector<float> firsts_;
  double first_ = 0.0;
};

}  // namespace gpurec::cpu
