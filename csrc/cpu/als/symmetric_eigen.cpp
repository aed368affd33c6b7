#include "symmetric_eigen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "../threads.hpp"

namespace gpurec::cpu {
namespace {

// Rows of which a task is made, and the size from which threads pay.
constexpr std::int64_t kRowsPerTask = 64, kWorthThreads = 256;
constexpr std::int64_t kColumnsPerTask = 64;
constexpr int kLanes = 8, kMostSteps = 60;

double dot(const double* a, const double* b, std::int64_t n) {
  double lane[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += a[i + l] * b[i + l];
  }
  for (int l = 0; i < n; ++i, ++l) lane[l] += a[i] * b[i];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

template <class F>
void for_rows(std::int64_t n, int n_threads, const F& fn) {
  if (n < kWorthThreads) n_threads = 1;
  parallel_for(n_threads, (n + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(n, (task + 1) * kRowsPerTask);
    for (std::int64_t i = task * kRowsPerTask; i < end; ++i) fn(i);
  });
}

// The tridiagonal matrix, and the product of the reflections.
struct Tridiagonal {
  std::vector<double> diagonal, below;
  std::vector<double> rows;  // rows'[k] is what unit vector k of the tridiagonal matrix's space stands for
};

Tridiagonal tridiagonal(std::vector<double>& a, std::int64_t n, int n_threads) {
  Tridiagonal t{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n)), {}};
  std::vector<double> scales(static_cast<std::size_t>(n)), moved(static_cast<std::size_t>(n));
  // Reflection k leaves of row k nothing behind column k + 1; its vector then stands there.
  for (std::int64_t k = 0; k + 1 < n; ++k) {
    double* const v = a.data() + k * n + k + 1;
    const std::int64_t m = n - k - 1;
    t.diagonal[std::size_t(k)] = a[std::size_t(k * n + k)];
    const double tail = m > 1 ? dot(v + 1, v + 1, m - 1) : 0.0;
    if (tail == 0.0) {
      t.below[std::size_t(k)] = v[0];
      continue;
    }
    const double length = std::sqrt(v[0] * v[0] + tail);
    const double kept = v[0] > 0 ? -length : length;
    t.below[std::size_t(k)] = kept;
    v[0] -= kept;
    const double scale = 2.0 / (v[0] * v[0] + tail);
    scales[std::size_t(k)] = scale;
    double* const p = moved.data();
    for_rows(m, n_threads, [&](std::int64_t i) { p[i] = scale * dot(a.data() + (k + 1 + i) * n + k + 1, v, m); });
    const double half = 0.5 * scale * dot(p, v, m);
    for (std::int64_t i = 0; i < m; ++i) p[i] -= half * v[i];
    for_rows(m, n_threads, [&](std::int64_t i) {
      double* const row = a.data() + (k + 1 + i) * n + k + 1;
      const double vi = v[i], pi = p[i];
      for (std::int64_t j = 0; j < m; ++j) row[j] -= vi * p[j] + pi * v[j];
    });
  }
  if (n > 0) t.diagonal[std::size_t(n - 1)] = a[std::size_t(n * n - 1)];
  // Row i of the product: the unit vector i, reflected by the first, the second and so on.
  t.rows.assign(std::size_t(n * n), 0.0);
  std::vector<double> by_rows(std::size_t(n * n), 0.0);
  for_rows(n, n_threads, [&](std::int64_t i) {
    double* const row = by_rows.data() + i * n;
    row[i] = 1.0;
    for (std::int64_t k = 0; k + 1 < n; ++k) {
      const double scale = scales[std::size_t(k)];
      if (scale == 0.0) continue;
      const double* const v = a.data() + k * n + k + 1;
      const double share = scale * dot(row + k + 1, v, n - k - 1);
      for (std::int64_t j = k + 1; j < n; ++j) row[j] -= share * v[j - k - 1];
    }
  });
  for_rows(n, n_threads, [&](std::int64_t k) {
    for (std::int64_t i = 0; i < n; ++i) t.rows[std::size_t(k * n + i)] = by_rows[std::size_t(i * n + k)];
  });
  return t;
}

struct Rotation {
  std::int64_t row;  // it turns this row and the next
  double cosine, sine;
};

void rotate_rows(std::vector<double>& rows, std::int64_t n, const std::vector<Rotation>& rotations, int n_threads) {
  if (n < kWorthThreads) n_threads = 1;
  const std::int64_t width = n < kWorthThreads ? n : kColumnsPerTask;
  parallel_for(n_threads, (n + width - 1) / width, [&](std::int64_t task) {
    const std::int64_t first = task * width, here = std::min(width, n - first);
    for (const Rotation& r : rotations) {
      double* __restrict const a = rows.data() + r.row * n + first;
      double* __restrict const b = a + n;
      for (std::int64_t j = 0; j < here; ++j) {
        const double x = a[j], y = b[j];
        b[j] = r.sine * x + r.cosine * y;
        a[j] = r.cosine * x - r.sine * y;
      }
    }
  });
}

// Makes the matrix diagonal; its rows turn with it.
void make_diagonal(Tridiagonal& t, std::int64_t n, int n_threads) {
  std::vector<double>& d = t.diagonal;
  std::vector<double>& e = t.below;
  std::vector<Rotation> rotations;
  for (std::int64_t l = 0; l < n; ++l) {
    for (int step = 0; step < kMostSteps; ++step) {
      std::int64_t m = l;
      for (; m + 1 < n; ++m) {
        const double beside = std::abs(d[std::size_t(m)]) + std::abs(d[std::size_t(m + 1)]);
        if (std::abs(e[std::size_t(m)]) <= std::numeric_limits<double>::epsilon() * beside) break;
      }
      if (m == l) break;
      const double slope = (d[std::size_t(l + 1)] - d[std::size_t(l)]) / (2.0 * e[std::size_t(l)]);
      const double root = std::hypot(slope, 1.0);
      double g = d[std::size_t(m)] - d[std::size_t(l)] + e[std::size_t(l)] / (slope + std::copysign(root, slope));
      double sine = 1.0, cosine = 1.0, carried = 0.0;
      rotations.clear();
      std::int64_t i = m - 1;
      for (; i >= l; --i) {
        const double f = sine * e[std::size_t(i)], b = cosine * e[std::size_t(i)];
        const double length = std::hypot(f, g);
        e[std::size_t(i + 1)] = length;
        if (length == 0.0) {
          d[std::size_t(i + 1)] -= carried;
          e[std::size_t(m)] = 0.0;
          break;
        }
        sine = f / length;
        cosine = g / length;
        const double before = d[std::size_t(i + 1)] - carried;
        const double turned = (d[std::size_t(i)] - before) * sine + 2.0 * cosine * b;
        carried = sine * turned;
        d[std::size_t(i + 1)] = before + carried;
        g = cosine * turned - b;
        rotations.push_back({i, cosine, sine});
      }
      if (i < l) {
        d[std::size_t(l)] -= carried;
        e[std::size_t(l)] = g;
        e[std::size_t(m)] = 0.0;
      }
      rotate_rows(t.rows, n, rotations, n_threads);
    }
  }
}

}  // namespace

SymmetricEigen symmetric_eigen(std::vector<double> matrix, std::int64_t n, int n_threads) {
  Tridiagonal t = tridiagonal(matrix, n, n_threads);
  make_diagonal(t, n, n_threads);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t(0));
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return t.diagonal[std::size_t(a)] > t.diagonal[std::size_t(b)];
  });
  SymmetricEigen found{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n * n))};
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t from = order[std::size_t(k)];
    found.values[std::size_t(k)] = t.diagonal[std::size_t(from)];
    std::copy_n(t.rows.data() + from * n, n, found.vectors.data() + k * n);
  }
  return found;
}

}  // namespace gpurec::cpu
