// A vector drawn from the normal distribution that a row's ratings, its prior and the noise leave for it.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/random_normals.hpp"

namespace gpurec::cpu {

// Sums of a row r over its ratings, each by its precision: A[f][g] of d[f] d[g] for g <= f, where d is the other's vector
// with 1 in place of its bias, and b[f] of d[f] e, e being the error before the draw. A lies row by row, without gaps.
inline std::int64_t packed_size(std::int64_t width) { return width * (width + 1) / 2; }
inline const double* packed_row(const double* a, std::int64_t f) { return a + f * (f + 1) / 2; }
inline double packed_at(const double* a, std::int64_t f, std::int64_t g) {
  return f >= g ? packed_row(a, f)[g] : packed_row(a, g)[f];
}

// y[f] = sum over g, rising, of A[f][g] x[g]: row f of the triangle holds g <= f, later rows the others.
inline void packed_times(const double* a, const double* x, std::int64_t width, double* y) {
  for (std::int64_t f = 0; f < width; ++f, a += f) {
    double sum = 0;
    for (std::int64_t g = 0; g <= f; ++g) sum += a[g] * x[g];
    y[f] = sum;
    for (std::int64_t g = 0; g < f; ++g) y[g] += a[g] * x[f];
  }
}

// What a thread keeps for one row after another.
class RowDraw {
 public:
  explicit RowDraw(std::int64_t width)
      : width_(width), factor_(std::size_t(packed_size(width))), target_(std::size_t(width)), normals_(std::size_t(width)),
        mean_(std::size_t(width)) {}

  // P = A + diag(precision); the mean solves P m = b + A (v - moved) + precision * prior mean, b being the sums before
  // features moved the row; the draw is m + L^-T z with P = L L' and z normal, or 0 where nothing is drawn. Replaces v, and
  // leaves the mean in mean().
  void draw(const double* a, const double* b, const double* moved, const double* prior_mean, const double* precision,
            bool random, std::uint64_t seed, const Counter& counter, double* v) {
    const std::int64_t n = width_;
    double* const target = target_.data();
    for (std::int64_t f = 0; f < n; ++f) mean_[std::size_t(f)] = v[f] - moved[f];
    packed_times(a, mean_.data(), n, target);
    for (std::int64_t f = 0; f < n; ++f) target[f] = (b[f] + target[f]) + precision[f] * prior_mean[f];
    decompose(a, precision);
    if (random) normals(seed, counter, n, normals_.data());
    solve(v);
  }

  const double* mean() const { return mean_.data(); }

 private:
  double* row(std::int64_t f) { return factor_.data() + f * (f + 1) / 2; }

  // L by rows: L[f][g] = (P[f][g] - sum over k < g, rising, of L[f][k] L[g][k]) / L[g][g].
  void decompose(const double* a, const double* precision) {
    for (std::int64_t f = 0; f < width_; ++f) {
      double* const mine = row(f);
      for (std::int64_t g = 0; g <= f; ++g) {
        const double* const theirs = row(g);
        double left = packed_row(a, f)[g];
        if (g == f) left += precision[f];
        for (std::int64_t k = 0; k < g; ++k) left -= mine[k] * theirs[k];
        mine[g] = g == f ? std::sqrt(left) : left / theirs[g];
      }
    }
  }

  // Forwards L y = target, then backwards L' m = y and L' v = y + z, both in the same way.
  void solve(double* v) {
    double* const y = target_.data();
    for (std::int64_t f = 0; f < width_; ++f) {
      const double* const mine = row(f);
      double left = y[f];
      for (std::int64_t k = 0; k < f; ++k) left -= mine[k] * y[k];
      y[f] = left / mine[f];
    }
    double* const m = mean_.data();
    for (std::int64_t f = 0; f < width_; ++f) {
      m[f] = y[f];
      v[f] = y[f] + normals_[std::size_t(f)];
    }
    for (std::int64_t f = width_ - 1; f >= 0; --f) {
      const double* const mine = row(f);
      m[f] /= mine[f];
      v[f] /= mine[f];
      for (std::int64_t k = 0; k < f; ++k) {
        m[k] -= mine[k] * m[f];
        v[k] -= mine[k] * v[f];
      }
    }
  }

  std::int64_t width_;
  std::vector<double> factor_, target_, normals_, mean_;
};

}  // namespace gpurec::cpu
