// The certificate: bounds that hold between a cheap scan value and the canonical score, in the rounded domain.
// This is the only file with these formulas; CPU, CUDA and tests call it. docs/design/0002-certificate.md
// derives each inequality. All arithmetic here is float64, every result errs to the safe side.
#pragma once
#include "gpurec/canonical.hpp"
#include "gpurec/planted.hpp"
#include "gpurec/portable_std.hpp"
#include "gpurec/views.hpp"

namespace gpurec {

constexpr double kHalfUlp32 = 0x1p-24;  // unit roundoff of float32
constexpr double kHalfUlp64 = 0x1p-53;  // unit roundoff of float64

// The neighbouring float64 towards +inf; NaN and +inf stay.
GPUREC_HD inline double next_up(double v) {
  if (!(v < std::numeric_limits<double>::infinity())) return v;
  if (v == 0.0) return std::numeric_limits<double>::denorm_min();
  std::int64_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  bits += v > 0.0 ? 1 : -1;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
GPUREC_HD inline double next_down(double v) { return -next_up(-v); }

// The neighbouring float32 towards -inf; -inf stays.
GPUREC_HD inline float next_down32(float v) {
  if (!(v > -std::numeric_limits<float>::infinity())) return v;
  if (v == 0.0f) return -std::numeric_limits<float>::denorm_min();
  std::int32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  bits += v > 0.0f ? -1 : 1;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// |x| from dot64(x, x), rounded to the safe side. The relative error of the sum, of the root and of the
// factor itself is below (d/32 + 10) 2^-53.
GPUREC_HD inline double norm_upper(double squares, std::int64_t d) {
  if (GPUREC_PLANTED(bounds_norm_nearest)) return std::sqrt(squares);
  return next_up(std::sqrt(squares) * (1.0 + (double(d) / 32 + 10) * kHalfUlp64));
}

// The largest float32 that is not above v, the smallest that is not below it.
GPUREC_HD inline float round_down32(double v) {
  const float f = float(v);
  return double(f) > v ? next_down32(f) : f;
}
GPUREC_HD inline float round_up32(double v) { return -round_down32(-v); }

// Norms are kept as float32, rounded up; |x| lies between norm_lower(stored) and the stored value.
// norm_upper errs by at most (d/16 + 22) 2^-53 and the rounding by 2^-23, together below 2^-22 for d < 2^29;
// below the normal range the rounding errs by 2^-149. A norm beyond
// float32 is stored as infinity.
GPUREC_HD inline float stored_norm(double squares, std::int64_t d) { return round_up32(norm_upper(squares, d)); }
GPUREC_HD inline double norm_lower(float stored) {
  if (stored > std::numeric_limits<float>::max()) return double(std::numeric_limits<float>::max());
  const double v = double(stored) * (1.0 - 0x1p-22) - 0x1p-148;
  return v > 0.0 ? v : 0.0;
}

// How far a scan start lies from -|x|^2/2, relative to it: norm_lower says that a stored norm errs by 2^-22, so its
// square by 2^-21, and the start is rounded once.
constexpr double kStartError = 0x1p-20;

// |x| from a float32 sum of the d squares, in any order, fused or not: each of the non-negative terms meets at
// most d roundings, so the exact sum is at most (squares + d 2^-149) / (1 - gamma_d), and 1 / (1 - g) <= 1 + 2 g up
// to g = 1/2. Infinite or NaN where the float32 sum is.
GPUREC_HD inline double norm_upper_float32(float squares, std::int64_t d) {
  if (GPUREC_PLANTED(bounds_norm_float32_nearest)) return std::sqrt(double(squares));
  const double gamma = double(d) * kHalfUlp32 / (1.0 - double(d) * kHalfUlp32);
  const double exact = (double(squares) + double(d) * 0x1p-149) * (1.0 + 2.0 * gamma);
  return next_up(std::sqrt(exact) * (1.0 + 0x1p-50));
}

// L and U with L <= canonical <= U, as float32.
struct Interval {
  float lower;
  float upper;
};

// What scan values of one query mean, whatever made them: a scan value a stands for the score `estimate(a)`, and its
// canonical score lies no further from that than the scan's slack.
class QueryBound {
 public:
  QueryBound() = default;
  GPUREC_HD QueryBound(Metric metric, std::int64_t d, double query_squares)
      : euclidean_(metric == Metric::euclidean),
        d_(d),
        query_squares_(query_squares),
        query_upper_(norm_upper(query_squares, d)),
        query_lower_(norm_lower(stored_norm(query_squares, d))) {}

  // The score that a scan value stands for.
  GPUREC_HD double estimate(float scanned) const {
    return euclidean_ ? 2.0 * double(scanned) - query_squares_ : double(scanned);
  }

  // L; it grows with `scanned` and falls with the slack.
  GPUREC_HD float lower(float scanned, double slack) const { return round32(next_down(estimate(scanned) - slack)); }

  GPUREC_HD Interval interval(float scanned, double slack) const {
    const double a = estimate(scanned);
    if (GPUREC_PLANTED(bounds_lower_is_scan_value)) return {round32(a), round32(next_up(a + slack))};
    if (GPUREC_PLANTED(bounds_upper_is_scan_value)) return {round32(next_down(a - slack)), round32(a)};
    return {round32(next_down(a - slack)), round32(next_up(a + slack))};
  }

  // Scan values at or below this belong to items whose canonical score is below tau, for items of at most that
  // slack. NaN scan values compare false and are kept.
  GPUREC_HD float reject_at(float tau, double slack) const {
    const float below = GPUREC_PLANTED(scan_keep_strict) ? tau : next_down32(tau);
    if (!(below > -std::numeric_limits<float>::infinity())) return below;
    if (GPUREC_PLANTED(scan_reject_without_slack)) return round_down32(estimate_inverse(double(below)));
    return round_down32(estimate_inverse(next_down(double(below) - slack)));
  }

  // No item whose norm lies in [smallest, largest] has a canonical score above this.
  GPUREC_HD float best_possible(double smallest, double largest) const {
    if (GPUREC_PLANTED(panel_skip_float32_norms)) return float(query_upper_) * float(largest) * 0.9999999f;
    if (!euclidean_) return round32(next_up(next_up(query_upper_ * largest) + dot_rounding(largest)));
    const double gap = std::fmax(0.0, std::fmax(next_down(query_lower_ - largest), next_down(smallest - query_upper_)));
    return round32(next_up(distance_rounding(largest) - next_down(gap * gap)));
  }

  // Every item whose norm is below this has a canonical score below tau; 0 where norms alone tell nothing.
  GPUREC_HD float least_norm(float tau) const {
    const float below = GPUREC_PLANTED(least_norm_of_tau) ? tau : next_down32(tau);
    if (euclidean_ || !(below > 0.0f)) return 0.0f;
    return round_down32(double(below) / (query_upper_ * (1.0 + (double(d_) / 32 + 16) * 0x1p-52)));
  }

 protected:
  // u: how far the canonical float64 sums stray from the exact score of an item of at most that norm.
  GPUREC_HD double dot_rounding(double item_norm) const {
    return (double(d_) / 32 + 6) * kHalfUlp64 * query_upper_ * item_norm + 0x1p-1000;
  }
  GPUREC_HD double distance_rounding(double item_norm) const {
    const double sum = query_upper_ + item_norm;
    return (double(d_) / 32 + 11) * 0x1p-52 * sum * sum + 0x1p-1000;
  }

  bool euclidean_ = false;
  std::int64_t d_ = 0;
  double query_squares_ = 0.0;
  double query_upper_ = 0.0;
  double query_lower_ = 0.0;

 private:
  // Largest scan value whose estimate is surely at or below v.
  GPUREC_HD double estimate_inverse(double v) const {
    return euclidean_ ? next_down(v + query_squares_) * 0.5 : v;
  }
};

// The bound for a float32 scan whose accumulator starts at a scan start of x and adds the d products q[i]*x[i] in any
// order, fused or not, results below the normal range kept.
class Float32Bound : public QueryBound {
 public:
  Float32Bound() = default;
  GPUREC_HD Float32Bound(Metric metric, std::int64_t d, double query_squares) : QueryBound(metric, d, query_squares) {
    const double terms = double(d) + (euclidean_ ? 1 : 0);
    gamma_ = terms * kHalfUlp32 / (1.0 - terms * kHalfUlp32);
    if (GPUREC_PLANTED(bounds_gamma_half)) gamma_ *= 0.5;
    if (GPUREC_PLANTED(bounds_gamma_zero)) gamma_ = 0.0;
    // The two parts of the dot's slack that are proportional to |x|, and the constant part.
    linear_ = next_up((gamma_ + (double(d) / 32 + 6) * kHalfUlp64) * query_upper_);
    constant_ = double(d) * 0x1p-149 + 0x1p-1000;
    if (GPUREC_PLANTED(bounds_subnormal_term_dropped)) constant_ = 0.0;
  }

  // False where float32 could overflow on the way (or d is so wide that gamma means little): such items
  // are scored canonically instead.
  GPUREC_HD bool valid(double item_norm) const {
    if (GPUREC_PLANTED(bounds_overflow_guard_dropped)) return true;
    if (d_ >= std::int64_t(1) << 20) return false;
    const double sum = query_upper_ + item_norm;
    return euclidean_ ? sum * sum < 0x1p126 : query_upper_ * item_norm < 0x1p126;
  }

  // up(B + u): how far the canonical score may lie from `estimate`, grows with the item's norm.
  GPUREC_HD double slack(double item_norm) const {
    if (!euclidean_) return next_up(linear_ * item_norm + constant_);
    const double half_square = 0.5 * item_norm * item_norm;
    const double scan = 2.0 * gamma_ * (query_upper_ * item_norm + half_square) +
                        2.0 * kStartError * half_square + (2.0 * double(d_) + 5.0) * 0x1p-149;
    if (GPUREC_PLANTED(bounds_euclidean_as_dot)) return next_up(linear_ * item_norm + constant_);
    return next_up(scan * (1.0 + 0x1p-20) + distance_rounding(item_norm));
  }

 private:
  double gamma_ = 0.0;
  double linear_ = 0.0;
  double constant_ = 0.0;
};

// |x - s c| from a sum of the d squares (x[i] - s c[i])^2 in the order of dot64, rounded to the safe side: each
// product is exact, the difference, its square and the sum are rounded.
GPUREC_HD inline double error_norm_upper(double squares, std::int64_t d) {
  if (GPUREC_PLANTED(int8_error_norm_nearest)) return std::sqrt(squares);
  return next_up(std::sqrt(squares) * (1.0 + (double(d) / 32 + 16) * kHalfUlp64));
}

// Errors of a tile's items in bytes: with the unit of the largest, an item's error is at most its share times the unit,
// and no share is above 255.
GPUREC_HD inline float unit_of_errors(double largest) { return round_up32(largest / 254.0); }
GPUREC_HD inline int share_of_error(double error, float unit) {
  const double share = next_up(error / double(unit));
  return int(GPUREC_PLANTED(int4_shares_rounded_down) ? std::floor(share) : std::ceil(share));
}
// The product is exact in float64.
GPUREC_HD inline float error_of_share(int share, float unit) { return round_up32(double(share) * double(unit)); }

// What a tile of items tells to an int8 scan: codes times `scale` lie within `error` of each item, and norms lie in
// [smallest, largest].
struct TileBounds {
  float scale;
  float error;
  double smallest;
  double largest;
};

// Scales outside of this range would let float32 over- or underflow in the scan's own arithmetic.
constexpr float kSmallestScale = 0x1p-40f;
constexpr float kLargestScale = 0x1p40f;
GPUREC_HD inline bool can_be_scale(float scale) {
  if (GPUREC_PLANTED(int8_scale_guard_dropped)) return scale > 0.0f;
  return scale >= kSmallestScale && scale <= kLargestScale;
}

// The bound for an int8 scan: with the query t b + r and an item s c + p, where b and c are codes, the integer I = b.c
// is exact, and |q.x - t s I| <= |t b| |p| + |r| |x|. A scan value is fl(fl(fl(I) fl(t s)) - shift), for a dot with
// shift 0: besides it errs by three roundings of t s I and, with a shift, by one of it and one of the value.
class Int8Bound : public QueryBound {
 public:
  Int8Bound() = default;
  // `length` and `error` are upper bounds of |t b| and |r|.
  GPUREC_HD Int8Bound(Metric metric, std::int64_t d, double query_squares, float scale, double length, double error)
      : QueryBound(metric, d, query_squares), scale_(scale), length_(length), error_(error) {
    if (GPUREC_PLANTED(int8_query_error_dropped)) error_ = 0.0;
    if (GPUREC_PLANTED(int8_item_error_dropped)) length_ = 0.0;
    length32_ = round_up32(length_);
    error_per_norm_ = round_up32(next_up(error_ + dot_rounding(1.0)));
  }

  GPUREC_HD float scale() const { return scale_; }

  // Added to every scan value of a tile: half of what lies amid the items' squared norms.
  GPUREC_HD float shift(const TileBounds& tile) const {
    return euclidean_ ? float(0.25 * (tile.smallest * tile.smallest + tile.largest * tile.largest)) : 0.0f;
  }

  GPUREC_HD double slack(const TileBounds& tile) const {
    const double dot = (length_ * tile.error + error_ * tile.largest) * (1.0 + 0x1p-50);
    double roundings = 0x1p-22 * length_ * (tile.largest + tile.error);
    if (GPUREC_PLANTED(int8_scan_roundings_dropped)) roundings = 0.0;
    if (!euclidean_ || GPUREC_PLANTED(int8_distance_as_dot)) {
      return next_up(dot + roundings + dot_rounding(tile.largest));
    }
    const double squares = tile.largest * tile.largest;
    double between = 0.5 * (squares - tile.smallest * tile.smallest) * (1.0 + 0x1p-50);
    if (GPUREC_PLANTED(int8_between_dropped)) between = 0.0;
    return next_up(2.0 * (dot + roundings) + between + 0x1p-22 * squares + distance_rounding(tile.largest));
  }

  // What the scan's start values are made of (scan_i8.hpp). An item of which t s I + |t b| error + e norm <= below +
  // shift scores less than tau: half a squared distance is q.x - |q|^2/2 - |x|^2/2, and the roundings of the canonical
  // sums are taken off where they are proportional.
  GPUREC_HD float below(float tau) const {
    const float below = GPUREC_PLANTED(scan_keep_strict) ? tau : next_down32(tau);
    if (!euclidean_ || !(below > -std::numeric_limits<float>::infinity())) return below;
    const double rounding = 2.0 * distance_factor() * query_upper_ * query_upper_ + 0x1p-1000;
    return round_down32(next_down(0.5 * next_down(double(below) + query_squares_) - rounding));
  }
  GPUREC_HD float length() const { return length32_; }
  GPUREC_HD float error_per_norm() const { return error_per_norm_; }
  GPUREC_HD float start_shift(const TileBounds& tile) const {
    if (!euclidean_) return 0.0f;
    const double nearest = GPUREC_PLANTED(int8_start_shift_of_largest) ? tile.largest : tile.smallest;
    const double squares = 0.5 * nearest * nearest;
    return round_down32(next_down(squares * (1.0 - 0x1p-50) - 2.0 * distance_factor() * tile.largest * tile.largest));
  }

 private:
  GPUREC_HD double distance_factor() const { return (double(d_) / 32 + 11) * 0x1p-52; }

  float scale_ = 1.0f;
  float length32_ = 0.0f;
  float error_per_norm_ = 0.0f;
  double length_ = 0.0;
  double error_ = 0.0;
};

// The bound for a scan of numbers rounded to bfloat16: with the query b + r and an item c + p, where b and c are what
// rounding left, |q.x - b.c| <= |b| |p| + |r| |x|. The accumulator starts at a scan start of x and adds the d products
// b[i]*c[i] in any order, fused or not; what lies below the normal range, a product or a sum, becomes zero.
class Bf16Bound : public QueryBound {
 public:
  Bf16Bound() = default;
  // `error` is an upper bound of |r|.
  GPUREC_HD Bf16Bound(Metric metric, std::int64_t d, double query_squares, double error)
      : QueryBound(metric, d, query_squares), error_(error), length_(next_up(query_upper_ + error)) {
    const double terms = double(d) + (euclidean_ ? 1 : 0);
    gamma_ = terms * kHalfUlp32 / (1.0 - terms * kHalfUlp32);
    flushed_ = (double(d) + 2) * 0x1p-123;
    if (GPUREC_PLANTED(bf16_query_error_dropped)) error_ = 0.0;
    if (GPUREC_PLANTED(bf16_gamma_zero)) gamma_ = 0.0;
    if (GPUREC_PLANTED(bf16_flush_dropped)) flushed_ = 0.0;
  }

  // False where a number could be rounded to infinity, or a sum or the square of a rounding error overflow on the way:
  // such items are scored canonically.
  GPUREC_HD bool valid(double item_norm) const {
    if (GPUREC_PLANTED(bf16_overflow_guard_dropped)) return true;
    if (d_ >= std::int64_t(1) << 20 || !(query_upper_ < 0x1p126) || !(item_norm < 0x1p63)) return false;
    const double sum = query_upper_ + item_norm;
    return euclidean_ ? sum * sum < 0x1p125 : query_upper_ * item_norm < 0x1p125;
  }

  // Grows with the item's norm and with `item_error`, an upper bound of |p|.
  GPUREC_HD double slack(double item_norm, double item_error) const {
    const double of_item = GPUREC_PLANTED(bf16_item_error_dropped) ? 0.0 : item_error;
    const double half_square = euclidean_ ? 0.5 * item_norm * item_norm : 0.0;
    const double rounding = length_ * of_item + error_ * item_norm;
    const double summing = gamma_ * (length_ * (item_norm + item_error) + half_square) + flushed_;
    const double dot = (rounding + summing) * (1.0 + 0x1p-40);
    if (!euclidean_) return next_up(dot + dot_rounding(item_norm));
    return next_up(2.0 * (dot + kStartError * half_square) + distance_rounding(item_norm));
  }

 private:
  double error_ = 0.0;
  double length_ = 0.0;
  double gamma_ = 0.0;
  double flushed_ = 0.0;
};

// The bound for an int8 scan in leading directions: with directions V (d x m), y = V'x and z = V'q as float32 came out,
// and x = V y + p, q = V z + r,
//   |q.x - z.y| <= |r||p| + eta |z||y| + |V'r||y| + |z||V'p|,   eta >= |V'V - I|_F,   |V'r| <= |V'q - z| + eta |z|.
// |r||p| is taken as one more component, |r| of the query and |p| of the item, so that the codes are those of (z, |r|)
// and (y, |p|). The rest is `rotation_error` for each unit of an item's norm, which is at least |x| and |(y, |p|)|.
// docs/design/0012-pruning.md derives them for d < 2^20, m < 2^8 and eta <= kMostDefect.
constexpr double kMostDefect = 0.5;

// eta from the sum of the squared components of V'V - I, in float64 from the float32 directions.
GPUREC_HD inline double rotation_defect(double squares, std::int64_t d, std::int64_t m) {
  if (GPUREC_PLANTED(rotation_eta_dropped)) return 0.0;
  return next_up(std::sqrt(squares) * (1.0 + 0x1p-40) + (double(d) / 32 + 16) * kHalfUlp64 * 2.0 * double(m));
}

// |p| from the sum of the squared components of x - V y, in float64; `norm` is an upper bound of |x|.
GPUREC_HD inline double rotation_tail(double squares, std::int64_t d, double norm) {
  if (GPUREC_PLANTED(rotation_tail_dropped)) return 0.0;
  return squares == 0.0 && norm == 0.0 ? 0.0 : next_up(error_norm_upper(squares, d) + 0x1p-38 * norm);
}

// `rotated` is an upper bound of |z|.
GPUREC_HD inline double rotation_error(double eta, double query_norm, double rotated) {
  return next_up((3.0 * eta * rotated + 0x1p-22 * (query_norm + rotated)) * (1.0 + 0x1p-50));
}

// The bound for float tiles of matrix units: each input is cut off by at most `cut` of itself, or, below the normal range,
// counts as zero. How the units round nobody states. That d products and a scan start add up with an error of at most
// (d + 1) 2^-19 of the sum of their sizes, and of 2^-124 each below the normal range, is supposed, not derived.
class MatrixUnitBound : public QueryBound {
 public:
  MatrixUnitBound() = default;
  GPUREC_HD MatrixUnitBound(Metric metric, std::int64_t d, double query_squares, double cut)
      : QueryBound(metric, d, query_squares), cut_(cut) {}

  GPUREC_HD bool valid(double item_norm) const {
    if (d_ >= std::int64_t(1) << 16) return false;
    const double sum = query_upper_ + item_norm;
    return euclidean_ ? sum * sum < 0x1p125 : query_upper_ * item_norm < 0x1p125;
  }

  GPUREC_HD double slack(double item_norm) const {
    const double terms = double(d_) + 1, product = query_upper_ * item_norm;
    const double half_square = euclidean_ ? 0.5 * item_norm * item_norm : 0.0;
    const double summing = terms * 0x1p-19 * (product + half_square) + terms * 0x1p-124;
    const double flushed = std::sqrt(terms) * 0x1p-124 * (query_upper_ + item_norm);
    const double dot = ((2.0 + cut_) * cut_ * product + summing + flushed) * (1.0 + 0x1p-40);
    if (!euclidean_) return next_up(dot + dot_rounding(item_norm));
    return next_up(2.0 * (dot + kStartError * half_square) + distance_rounding(item_norm));
  }

 private:
  double cut_ = 0.0;
};

// Sums of integer codes of sparse rows (op `gram_top_k`). With y = units * (x / divisor) of the two rows, |y| <= N, q and p
// their codes, r = q - y and s = p - z what rounding changed,
//   |sum of q_c p_c - y.z| <= |r||z| + |q||s|,   |z| <= N,   |q| <= N + |r|.
// docs/design/0014-gram-top-k.md derives the constants.
constexpr double kCodeLength = 32000.0;  // N; a code fits 16 bits with its sign, and sums of products fit 32
constexpr double kMostCodeError = 512.0;

// |r| from a float64 sum of n squares, rounded up. y itself errs by 2^-51 N, whatever n: far below the last term.
GPUREC_HD inline float code_error(double squares, std::int64_t n) {
  if (GPUREC_PLANTED(gram_code_error_dropped)) return 0.0f;
  return round_up32(std::sqrt(squares) * (1.0 + (double(n) + 8) * kHalfUlp64) + 0x1p-20);
}

// Whether sums of codes can tell scores apart: no score overflows float32 or is so small that its spacing there, which
// is 2^-149, is more than a unit's square. `left` and `right` are the longest rows, whose lengths become N.
GPUREC_HD inline bool code_sums_tell(double left, double right, double left_error, double right_error) {
  const double largest = left * right;
  return largest < 0x1p127 && largest > 0x1p-100 && left_error < kMostCodeError && right_error < kMostCodeError;
}

// Of two pairs of one row of n entries, one whose sum of codes is lower by more than this has the lower score, rounded to
// float32 too. `error` is the row's own |r|, `others` the largest |s|. The canonical sum errs by (n + 4) 2^-53 of N^2 and
// two scores that round to one float32 lie within 2^-23 of N^2, less than 130 units.
GPUREC_HD inline double code_sum_window(double error, double others, std::int64_t n) {
  const double length = kCodeLength + kMostCodeError;
  const double rounding = GPUREC_PLANTED(gram_window_without_ties) ? 0.0 : 130.0 + 4.0 * double(n + 4) * kHalfUlp64 * length * length;
  return 2.0 * length * (error + others) + rounding;
}

// Whole matrices of negative squared distances (op `similarity`) promise a relative error. With S = |q|^2 + |x|^2, each
// square rounded once and their sum once more, and p the float32 dot, the value 2 p - S, rounded once, errs by at most
// (gamma_d + 2.1 * 2^-24) S + d 2^-148 and one rounding of its own. Where it is at least kCloseShare * S that is, with g =
// gamma_{d+4} / kCloseShare, at most g / (1 - g) of the distance; the constant part vanishes beside distances of
// kSmallestTrustedDistance. What is not trusted is summed canonically: it errs by one rounding.
constexpr float kCloseShare = 0.125f;
constexpr float kSmallestTrustedDistance = 0x1p-103f;
constexpr float kLargestTrustedSquare = 0x1p125f;              // no partial sum can leave the range
constexpr std::int64_t kWidestTrusted = std::int64_t(1) << 20;  // g stays below 1

GPUREC_HD inline bool trusted_distance(float score, float squares) {
  return score <= -kCloseShare * squares && score <= -kSmallestTrustedDistance;  // NaN is not
}

// A square as a trusted distance wants it: NaN where it is too large.
GPUREC_HD inline float trusted_square(double squares) {
  if (GPUREC_PLANTED(distance_range_ignored)) return float(squares);
  return squares <= kLargestTrustedSquare ? float(squares) : std::numeric_limits<float>::quiet_NaN();
}

// What a euclidean scan's accumulator starts from: it ranks by q.x - |x|^2/2. A dot's starts from zero.
GPUREC_HD inline float scan_start(double item_squares) { return float(-0.5 * item_squares); }
// The same from a stored norm, with a relative error of kStartError.
GPUREC_HD inline float scan_start_of_norm(float stored_norm) { return -(0.5f * stored_norm) * stored_norm; }

}  // namespace gpurec
