#include "table/find_directions.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "table/item_segment.hpp"
#include "table/leading_plane.hpp"

namespace gpurec::cpu {
namespace {

using Doubles = std::vector<double>;

constexpr std::int64_t kFewestNumbers = std::int64_t(1) << 22;  // of a segment for which directions are looked for
constexpr std::int64_t kMostWork = std::int64_t(1) << 27;       // multiply-adds of the second moments
constexpr std::int64_t kMostSampled = 8192;
constexpr int kQueries = 32;  // items that stand for queries
constexpr int kRounds = 10;
constexpr double kSame = 1e-4;     // of squared lengths
constexpr double kAnswers = 10.0;  // places of the answer that is asked for

// What a scan costs, in components of an item scanned in int8: a score of a single item, what an item costs beside
// its components, and how much quicker a plane must be to be worth its memory: estimates.
constexpr double kScore = 1000.0, kItem = 8.0, kWorth = 0.6;
constexpr double kCodeError = 0.006;  // of a code of a byte beside its row's length

// Every so-many-th item, the largest among them.
std::vector<const float*> sample_of(const ItemSegment& segment) {
  const std::int64_t most = std::clamp<std::int64_t>(kMostWork / (segment.d * segment.d), 256, kMostSampled);
  const std::int64_t step = (segment.n + most - 1) / most;
  std::vector<const float*> rows;
  for (std::int64_t at = 0; at < segment.n; at += step) rows.push_back(segment.row(at));
  return rows;
}

// Their second moments, d x d.
Doubles moments_of(const std::vector<const float*>& rows, std::int64_t d) {
  Doubles moments(std::size_t(d * d)), row(static_cast<std::size_t>(d));
  for (const float* x : rows) {
    for (std::int64_t i = 0; i < d; ++i) row[std::size_t(i)] = double(x[i]);
    for (std::int64_t i = 0; i < d; ++i) {
      double* const sums = moments.data() + i * d;
      for (std::int64_t j = i; j < d; ++j) sums[j] += row[std::size_t(i)] * row[std::size_t(j)];
    }
  }
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j < i; ++j) moments[std::size_t(i * d + j)] = moments[std::size_t(j * d + i)];
  }
  return moments;
}

// All dots between them.
Doubles dots_of(const std::vector<const float*>& rows, std::int64_t d, const Kernels& kernels) {
  const std::size_t n = rows.size();
  Doubles dots(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) dots[i * n + j] = dots[j * n + i] = kernels.dot64(rows[i], rows[j], d);
  }
  return dots;
}

double dot(const double* a, const double* b, std::int64_t d) {
  return lane_sum(d, [=](std::int64_t i) { return a[i] * b[i]; });
}

// Makes the rows orthonormal, each twice; those that depend on the ones before become zero.
void orthonormalise(Doubles& rows, std::int64_t d) {
  const std::int64_t m = std::int64_t(rows.size()) / d;
  for (std::int64_t a = 0; a < m; ++a) {
    double* const row = rows.data() + a * d;
    const double before = std::sqrt(dot(row, row, d));
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t b = 0; b < a; ++b) {
        const double* const other = rows.data() + b * d;
        const double share = dot(row, other, d);
        for (std::int64_t i = 0; i < d; ++i) row[i] -= share * other[i];
      }
    }
    const double length = std::sqrt(dot(row, row, d));
    const double inverse = length > 1e-10 * before ? 1.0 / length : 0.0;
    for (std::int64_t i = 0; i < d; ++i) row[i] *= inverse;
  }
}

// Orthogonal iteration from the components that vary most: the rows become eigenvectors, the largest first. They need
// not be good ones, since what they leave out is measured.
Doubles leading_rows(const Doubles& moments, std::int64_t d, std::int64_t m) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(d));
  for (std::int64_t i = 0; i < d; ++i) order[std::size_t(i)] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return moments[std::size_t(a * d + a)] > moments[std::size_t(b * d + b)];
  });
  Doubles rows, next(std::size_t(m * d));
  for (std::int64_t j = 0; j < m; ++j) {
    const double* const column = moments.data() + order[std::size_t(j)] * d;
    rows.insert(rows.end(), column, column + d);
  }
  orthonormalise(rows, d);
  for (int round = 0; round < kRounds; ++round) {
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t i = 0; i < d; ++i) {
        next[std::size_t(j * d + i)] = dot(moments.data() + i * d, rows.data() + j * d, d);
      }
    }
    rows.swap(next);
    orthonormalise(rows, d);
  }
  return rows;
}

