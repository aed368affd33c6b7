#include "gpurec/gibbs.hpp"

#include <algorithm>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/planted.hpp"
#include "row_draw.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsPerTask = 16;
// The lanes belong to the contract, not to the machine.
constexpr std::int64_t kLanes = 8, kFeatureLanes = 4;

// What features are drawn from: sums over each owner's rows.
struct OwnerSums {
  const double* grams = nullptr;     // (owners, packed_size)
  std::vector<double> sums;          // (width, owners), before any feature moved
  std::vector<double> moved;         // (owners, width): what features added to the vectors
  std::vector<double> squares;       // (width, owners): A[f][f]
  std::vector<double> of_features;   // (width, features): sums of these over a feature's owners
  std::vector<double> own_grams;     // where rows share owners
};

class HalfSweep {
 public:
  HalfSweep(const SparseRowsView& ratings, const MatrixView<const double>& others, const double* other_precisions,
            const GibbsSide& side, const GibbsDraw& draw, double* errors, const Kernels& kernels, int n_threads)
      : ratings_(ratings), side_(side), draw_(draw), kernels_(kernels), n_threads_(n_threads), width_(others.cols),
        stride_((others.cols + kLanes - 1) / kLanes * kLanes), padded_(std::size_t(others.rows * stride_)),
        biases_(std::size_t(others.rows)), roots_(std::size_t(others.rows)), errors_(errors) {
    for (std::int64_t o = 0; o < others.rows; ++o) {
      double* const row = padded_.data() + o * stride_;
      const double root = std::sqrt(other_precisions[o]);
      roots_[std::size_t(o)] = root;
      biases_[std::size_t(o)] = others.row(o)[0];
      row[0] = root;
      for (std::int64_t f = 1; f < width_; ++f) row[f] = root * others.row(o)[f];
    }
  }

  void run() {
    if (side_.features.n_rows == 0) {
      for_rows([&](Scratch& scratch, std::int64_t r) {
        sum_row(scratch, r);
        std::fill(scratch.moved.begin(), scratch.moved.end(), 0.0);
        draw_row(scratch, r, scratch.packed.data(), scratch.sums.data(), scratch.moved.data());
      });
    } else {
      with_features();
    }
  }

 private:
  // What a thread keeps for one row after another.
  struct Scratch {
    explicit Scratch(std::int64_t width, std::int64_t stride)
        : gram(std::size_t(width * stride)), sums(std::size_t(stride)), vector(std::size_t(stride)), packed(std::size_t(packed_size(width))),
          moved(std::size_t(width)), change(std::size_t(width)), product(std::size_t(width)), before(std::size_t(width)),
          row(width) {}
    std::vector<double> gram, sums, vector, packed, moved, change, product, before, left;
    RowDraw row;
  };

  template <class F>
  void for_rows(F&& each) {
    const std::int64_t n_tasks = (ratings_.n_rows + kRowsPerTask - 1) / kRowsPerTask;
    parallel_for(n_threads_, n_tasks, [&](std::int64_t task) {
      Scratch scratch(width_, stride_);
      const std::int64_t end = std::min(ratings_.n_rows, (task + 1) * kRowsPerTask);
      for (std::int64_t r = task * kRowsPerTask; r < end; ++r) each(scratch, r);
    });
  }

