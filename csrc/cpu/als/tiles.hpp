// Products and triangular systems of op `als` in the words of one ISA: Floats, kWide of them, Doubles, and what is done
// with them. Each ISA's file includes this and solvers.hpp once, inside its target region; they include nothing
// themselves, so that no std code comes along.

#if !defined(GPUREC_ALS_NAME)
#error "define the words and GPUREC_ALS_NAME first"
#endif

namespace gpurec::cpu {
namespace {

using Index = std::int64_t;

inline Index padded(Index n) { return (n + kAlsPadding - 1) / kAlsPadding * kAlsPadding; }

inline double total(Doubles v) {
  double lanes[kWide / 2], sum = 0.0;
  store(lanes, v);
  for (int l = 0; l < kWide / 2; ++l) sum += lanes[l];
  return sum;
}

// Outer products. sums[i][j] += sum over k of left[k][i] * right[k][j], M rows i by V vectors j.
template <int M, int V>
inline void add_tile(const float* left, const float* right, Index stride, Index n, float* sums, Index sums_stride) {
  Floats sum[M][V];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[m][v] = load(sums + m * sums_stride + v * kWide);
  }
  for (Index k = 0; k < n; ++k, left += stride, right += stride) {
    Floats r[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) r[v] = load(right + v * kWide);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Floats l = all(left[m]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[m][v] = fused(l, r[v], sum[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + m * sums_stride + v * kWide, sum[m][v]);
  }
}

// The upper triangle of left' right, size x size, both n rows of `stride`; size a multiple of kTileRows and kWide.
void add_products(const float* left, const float* right, Index stride, Index n, Index size, float* sums,
                  Index sums_stride) {
  for (Index i = 0; i < size; i += kTileRows) {
    Index j = i / kWide * kWide;
    float* const row = sums + i * sums_stride;
    for (; j + kTileVectors * kWide <= size; j += kTileVectors * kWide) {
      add_tile<kTileRows, kTileVectors>(left + i, right + j, stride, n, row + j, sums_stride);
    }
    for (; j + 2 * kWide <= size; j += 2 * kWide) {
      add_tile<kTileRows, 2>(left + i, right + j, stride, n, row + j, sums_stride);
    }
    for (; j < size; j += kWide) add_tile<kTileRows, 1>(left + i, right + j, stride, n, row + j, sums_stride);
  }
}

// row[j...] -= sum over k < i of U[k][i] * U[k][j...], V vectors of it.
template <int V>
inline void subtract_above(const float* matrix, Index stride, Index i, Index j, float* row) {
  constexpr int kChains = V <= 2 ? 2 : 1;  // sums that do not wait for each other
  Floats sum[V][kChains];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
#pragma GCC unroll 2
    for (int c = 0; c < kChains; ++c) sum[v][c] = all(0.0f);
  }
  const float* above = matrix;
  Index k = 0;
  for (; k + kChains <= i; k += kChains, above += kChains * stride) {
#pragma GCC unroll 2
    for (int c = 0; c < kChains; ++c) {
      const Floats by = all(above[c * stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[v][c] = fused(by, load(above + c * stride + j + v * kWide), sum[v][c]);
    }
  }
  if (kChains == 2 && k < i) {
    const Floats by = all(above[i]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[v][0] = fused(by, load(above + j + v * kWide), sum[v][0]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const Floats both = kChains == 2 ? sum[v][0] + sum[v][kChains - 1] : sum[v][0];
    store(row + j + v * kWide, load(row + j + v * kWide) - both);
  }
}

// Solves U'U x = b for the upper triangle of a matrix with n rows whose column `size` is b; x goes to `out`. Columns
// n..size-1 must be finite. False where a pivot is not above 0.
bool solve_cholesky(float* matrix, Index stride, Index n, Index size, float* out) {
  for (Index i = 0; i < n; ++i) {
    float* const row = matrix + i * stride;
    // From here on in vectors; what stands before i in the first of them is of no account.
    for (Index j = i / kWide * kWide; j <= size; j += 4 * kWide) {
      const Index vectors = (size - j) / kWide + 1;
      if (vectors >= 4) {
        subtract_above<4>(matrix, stride, i, j, row);
      } else if (vectors == 3) {
        subtract_above<3>(matrix, stride, i, j, row);
      } else if (vectors == 2) {
        subtract_above<2>(matrix, stride, i, j, row);
      } else {
        subtract_above<1>(matrix, stride, i, j, row);
      }
    }
    const float pivot = row[i];
    if (!(pivot > 0.0f) || !(pivot < 3e38f)) return false;
    const float inverse = 1.0f / __builtin_sqrtf(pivot);
    const Floats by = all(inverse);
    for (Index j = i / kWide * kWide; j <= size; j += kWide) store(row + j, load(row + j) * by);
    out[i] = inverse;  // 1 / U[i][i], until x[i] stands here
  }
  for (Index i = n - 1; i >= 0; --i) {
    const float* const row = matrix + i * stride;
    Floats sum = all(0.0f);
    Index j = (i / kWide + 1) * kWide;
    for (; j + kWide <= n; j += kWide) sum = fused(load(row + j), load(out + j), sum);
    float rest = total(sum);
    const Index first_end = (i / kWide + 1) * kWide < n ? (i / kWide + 1) * kWide : n;
    for (Index k = i + 1; k < first_end; ++k) rest += row[k] * out[k];
    for (; j < n; ++j) rest += row[j] * out[j];
    out[i] *= row[size] - rest;
  }
  return true;
}

// Scores of n gathered rows: four at a time, so that their sums do not wait for each other.
void scores_of(const float* rows, Index d, Index n, const float* x, float* scores) {
  Index e = 0;
  for (; e + 4 <= n; e += 4, rows += 4 * d) {
    Floats a = all(0.0f), b = a, c = a, f = a;
    for (Index i = 0; i < d; i += kWide) {
      const Floats with = load(x + i);
      a = fused(load(rows + i), with, a);
      b = fused(load(rows + d + i), with, b);
      c = fused(load(rows + 2 * d + i), with, c);
      f = fused(load(rows + 3 * d + i), with, f);
    }
    totals4(a, b, c, f, scores + e);
  }
  for (; e < n; ++e, rows += d) {
    Floats a = all(0.0f);
    for (Index i = 0; i < d; i += kWide) a = fused(load(rows + i), load(x + i), a);
    scores[e] = total(a);
  }
}

template <int V>
inline void add_weighted_columns(const float* rows, Index d, Index n, const float* weights, float* sums) {
  Floats sum[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) sum[v] = load(sums + v * kWide);
  for (Index e = 0; e < n; ++e, rows += d) {
    const Floats w = all(weights[e]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[v] = fused(w, load(rows + v * kWide), sum[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) store(sums + v * kWide, sum[v]);
}

// sums += the weighted sum of n gathered rows.
void add_weighted(const float* rows, Index d, Index n, const float* weights, float* sums) {
  Index i = 0;
  for (; i + 4 * kWide <= d; i += 4 * kWide) add_weighted_columns<4>(rows + i, d, n, weights, sums + i);
  for (; i < d; i += kWide) add_weighted_columns<1>(rows + i, d, n, weights, sums + i);
}

// Entries where they lie.

// Entries whose factors are asked for before they are read.
constexpr Index kAhead = 4;

inline void ask_for(const AlsRow& row, Index e) {
  const float* const ahead = row.table + Index(row.columns[e]) * row.d_padded;
  for (Index i = 0; i < row.d_padded; i += 16) __builtin_prefetch(ahead + i);
}

// sums += Y' v with v = a Y x, or p - a Y x where `slope` is asked for, and the scores Y x. Entries are read where they
// lie, four at a time, and for the second time while they are near. V vectors of x and of the sums are held in registers
// where these are all there are (0: none).
template <int V, bool kSlope>
void walk(const AlsRow& row, const float* x, float* sums, float* scores) {
  const Index d = V > 0 ? V * kWide : row.d_padded;
  constexpr int kHeld = V > 0 ? V : 1;
  Floats held_x[kHeld], held_sum[kHeld];
  if constexpr (V > 0) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      held_x[v] = load(x + v * kWide);
      held_sum[v] = load(sums + v * kWide);
    }
  }
  // Entries e..e+count-1 of at most four; in place of the rest stands the first again, weighing nothing.
  const auto four = [&](Index e, int count) __attribute__((always_inline)) {
    const auto weight = [&](int at) {
      const Index i = at < count ? e + at : e;
      const float product = row.extra[i] * scores[i];
      return all(at < count ? (kSlope ? row.pulls[i] - product : product) : 0.0f);
    };
    const auto entry = [&](int at) { return row.table + Index(row.columns[at < count ? e + at : e]) * d; };
    const float *const y0 = entry(0), *const y1 = entry(1), *const y2 = entry(2), *const y3 = entry(3);
    if (kSlope) {
      for (Index i = e + kAhead; i < e + kAhead + 4 && i < row.n; ++i) ask_for(row, i);
    }
    Floats s0 = all(0.0f), s1 = s0, s2 = s0, s3 = s0;
    const auto score = [&](Index i, Floats with) {
      s0 = fused(load(y0 + i), with, s0);
      s1 = fused(load(y1 + i), with, s1);
      s2 = fused(load(y2 + i), with, s2);
      s3 = fused(load(y3 + i), with, s3);
    };
    if constexpr (V > 0) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) score(v * kWide, held_x[v]);
    } else {
      for (Index i = 0; i < d; i += kWide) score(i, load(x + i));
    }
    totals4(s0, s1, s2, s3, scores + e);
    const Floats w0 = weight(0), w1 = weight(1), w2 = weight(2), w3 = weight(3);
    const auto added = [&](Index i, Floats sum) {
      sum = fused(w0, load(y0 + i), sum);
      sum = fused(w1, load(y1 + i), sum);
      sum = fused(w2, load(y2 + i), sum);
      return fused(w3, load(y3 + i), sum);
    };
    if constexpr (V > 0) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) held_sum[v] = added(v * kWide, held_sum[v]);
    } else {
      for (Index i = 0; i < d; i += kWide) store(sums + i, added(i, load(sums + i)));
    }
  };
  Index e = 0;
  for (; e + 4 <= row.n; e += 4) four(e, 4);
  if (e < row.n) four(e, int(row.n - e));
  if constexpr (V > 0) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(sums + v * kWide, held_sum[v]);
  }
}

template <bool kSlope>
void walk(const AlsRow& row, const float* x, float* sums, float* scores) {
  const Index vectors = row.d_padded / kWide;
  if (kHeldVectors >= 8 && vectors == 8) return walk<kHeldVectors >= 8 ? 8 : 0, kSlope>(row, x, sums, scores);
  if (vectors == 4) return walk<4, kSlope>(row, x, sums, scores);
  walk<0, kSlope>(row, x, sums, scores);
}

// Gram matrix.

template <int M, int V>
inline void add_wide_tile(const double* left, const double* right, Index stride, Index n, double* sums) {
  Doubles sum[M][V];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[m][v] = load(sums + m * stride + v * (kWide / 2));
  }
  for (Index k = 0; k < n; ++k, left += stride, right += stride) {
    Doubles r[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) r[v] = load(right + v * (kWide / 2));
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Doubles l = all(left[m]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[m][v] = fused(l, r[v], sum[m][v]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + m * stride + v * (kWide / 2), sum[m][v]);
  }
}

void add_gram(const float* rows, Index n, Index d, double* wide, double* sums) {
  const Index size = padded(d);
  for (Index e = 0; e < n; ++e) {
    for (Index i = 0; i < d; ++i) wide[e * size + i] = double(rows[e * d + i]);
    for (Index i = d; i < size; ++i) wide[e * size + i] = 0.0;
  }
  constexpr Index kStep = kWide / 2;
  for (Index i = 0; i < size; i += kTileRows) {
    Index j = i / kStep * kStep;
    double* const row = sums + i * size;
    for (; j + kTileVectors * kStep <= size; j += kTileVectors * kStep) {
      add_wide_tile<kTileRows, kTileVectors>(wide + i, wide + j, size, n, row + j);
    }
    for (; j < size; j += kStep) add_wide_tile<kTileRows, 1>(wide + i, wide + j, size, n, row + j);
  }
}

}  // namespace
}  // namespace gpurec::cpu
