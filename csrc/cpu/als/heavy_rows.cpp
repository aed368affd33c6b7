#include "als/heavy_rows.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gpurec/planted.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

// Numbers that the matrices of all parts may take.
constexpr std::int64_t kMatrixNumbers = std::int64_t(1) << 24;

// A row's equations (I + Y'aY) y = Y'p in units of D^-1/2, from parts of its entries at a time.
class Parts {
 public:
  Parts(const AlsRow& row, const AlsKernels& kernels, int n_threads)
      : row_(row), d_(row.d_padded), kernels_(kernels), n_threads_(n_threads), rooms_(row.d_padded, kEntriesPerPart) {
    const std::int64_t most = std::clamp<std::int64_t>(kMatrixNumbers / (d_ * d_), 1, kHeavyParts);
    n_parts_ = std::clamp<std::int64_t>(row.n / kEntriesPerPart, 1, most);
    if (GPUREC_PLANTED(als_parts_by_threads)) n_parts_ = n_threads;
    for (std::int64_t i = 0; i < d_; ++i) shrink_.push_back(1.0f / std::sqrt(row.curvature[i] + row.l2));
  }

  std::int64_t d() const { return d_; }
  std::int64_t stride() const { return d_ + kAlsPadding; }
  float shrink(std::int64_t i) const { return shrink_[std::size_t(i)]; }

  // The upper triangle of I + Y'aY, d x stride, and Y'p in the column behind it.
  std::vector<double> equations() {
    const std::int64_t numbers = d_ * stride();
    std::vector<AlignedFloats> sums(static_cast<std::size_t>(n_parts_));
    for_parts([&](std::int64_t part, const AlsRow& of, const AlsScratch& scratch) {
      AlignedFloats said(numbers + stride());
      float* const right = said.data() + numbers;
      kernels_.add_equations(of, scratch, said.data(), right);
      for (std::int64_t i = 0; i < d_; ++i) said.data()[i * stride() + d_] = right[i];
      sums[std::size_t(part)] = std::move(said);
    });
    std::vector<double> total(static_cast<std::size_t>(numbers));
    for (std::int64_t i = 0; i < d_; ++i) total[std::size_t(i * stride() + i)] = 1.0;
    const std::size_t n = sums.size() - (GPUREC_PLANTED(als_last_part_lost) ? 1 : 0);
    for (std::size_t part = 0; part < n; ++part) {
      for (std::int64_t at = 0; at < numbers; ++at) total[std::size_t(at)] += double(sums[part].data()[at]);
    }
    return total;
  }

  // out = Y'aY y, and what the entries add to the loss less sum w t^2.
  double times(const std::vector<float>& y, std::vector<double>& out) {
    std::vector<AlignedFloats> sums(static_cast<std::size_t>(n_parts_));
    std::vector<double> losses(static_cast<std::size_t>(n_parts_));
    AlignedFloats with(d_);
    std::copy_n(y.data(), d_, with.data());
    for_parts([&](std::int64_t part, const AlsRow& of, const AlsScratch& scratch) {
      AlignedFloats said(d_);
      losses[std::size_t(part)] = kernels_.add_times(of, scratch, with.data(), said.data());
      sums[std::size_t(part)] = std::move(said);
    });
    return summed(sums, losses, out);
  }

  // out = Y'p.
  void right(std::vector<double>& out) {
    std::vector<AlignedFloats> sums(static_cast<std::size_t>(n_parts_));
    for_parts([&](std::int64_t part, const AlsRow& of, const AlsScratch& scratch) {
      AlignedFloats said(d_);
      kernels_.add_right(of, scratch, said.data());
      sums[std::size_t(part)] = std::move(said);
    });
    summed(sums, {}, out);
  }

 private:
  template <class F>
  void for_parts(const F& fn) {
    parallel_for(n_threads_, n_parts_, [&](std::int64_t part) {
      const std::int64_t first = row_.n * part / n_parts_ / kAlsPadding * kAlsPadding;
      const std::int64_t end = part + 1 == n_parts_ ? row_.n : row_.n * (part + 1) / n_parts_ / kAlsPadding * kAlsPadding;
      AlsRow of = row_;
      of.columns += first;
      of.extra += first;
      of.pulls += first;
      of.n = end - first;
      auto room = rooms_.take();
      fn(part, of, room->scratch);
      rooms_.give_back(std::move(room));
    });
  }

  double summed(const std::vector<AlignedFloats>& sums, const std::vector<double>& losses, std::vector<double>& out) {
    out.assign(std::size_t(d_), 0.0);
    for (const AlignedFloats& part : sums) {
      for (std::int64_t i = 0; i < d_; ++i) out[std::size_t(i)] += double(part.data()[i]);
    }
    double loss = 0.0;
    for (const double part : losses) loss += part;
    return loss;
  }