  // The row's sums, and its squared errors before the draw. An error and a vector times the root of the other's precision
  // make sums by that precision.
  void sum_row(Scratch& scratch, std::int64_t r) {
    const std::int64_t first = ratings_.indptr[r], n = ratings_.length(r);
    const std::int32_t* const others = ratings_.columns + first;
    std::copy_n(side_.vectors.row(r), width_, scratch.vector.data());
    const double* const v = scratch.vector.data();
    scratch.left.resize(std::size_t(n));
    double errors = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      const std::size_t o = std::size_t(others[t]);
      const double left = roots_[o] * (double(ratings_.values[first + t]) - biases_[o]) -
                          dot(v, padded_.data() + others[t] * stride_);
      scratch.left[std::size_t(t)] = left;
      errors += left * left;
    }
    errors_[r] = errors;
    kernels_.chosen_gram(others, scratch.left.data(), n, padded_.data(), stride_, width_, scratch.gram.data(),
                         scratch.sums.data());
    const double precision = side_.precisions[r];
    double* out = scratch.packed.data();
    for (std::int64_t f = 0; f < width_; ++f) {
      for (std::int64_t g = 0; g <= f; ++g) *out++ = precision * scratch.gram[std::size_t(f * stride_ + g)];
      scratch.sums[std::size_t(f)] *= precision;
    }
  }

  // Lane l adds the products of components l, l + 8, ... from +0.0; then halves are added (4, 2, 1). Both vectors have
  // zeros up to the stride, which add +0.0 to lanes that are never -0: so all lanes stay in registers.
  double dot(const double* v, const double* other) const {
    double lane[kLanes] = {};
    for (std::int64_t f = 0; f < stride_; f += kLanes) {
#pragma GCC unroll 8
      for (std::int64_t l = 0; l < kLanes; ++l) lane[l] += v[f + l] * other[f + l];
    }
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  }

  // `moved` is what features added, b the sums before they did.
  void draw_row(Scratch& scratch, std::int64_t r, const double* a, const double* b, const double* moved) {
    double* const own = side_.own.row(r);
    double* const vector = side_.vectors.row(r);
    std::copy_n(own, width_, scratch.before.data());
    const Counter counter{0, std::uint32_t(r), 2 * draw_.number, draw_.sweep};
    scratch.row.draw(a, b, moved, side_.prior_means.row(0), side_.prior_precisions.row(0), draw_.random, draw_.seed,
                     counter, own);
    for (std::int64_t f = 0; f < width_; ++f) {
      const double from_features = vector[f] - scratch.before[std::size_t(f)] + moved[f];
      side_.means.row(r)[f] = from_features + scratch.row.mean()[f];
      scratch.change[std::size_t(f)] = moved[f] + (own[f] - scratch.before[std::size_t(f)]);
      vector[f] = from_features + own[f];
    }
    // |e - D c|^2 = |e|^2 - c . (2 D'e - D'D c), D being the others' vectors; both sums are by the row's precision.
    packed_times(a, scratch.change.data(), width_, scratch.product.data());
    double fall = 0;
    for (std::int64_t f = 0; f < width_; ++f) {
      fall += scratch.change[std::size_t(f)] * (2 * b[f] - scratch.product[std::size_t(f)]);
    }
    errors_[r] -= fall / side_.precisions[r];
  }

  void with_features() {
    const std::int64_t n = ratings_.n_rows, packed = packed_size(width_);
    std::vector<double> grams(std::size_t(n * packed)), sums(std::size_t(n * width_));
    for_rows([&](Scratch& scratch, std::int64_t r) {
      sum_row(scratch, r);
      std::copy_n(scratch.packed.data(), packed, grams.data() + r * packed);
      std::copy_n(scratch.sums.data(), width_, sums.data() + r * width_);
    });
    OwnerSums of_owners;
    add_up_owners(grams, sums, of_owners);
    std::vector<double> normals_of_features(std::size_t(side_.features.n_rows * width_));
    if (draw_.random) {
      parallel_for(n_threads_, side_.features.n_rows, [&](std::int64_t j) {
        const Counter counter{0, std::uint32_t(j), 2 * draw_.number + 1, draw_.sweep};
        normals(draw_.seed, counter, width_, normals_of_features.data() + j * width_);
      });
    }
    take_squares(of_owners);
    for (std::int64_t f = 0; f < width_; ++f) draw_component(of_owners, normals_of_features, f);
    for_rows([&](Scratch& scratch, std::int64_t r) {
      draw_row(scratch, r, grams.data() + r * packed, sums.data() + r * width_,
               of_owners.moved.data() + owner_of(r) * width_);
    });
  }

  std::int64_t owner_of(std::int64_t r) const { return side_.owners == nullptr ? r : side_.owners[r]; }

  // An owner has the sums of its first row, and the other rows' added in turn. Features are the same for all of these: so they
  // cost what owners have of them, in however many rows their ratings lie.
  void add_up_owners(const std::vector<double>& grams, const std::vector<double>& sums, OwnerSums& out) const {
    const std::int64_t n = ratings_.n_rows, m = n_owners(), packed = packed_size(width_);
    out.moved.assign(std::size_t(m * width_), 0.0);
    out.sums.assign(std::size_t(m * width_), 0.0);
    out.grams = grams.data();
    if (side_.owners == nullptr) {
      for (std::int64_t r = 0; r < n; ++r) {
        for (std::int64_t f = 0; f < width_; ++f) out.sums[std::size_t(f * m + r)] = sums[std::size_t(r * width_ + f)];
      }
      return;
    }
    out.own_grams.assign(std::size_t(m * packed), 0.0);
    out.grams = out.own_grams.data();
    std::vector<bool> begun(std::size_t(m), false);
    for (std::int64_t r = 0; r < n; ++r) {
      const std::int64_t u = side_.owners[r];
      double* const gram = out.own_grams.data() + u * packed;
      const double* const of_row = grams.data() + r * packed;
      if (!begun[std::size_t(u)]) {
        begun[std::size_t(u)] = true;
        std::copy_n(of_row, packed, gram);
        for (std::int64_t f = 0; f < width_; ++f) out.sums[std::size_t(f * m + u)] = sums[std::size_t(r * width_ + f)];
        continue;
      }
      if (GPUREC_PLANTED(gibbs_owner_of_one_row)) continue;
      for (std::int64_t i = 0; i < packed; ++i) gram[i] += of_row[i];
      for (std::int64_t f = 0; f < width_; ++f) out.sums[std::size_t(f * m + u)] += sums[std::size_t(r * width_ + f)];
    }
  }

  std::int64_t n_owners() const { return side_.features.n_columns; }

  // What no draw changes of the precisions of features: components on their own, on any threads.
  void take_squares(OwnerSums& kept) const {
    const std::int64_t m = n_owners(), packed = packed_size(width_), n_features = side_.features.n_rows;
    kept.squares.resize(std::size_t(m * width_));
    kept.of_features.resize(std::size_t(n_features * width_));
    parallel_for(n_threads_, width_, [&](std::int64_t f) {
      double* const squares = kept.squares.data() + f * m;
      for (std::int64_t u = 0; u < m; ++u) squares[u] = packed_at(kept.grams + u * packed, f, f);
      for (std::int64_t j = 0; j < n_features; ++j) {
        const std::int64_t first = side_.features.indptr[j];
        const std::int32_t* const owners = side_.features.columns + first;
        const float* const values = side_.features.values + first;
        kept.of_features[std::size_t(f * n_features + j)] =
            feature_sum(side_.features.length(j), [&](std::int64_t t) {
              const double x = values[t];
              return (x * x) * squares[owners[t]];
            });
      }
    });
  }

  // Lane l adds the terms l, l + 4, ... from +0.0; then the lanes are added.
  template <class F>
  static double feature_sum(std::int64_t n, F&& term) {
    double lane[kFeatureLanes] = {};
    std::int64_t t = 0;
    for (; t + kFeatureLanes <= n; t += kFeatureLanes) {
#pragma GCC unroll 4
      for (std::int64_t l = 0; l < kFeatureLanes; ++l) lane[l] += term(t + l);
    }
    // No lane by a number that the compiler does not know: that would keep all of them in memory.
    if (t < n) lane[0] += term(t);
    if (t + 1 < n) lane[1] += term(t + 1);
    if (t + 2 < n) lane[2] += term(t + 2);
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
  }

  // Component f of every feature's vector, one after another: each moves what the next one sees.
  void draw_component(OwnerSums& kept, const std::vector<double>& normals_of_features, std::int64_t f) {
    const std::int64_t m = n_owners(), packed = packed_size(width_);
    const double* const squares = kept.squares.data() + f * m;
    double* const sums = kept.sums.data() + f * m;
    // What components before this one moved.
    for (std::int64_t u = 0; u < m; ++u) {
      const double* const a = packed_row(kept.grams + u * packed, f);
      const double* const moved = kept.moved.data() + u * width_;
      for (std::int64_t g = 0; g < f; ++g) sums[u] -= a[g] * moved[g];
    }
    moved_now_.assign(std::size_t(m), 0.0);
    double* const moved = moved_now_.data();
    for (std::int64_t j = 0; j < side_.features.n_rows; ++j) {
      const std::int64_t first = side_.features.indptr[j], entries = side_.features.length(j);
      const std::int32_t* const owners = side_.features.columns + first;
      const float* const values = side_.features.values + first;
      const double a = kept.of_features[std::size_t(f * side_.features.n_rows + j)];
      const double b = feature_sum(entries, [&](std::int64_t t) { return double(values[t]) * sums[owners[t]]; });
      double& weight = side_.weights.row(j)[f];
      const double prior = side_.prior_precisions.row(side_.groups[j])[f];
      const double prior_mean = side_.prior_means.row(side_.groups[j])[f];
      const double precision = a + prior;
      const double mean = ((b + a * weight) + prior * prior_mean) / precision;
      const double drawn = mean + normals_of_features[std::size_t(j * width_ + f)] / std::sqrt(precision);
      const double change = drawn - weight;
      weight = drawn;
      if (GPUREC_PLANTED(gibbs_feature_not_moved)) continue;
      for (std::int64_t t = 0; t < entries; ++t) {
        const double step = double(values[t]) * change;
        sums[owners[t]] -= step * squares[owners[t]];
        moved[owners[t]] += step;
      }
    }
    for (std::int64_t u = 0; u < m; ++u) kept.moved[std::size_t(u * width_ + f)] = moved[u];
  }

  const SparseRowsView& ratings_;
  const GibbsSide& side_;
  const GibbsDraw& draw_;
  const Kernels& kernels_;
  const int n_threads_;
  const std::int64_t width_, stride_;
  // The others' vectors with 1 for the bias, times the roots of their precisions; their biases; the roots.
  std::vector<double> padded_, biases_, roots_;
  std::vector<double> moved_now_;  // of owners, in the component that is drawn
  double* const errors_;  // squared, of each row
};

}  // namespace

void gibbs_half_sweep(const SparseRowsView& ratings, const MatrixView<const double>& others,
                      const double* other_precisions, const GibbsSide& side, const GibbsDraw& draw, double* errors,
                      const Kernels& kernels, int n_threads) {
  HalfSweep(ratings, others, other_precisions, side, draw, errors, kernels, n_threads).run();
}

}  // namespace gpurec::cpu
