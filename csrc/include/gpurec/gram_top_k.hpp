// Op `gram_top_k`: the exact most similar rows of each row of a sparse matrix, and the score that says so.
//   shapes    x (n_rows, n_columns) by rows, columns ascending and distinct in a row; out (n_asked, k)
//   memory    the caller's; 8 bytes an entry for the same matrix by columns, a thread's sums of 8 to 48 bytes a row
//   order     a sum runs in float64 from +0.0 in ascending column order; each operation is rounded on its own
//   source    Sarwar, Karypis, Konstan and Riedl 2001; Aiolli 2013; Tversky 1977; Bell and Koren 2007 (shrinkage)
#pragma once
#include "gpurec/canonical.hpp"
#include "gpurec/planted.hpp"
#include "gpurec/portable_std.hpp"
#include "gpurec/views.hpp"

namespace gpurec {

// products: the sum of products, divided by left[a] * right[b] where there are such; sets: n / (n + alpha (n_a - n) +
// beta (n_b - n)) of n common columns; pearson: the correlation over common columns.
enum class GramForm { products, sets, pearson };

struct GramScoring {
  GramForm form = GramForm::products;
  const double* left = nullptr;
  const double* right = nullptr;
  double alpha = 1;
  double beta = 1;
  double shrinkage = 0;  // the score is multiplied by n / (n + shrinkage)
  std::int64_t min_overlap = 1;
};

// Sums over the common columns of two rows; `pearson` takes values less the first of their row.
struct PairSums {
  double n = 0;
  double ab = 0;
  double a = 0;
  double b = 0;
  double aa = 0;
  double bb = 0;
};

// A variance that is no larger beside the mean square than this for each common column is the rounding of sums.
constexpr double kVarianceNoise = 0x1p-50;

inline double correlation(const PairSums& s) {
  const double covariance = s.n * s.ab - s.a * s.b;
  const double variance_a = s.n * s.aa - s.a * s.a;
  const double variance_b = s.n * s.bb - s.b * s.b;
  const double noise = GPUREC_PLANTED(gram_noise_is_variance) ? 0.0 : s.n * kVarianceNoise;
  if (!(variance_a > noise * (s.n * s.aa) && variance_b > noise * (s.n * s.bb))) return 0.0;
  const double r = covariance / std::sqrt(variance_a * variance_b);
  return r < -1.0 ? -1.0 : r > 1.0 ? 1.0 : r;
}

// The canonical score of rows a and b of n_a and n_b entries, before its one rounding (round32).
inline double gram_score(const GramScoring& how, const PairSums& s, std::int64_t a, std::int64_t b, double n_a,
                         double n_b) {
  double score;
  if (how.form == GramForm::sets) {
    score = s.n / ((s.n + how.alpha * (n_a - s.n)) + how.beta * (n_b - s.n));
  } else if (how.form == GramForm::pearson) {
    score = correlation(s);
  } else if (how.left != nullptr) {
    const double scale = how.left[a] * how.right[b];
    score = scale > 0.0 ? s.ab / scale : 0.0;
  } else {
    score = s.ab;
  }
  return how.shrinkage > 0.0 ? score * (s.n / (s.n + how.shrinkage)) : score;
}

}  // namespace gpurec
