// Symmetric positive definite equations, solved by the threads of one block in tiles of 4 x 4.
#pragma once
#include "gpurec/planted.hpp"
#include "simt/simt.hpp"

namespace gpurec::cuda {

using namespace simt;

constexpr int kSide = 4;  // of a tile

GPUREC_DEVICE float add_product(float a, float b, float sum) { return fused(a, b, sum); }
GPUREC_DEVICE double add_product(double a, double b, double sum) { return a * b + sum; }

// Four numbers side by side, at a multiple of 16 bytes.
GPUREC_DEVICE void load4(const float* p, float (&v)[kSide]) {
  const float4 all = ld_vec<float4>(p);
  v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
}
GPUREC_DEVICE void load4(const double* p, double (&v)[kSide]) {
  GPUREC_UNROLL
  for (int i = 0; i < kSide; ++i) v[i] = p[i];
}
GPUREC_DEVICE void store4(float* p, const float (&v)[kSide]) { st_vec(p, float4{v[0], v[1], v[2], v[3]}); }
GPUREC_DEVICE void store4(double* p, const double (&v)[kSide]) {
  GPUREC_UNROLL
  for (int i = 0; i < kSide; ++i) p[i] = v[i];
}

// What is left of a pivot must be more than this and n of the number that stood there.
template <class Real>
struct Rounding;
template <>
struct Rounding<float> {
  static constexpr float kShare = 1.1920929e-7f, kLeast = 1e-30f, kMost = 1e37f;
};
template <>
struct Rounding<double> {
  static constexpr double kShare = 2.220446049250313e-16, kLeast = 0.0, kMost = 1e300;
};

// Row and column of number q of a lower triangle, counted row by row.
struct Place {
  int row, column;
};
GPUREC_DEVICE Place place_in_triangle(int q) {
  int row = int((std::sqrt(8.0f * float(q) + 1.0f) - 1.0f) * 0.5f);
  while (row * (row + 1) / 2 > q) --row;
  while ((row + 1) * (row + 2) / 2 <= q) ++row;
  return {row, q - row * (row + 1) / 2};
}

// The lower triangle of a matrix: tile (i, j), j <= i, is number i (i + 1) / 2 + j. Rows of a tile change places from one
// pair of tiles to the next, so that the same rows of eight tiles side by side lie in different banks.
template <class Real>
struct LowerTiles {
  Real* numbers;

  static GPUREC_DEVICE std::int64_t at(int i, int j) { return std::int64_t(i) * (i + 1) / 2 + j; }
  GPUREC_DEVICE Real* row(std::int64_t tile, int r) const {
    return numbers + (tile * kSide + (r ^ int(tile / 2 % kSide))) * kSide;
  }
  GPUREC_DEVICE void load(std::int64_t tile, Real (&v)[kSide][kSide]) const {
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) load4(row(tile, r), v[r]);
  }
  GPUREC_DEVICE void store(std::int64_t tile, const Real (&v)[kSide][kSide]) const {
    GPUREC_UNROLL
    for (int r = 0; r < kSide; ++r) store4(row(tile, r), v[r]);
  }
};

// The lower factor of a tile on the diagonal, with 1 / l(c, c) in place of l(c, c). Where rounding has left nothing of a
// pivot there stands 0, which makes that unknown 0; the answer is then false.
template <class Real>
GPUREC_DEVICE bool factor_tile(Real (&a)[kSide][kSide], const Real* sizes, Real share) {
  bool fine = true;
  GPUREC_UNROLL
  for (int c = 0; c < kSide; ++c) {
    Real pivot = a[c][c];
    GPUREC_UNROLL
    for (int m = 0; m < c; ++m) pivot = add_product(-a[c][m], a[c][m], pivot);
    const bool left = pivot > share * sizes[c] && pivot > Rounding<Real>::kLeast && pivot < Rounding<Real>::kMost;
    const Real inverse = left ? Real(1) / std::sqrt(pivot) : Real(0);
    fine = fine && left;
    GPUREC_UNROLL
    for (int r = c + 1; r < kSide; ++r) {
      Real v = a[r][c];
      GPUREC_UNROLL
      for (int m = 0; m < c; ++m) v = add_product(-a[r][m], a[c][m], v);
      a[r][c] = v * inverse;
    }
    a[c][c] = inverse;
  }
  return fine;
}

// v = the row that times l' is v; l as factor_tile leaves it.
template <class Real>
GPUREC_DEVICE void solve_row(const Real (&l)[kSide][kSide], Real (&v)[kSide]) {
  GPUREC_UNROLL
  for (int c = 0; c < kSide; ++c) {
    GPUREC_UNROLL
    for (int m = 0; m < c; ++m) v[c] = add_product(-v[m], l[c][m], v[c]);
    v[c] *= l[c][c];
  }
}