// Directions in which the rows differ most, the largest first. Where there are fewer rows than components, they come from
// the matrix of dots, whose eigenvectors say how much of each row a direction has.
std::vector<float> directions_of(const std::vector<const float*>& rows, std::int64_t d, std::int64_t m,
                                 const Kernels& kernels) {
  const auto n = std::int64_t(rows.size());
  Doubles directions;
  if (d <= n) {
    directions = leading_rows(moments_of(rows, d), d, m);
  } else {
    const Doubles shares = leading_rows(dots_of(rows, d, kernels), n, m);
    directions.resize(std::size_t(m * d));
    for (std::int64_t j = 0; j < m; ++j) {
      for (std::int64_t r = 0; r < n; ++r) {
        const double share = shares[std::size_t(j * n + r)];
        for (std::int64_t i = 0; i < d; ++i) directions[std::size_t(j * d + i)] += share * double(rows[std::size_t(r)][i]);
      }
    }
    orthonormalise(directions, d);
  }
  return {directions.begin(), directions.end()};
}

// Rows of the sample in leading directions: their components, and the length of what the first 0, 1, ... leave out.
struct Rotated {
  Rotated(const std::vector<const float*>& sample, const std::vector<float>& directions, std::int64_t d,
          const Kernels& kernels)
      : m(std::int64_t(directions.size()) / d) {
    for (const float* row : sample) {
      double left = kernels.dot64(row, row, d);
      tails.push_back(std::sqrt(left));
      for (std::int64_t j = 0; j < m; ++j) {
        const double y = kernels.dot64(row, directions.data() + j * d, d);
        left = std::fmax(0.0, left - y * y);  // an estimate: nothing relies on it
        components.push_back(y);
        tails.push_back(std::sqrt(left));
      }
    }
  }
  const double* of(std::size_t row) const { return components.data() + row * std::size_t(m); }
  const double* tails_of(std::size_t row) const { return tails.data() + row * std::size_t(m + 1); }

  std::int64_t m;
  Doubles components, tails;
};

}  // namespace

std::vector<float> find_directions(const ItemSegment& segment, bool always, const Kernels& kernels) {
  const std::int64_t d = segment.d;
  if (!always && segment.n * d < kFewestNumbers) return {};
  const std::vector<const float*> sample = sample_of(segment);
  const std::int64_t most = std::min({kMostDirections, d, std::int64_t(sample.size())});
  const std::vector<float> directions = directions_of(sample, d, most, kernels);
  const Rotated rotated(sample, directions, d, kernels);

  std::vector<std::int64_t> counts;  // of directions: with one code more they fill groups
  for (const std::int64_t m : {3, 7, 11, 15, 23, 31}) {
    if (m < most) counts.push_back(m);
  }
  if (counts.empty() || always) counts.push_back(most);
  Doubles costs(counts.size()), near(counts.size());
  double alive = 0.0;
  const std::size_t n = sample.size();
  const auto rank = std::min<std::size_t>(n - 1, std::size_t(kAnswers * double(n) / double(segment.n)));
  Doubles scores(n);
  for (int query = 0; query < kQueries; ++query) {
    const std::size_t q = std::size_t(query) * n / kQueries;
    const double own = kernels.dot64(sample[q], sample[q], d);
    for (std::size_t i = 0; i < n; ++i) {
      scores[i] = kernels.dot64(sample[q], sample[i], d);
      // It is no item for itself, and neither is what is equal to it: no query lies so close to an item.
      const double length = rotated.tails_of(i)[0];
      if (own + length * length - 2.0 * scores[i] <= kSame * own) scores[i] = -std::numeric_limits<double>::infinity();
    }
    std::nth_element(scores.begin(), scores.begin() + std::ptrdiff_t(rank), scores.end(), std::greater<double>());
    const double tau = scores[rank];
    const double* const z = rotated.of(q);
    const double* const z_tails = rotated.tails_of(q);
    for (std::size_t i = 0; i < n; ++i) {
      const double* const y = rotated.of(i);
      const double* const y_tails = rotated.tails_of(i);
      const double lengths = z_tails[0] * y_tails[0];
      if (lengths < tau) break;  // as norms fall
      alive += 1.0;
      double lead = 0.0;
      std::int64_t j = 0;
      for (std::size_t c = 0; c < counts.size(); ++c) {
        for (; j < counts[c]; ++j) lead += z[j] * y[j];
        near[c] += lead + z_tails[j] * y_tails[j] + kCodeError * lengths >= tau;
      }
    }
  }
  std::size_t best = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    costs[c] = alive * (double(counts[c]) + 1.0 + kItem) + near[c] * kScore;
    if (costs[c] < costs[best]) best = c;
  }
  if (!always && !(costs[best] < kWorth * alive * (double(d) + kItem))) return {};
  return {directions.begin(), directions.begin() + counts[best] * d};
}

}  // namespace gpurec::cpu
