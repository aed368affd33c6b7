// Normal numbers that depend on a counter alone: the same for any order, number of threads and instruction set.
//   how       Philox 4x32 with ten rounds turns a key and a counter into 128 bits, two uniform numbers of 52 bits;
//             the inverse of the normal distribution, by rational functions, makes each of them a normal one
//   bits      additions, products, quotients and square roots of float64 in one fixed order, no function of libm
//   source    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Wichura 1988, "Algorithm AS 241: the
//             percentage points of the normal distribution"
#pragma once
#include <cmath>
#include <cstdint>

namespace gpurec {

struct Counter {
  std::uint32_t pair = 0, row = 0, stream = 0, step = 0;
};

inline void philox(std::uint64_t key, const Counter& counter, std::uint32_t out[4]) {
  std::uint32_t k0 = std::uint32_t(key), k1 = std::uint32_t(key >> 32);
  std::uint32_t c0 = counter.pair, c1 = counter.row, c2 = counter.stream, c3 = counter.step;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p = std::uint64_t(0xD2511F53u) * c0, q = std::uint64_t(0xCD9E8D57u) * c2;
    const std::uint32_t n0 = std::uint32_t(q >> 32) ^ c1 ^ k0, n2 = std::uint32_t(p >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = std::uint32_t(q), c2 = n2, c3 = std::uint32_t(p);
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// A number in (0, 1), symmetric about one half, from 64 bits.
inline double uniform_of(std::uint32_t low, std::uint32_t high) {
  const std::uint64_t bits = (std::uint64_t(high) << 32 | low) >> 12;
  return (double(bits) + 0.5) * 0x1p-52;
}

// The natural logarithm of a normal number > 0, to about 1e-15 of itself.
inline double ordered_log(double x) {
  int exponent;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m = m * 2;
    exponent -= 1;
  }
  const double s = (m - 1) / (m + 1), z = s * s;
  double sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * z + 1.0 / double(k);
  return double(exponent) * 0.69314718055994531 + 2 * (s * sum);
}

namespace as241 {

inline double ratio(const double (&above)[8], const double (&below)[8], double r) {
  double p = above[7], q = below[7];
  for (int k = 6; k >= 0; --k) {
    p = p * r + above[k];
    q = q * r + below[k];
  }
  return p / q;
}

constexpr double kMiddleAbove[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                    1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                    3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr double kMiddleBelow[8] = {1.0,                      4.2313330701600911252e+1, 6.8718700749205790830e+2,
                                    5.3941960214247511077e+3, 2.1213794301586595867e+4, 3.9307895800092710610e+4,
                                    2.8729085735721942674e+4, 5.2264952788528545610e+3};
constexpr double kTailAbove[8] = {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
                                  3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
                                  2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr double kTailBelow[8] = {1.0,                        2.05319162663775882187e0,  1.67638483018380384940e0,
                                  6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
                                  5.47593808499534494600e-4, 1.05075007164441684324e-9};
constexpr double kFarAbove[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                 2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr double kFarBelow[8] = {1.0,                        5.99832206555887937690e-1, 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7, 2.04426310338993978564e-15};

}  // namespace as241

// The normal number below which a share of all normal numbers lies.
inline double normal_of(double share) {
  const double q = share - 0.5;
  if (std::fabs(q) <= 0.425) return q * as241::ratio(as241::kMiddleAbove, as241::kMiddleBelow, 0.180625 - q * q);
  const double r = std::sqrt(-ordered_log(q < 0 ? share : 1.0 - share));
  const double far = r <= 5.0 ? as241::ratio(as241::kTailAbove, as241::kTailBelow, r - 1.6)
                              : as241::ratio(as241::kFarAbove, as241::kFarBelow, r - 5.0);
  return q < 0 ? -far : far;
}

// Normal numbers 0..n-1 of a row, two for each value of the counter's `pair`.
inline void normals(std::uint64_t key, Counter counter, std::int64_t n, double* out) {
  for (std::int64_t i = 0; i < n; i += 2) {
    std::uint32_t bits[4];
    counter.pair = std::uint32_t(i / 2);
    philox(key, counter, bits);
    out[i] = normal_of(uniform_of(bits[0], bits[1]));
    if (i + 1 < n) out[i + 1] = normal_of(uniform_of(bits[2], bits[3]));
  }
}

}  // namespace gpurec