// Room for equations of `side` tiles a side; all is in shared memory but, where they are too many, the matrix.
template <class Real>
struct Equations {
  LowerTiles<Real> matrix;
  Real* roots;  // (side, 4, 4) factored tiles of the diagonal
  Real* right;  // (4 side)
  Real* sizes;  // (4 side) the diagonal before anything was subtracted from it
  Real* out;    // (4 side)
  int* failed;  // 0
};

// Solves matrix * out = right, all threads of a block together; matrix and right are lost. False, for all threads alike,
// where a pivot is lost in rounding and `regular` is asked for; otherwise that unknown becomes 0. Ends with a barrier.
template <class Real>
GPUREC_DEVICE bool solve_equations(const Equations<Real>& of, int side, bool regular) {
  const Real share = Rounding<Real>::kShare * Real(side * kSide);
  for (int k = 0; k < side; ++k) {
    for (int i = k + thread_index(); i < side; i += block_threads()) {
      Real root[kSide][kSide];
      of.matrix.load(of.matrix.at(k, k), root);
      const bool fine = factor_tile(root, of.sizes + k * kSide, share);
      if (i == k) {
        Real y[kSide];
        load4(of.right + k * kSide, y);
        solve_row(root, y);
        store4(of.right + k * kSide, y);
        GPUREC_UNROLL
        for (int r = 0; r < kSide; ++r) store4(of.roots + (k * kSide + r) * kSide, root[r]);
        if (!fine && regular) *of.failed = 1;
      } else {
        Real tile[kSide][kSide];
        of.matrix.load(of.matrix.at(i, k), tile);
        GPUREC_UNROLL
        for (int r = 0; r < kSide; ++r) solve_row(root, tile[r]);
        of.matrix.store(of.matrix.at(i, k), tile);
      }
    }
    if (!GPUREC_PLANTED(cuda_als_barrier_missing)) sync_block();
    if (*of.failed != 0) return false;
    const int rest = side - k - 1, n = rest + rest * (rest + 1) / 2;
    for (int q = thread_index(); q < n; q += block_threads()) {
      if (q < rest) {  // the right side below
        const int i = k + 1 + q;
        Real tile[kSide][kSide], y[kSide], b[kSide];
        of.matrix.load(of.matrix.at(i, k), tile);
        load4(of.right + k * kSide, y);
        load4(of.right + i * kSide, b);
        GPUREC_UNROLL
        for (int r = 0; r < kSide; ++r) {
          GPUREC_UNROLL
          for (int m = 0; m < kSide; ++m) b[r] = add_product(-tile[r][m], y[m], b[r]);
        }
        store4(of.right + i * kSide, b);
        continue;
      }
      const Place place = place_in_triangle(q - rest);
      const int i = k + 1 + place.row, j = k + 1 + place.column;
      Real sum[kSide][kSide], left[kSide][kSide], right[kSide][kSide];
      of.matrix.load(of.matrix.at(i, j), sum);
      of.matrix.load(of.matrix.at(i, k), left);
      of.matrix.load(of.matrix.at(j, k), right);
      GPUREC_UNROLL
      for (int m = 0; m < kSide; ++m) {
        GPUREC_UNROLL
        for (int r = 0; r < kSide; ++r) {
          GPUREC_UNROLL
          for (int c = 0; c < kSide; ++c) sum[r][c] = add_product(-left[r][m], right[c][m], sum[r][c]);
        }
      }
      of.matrix.store(of.matrix.at(i, j), sum);
    }
    sync_block();
  }
  for (int k = side - 1; k >= 0; --k) {
    for (int j = thread_index(); j <= k; j += block_threads()) {
      Real x[kSide];  // of tile k: each thread finds them for itself
      load4(of.right + k * kSide, x);
      const Real* const root = of.roots + k * kSide * kSide;
      GPUREC_UNROLL
      for (int c = kSide - 1; c >= 0; --c) {
        GPUREC_UNROLL
        for (int m = c + 1; m < kSide; ++m) x[c] = add_product(-root[m * kSide + c], x[m], x[c]);
        x[c] *= root[c * kSide + c];
      }
      if (j == k) {
        store4(of.out + k * kSide, x);
        continue;
      }
      Real tile[kSide][kSide], y[kSide];
      of.matrix.load(of.matrix.at(k, j), tile);
      load4(of.right + j * kSide, y);
      GPUREC_UNROLL
      for (int r = 0; r < kSide; ++r) {
        GPUREC_UNROLL
        for (int c = 0; c < kSide; ++c) y[c] = add_product(-tile[r][c], x[r], y[c]);
      }
      store4(of.right + j * kSide, y);
    }
    sync_block();
  }
  return true;
}

}  // namespace gpurec::cuda