  AlsRow row_;
  std::int64_t d_, n_parts_ = 1;
  const AlsKernels& kernels_;
  int n_threads_;
  AlsRooms rooms_;
  std::vector<float> shrink_;
};

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Steps of conjugate gradients in float64 but for what entries say. The loss of where they end.
double by_gradients(Parts& parts, std::int64_t steps, std::vector<float>& y) {
  const std::size_t d = y.size();
  std::vector<double> at(y.begin(), y.end()), left, moved, towards;
  std::vector<float> rounded = y;
  const auto times = [&](const std::vector<double>& x) {  // moved = (I + Y'aY) x
    std::copy(x.begin(), x.end(), rounded.begin());
    const double loss = parts.times(rounded, moved);
    for (std::size_t i = 0; i < d; ++i) moved[i] += x[i];
    return loss;
  };
  parts.right(left);
  times(at);
  for (std::size_t i = 0; i < d; ++i) left[i] -= moved[i];
  towards = left;
  double size = product(left, left);
  for (std::int64_t step = 0; step < steps; ++step) {
    times(towards);
    const double curvature = product(towards, moved);
    if (!(size > 0.0) || !(curvature > 0.0)) break;
    const double by = size / curvature, before = size;
    for (std::size_t i = 0; i < d; ++i) {
      at[i] += by * towards[i];
      left[i] -= by * moved[i];
    }
    size = product(left, left);
    for (std::size_t i = 0; i < d; ++i) towards[i] = left[i] + size / before * towards[i];
  }
  std::copy(at.begin(), at.end(), y.begin());
  return times(at) + product(at, at);
}

// Passes over blocks of the whole equations, one block being all of them where that is asked for.
bool by_blocks(const Parts& parts, const std::vector<double>& whole, const AlsKernels& kernels, std::int64_t passes,
               std::int64_t block_size, std::vector<float>& y) {
  const std::int64_t d = parts.d(), stride = parts.stride();
  const auto a = [&](std::int64_t i, std::int64_t j) { return whole[std::size_t(std::min(i, j) * stride + std::max(i, j))]; };
  AlignedFloats matrix(d * stride), step(stride);
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    for (std::int64_t begin = 0; begin < d; begin += block_size) {
      const std::int64_t end = std::min(begin + block_size, d), size = end - begin;
      const std::int64_t wide = als_padded_to(size, kAlsPadding), apart = wide + kAlsPadding;
      std::fill_n(matrix.data(), wide * apart, 0.0f);
      std::fill_n(step.data(), wide, 0.0f);
      for (std::int64_t i = begin; i < end; ++i) {
        float* const row = matrix.data() + (i - begin) * apart;
        for (std::int64_t j = i; j < end; ++j) row[j - begin] = float(a(i, j));
        double slope = whole[std::size_t(i * stride + d)];
        for (std::int64_t j = 0; j < d; ++j) slope -= a(i, j) * double(y[std::size_t(j)]);
        row[wide] = float(slope);
      }
      if (!kernels.cholesky(matrix.data(), apart, size, wide, step.data())) return false;
      for (std::int64_t i = begin; i < end; ++i) y[std::size_t(i)] += step.data()[i - begin];
    }
  }
  return true;
}

double loss_of(const Parts& parts, const std::vector<double>& whole, const std::vector<float>& y) {
  double loss = 0.0;
  for (std::int64_t i = 0; i < parts.d(); ++i) {
    const double* const row = whole.data() + i * parts.stride();
    double sum = row[i] * double(y[std::size_t(i)]) / 2.0 - row[parts.d()];
    for (std::int64_t j = i + 1; j < parts.d(); ++j) sum += row[j] * double(y[std::size_t(j)]);
    loss += 2.0 * sum * double(y[std::size_t(i)]);
  }
  return loss;
}

}  // namespace

bool solve_heavy_row(const AlsRow& row, const AlsRates& rates, const AlsKernels& kernels, float* z, double* loss,
                     int n_threads) {
  Parts parts(row, kernels, n_threads);
  const std::int64_t d = parts.d();
  std::vector<float> y(static_cast<std::size_t>(d));
  bool solved = true;
  if (rates.solver != AlsSolver::cholesky) {
    for (std::int64_t i = 0; i < d; ++i) y[std::size_t(i)] = z[i] / parts.shrink(i);
  }
  if (rates.solver == AlsSolver::cg) {
    *loss = by_gradients(parts, rates.steps, y);
  } else {
    const std::vector<double> whole = parts.equations();
    const bool exact = rates.solver == AlsSolver::cholesky;
    solved = by_blocks(parts, whole, kernels, exact ? 1 : rates.steps, exact ? d : std::min(d, rates.block_size), y);
    *loss = loss_of(parts, whole, y);
  }
  for (std::int64_t i = 0; i < d; ++i) z[i] = y[std::size_t(i)] * parts.shrink(i);
  return solved && std::abs(*loss) < 1e300;
}

}  // namespace gpurec::cpu
