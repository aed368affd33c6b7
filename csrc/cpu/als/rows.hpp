// The kernels of `als` in the words of one ISA: Floats, kWide of them, Doubles, and what is done with them. Each ISA's
// file includes this once, inside its target region; it includes nothing itself, so that no std code comes along.

#if !defined(GPUREC_ALS_NAME)
#error "define the words and GPUREC_ALS_NAME first"
#endif

namespace gpurec::cpu {
namespace {

using Index = std::int64_t;

// Of a narrow row: largest mean diagonal entry of its equations for which float32 is trusted.
constexpr float kMostTrace = 1e4f;

inline Index padded(Index n) { return (n + kAlsPadding - 1) / kAlsPadding * kAlsPadding; }

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

// Entries first..end-1, one after another, each component times `shrink` and each row times its factor, if there is one.
void gather(const AlsRow& row, Index first, Index end, const float* shrink, const float* factors, float* out) {
  const Index d = row.d_padded;
  for (Index e = first; e < end; ++e, out += d) {
    const float* const from = row.table + row.columns[e] * d;
    const Floats by = all(factors == nullptr ? 1.0f : factors[e]);
    for (Index i = 0; i < d; i += kWide) store(out + i, load(from + i) * load(shrink + i) * by);
  }
}

inline void fill(float* x, Index n, float value) {
  for (Index i = 0; i < n; ++i) x[i] = value;
}

inline float product(const float* a, const float* b, Index d) {
  Floats sum = all(0.0f);
  for (Index i = 0; i < d; i += kWide) sum = fused(load(a + i), load(b + i), sum);
  return total(sum);
}

// A row's equations in units of D^-1/2: (I + Y' a Y) y = Y' p, whose rows are gathered in chunks, or once where there is
// but one chunk.
class Equations {
 public:
  Equations(const AlsRow& row, const AlsScratch& scratch) : row(row), scratch(scratch), d(row.d_padded) {
    shrink = scratch.vectors;
    for (Index i = 0; i < d; ++i) shrink[i] = 1.0f / __builtin_sqrtf(row.curvature[i] + row.l2);
  }

  // Calls fn(first, n, rows) for the entries in turn.
  template <class F>
  void for_chunks(const F& fn) {
    const Index chunk = als_chunk(d);
    for (Index first = 0; first < row.n; first += chunk) {
      const Index n = first + chunk < row.n ? chunk : row.n - first;
      if (!gathered_) gather(row, first, first + n, shrink, nullptr, scratch.rows);
      fn(first, n, scratch.rows);
    }
    gathered_ = row.n <= chunk;
  }

  // out = Y' p.
  void right(float* out) {
    fill(out, d, 0.0f);
    for_chunks([&](Index first, Index n, const float* rows) { add_weighted(rows, d, n, row.pulls + first, out); });
  }

  // out = (I + Y' a Y) y.
  void times(const float* y, float* out) {
    for (Index i = 0; i < d; i += kWide) store(out + i, load(y + i));
    for_chunks([&](Index first, Index n, const float* rows) {
      float* const said = scratch.said;
      scores_of(rows, d, n, y, said);
      for (Index e = 0; e < n; ++e) said[e] *= row.extra[first + e];
      add_weighted(rows, d, n, said, out);
    });
  }

  double loss(const float* y) {
    double sum = double(product(y, y, d));
    for_chunks([&](Index first, Index n, const float* rows) {
      float* const said = scratch.said;
      scores_of(rows, d, n, y, said);
      for (Index e = 0; e < n; ++e) {
        const double s = double(said[e]);
        sum += (double(row.extra[first + e]) * s - 2.0 * double(row.pulls[first + e])) * s;
      }
    });
    return sum;
  }

  const AlsRow& row;
  const AlsScratch& scratch;
  const Index d;
  float* shrink;

 private:
  bool gathered_ = false;
};

// left = each row times its a.
void weigh(const float* rows, Index d, Index n, const float* extra, float* left) {
  for (Index e = 0; e < n; ++e, rows += d, left += d) {
    const Floats by = all(extra[e]);
    for (Index i = 0; i < d; i += kWide) store(left + i, load(rows + i) * by);
  }
}

// The upper triangle of the unit matrix in `size` columns, and zeros in the columns behind.
void start_matrix(float* matrix, Index stride, Index n) {
  for (Index i = 0; i < n; ++i) {
    float* const row = matrix + i * stride;
    for (Index j = i / kWide * kWide; j < stride; j += kWide) store(row + j, all(0.0f));
    row[i] = 1.0f;
  }
}

// Exactly, from the d x d equations of a row.
bool solve_wide(Equations& of, float* y) {
  const Index d = of.d, stride = d + kAlsPadding;
  float *const matrix = of.scratch.matrix, *const right = of.scratch.vectors + 2 * stride;
  start_matrix(matrix, stride, d);
  fill(right, d, 0.0f);
  of.for_chunks([&](Index first, Index n, const float* rows) {
    weigh(rows, d, n, of.row.extra + first, of.scratch.left);
    add_products(of.scratch.left, rows, d, n, d, matrix, stride);
    add_weighted(rows, d, n, of.row.pulls + first, right);
  });
  for (Index i = 0; i < d; ++i) matrix[i * stride + d] = right[i];
  return solve_cholesky(matrix, stride, d, d, y);
}

// Exactly, from as many equations as the row has entries: y = Y' b with (I + Y Y') b = p / sqrt(a), where rows of Y are
// times sqrt(a), and all a are above 0. False where float32 may not suffice.
bool solve_narrow(const Equations& of, float* y, double* loss) {
  const AlsRow& row = of.row;
  const Index d = of.d, n = row.n, size = padded(n), stride = size + kAlsPadding;
  float *const rows = of.scratch.rows, *const across = of.scratch.part, *const matrix = of.scratch.matrix;
  float *const roots = of.scratch.vectors + 2 * (d + kAlsPadding), *const b = roots + (d + kAlsPadding);
  for (Index e = 0; e < n; ++e) roots[e] = __builtin_sqrtf(row.extra[e]);
  gather(row, 0, n, of.shrink, roots, rows);
  fill(rows + n * d, (size - n) * d, 0.0f);
  for (Index i = 0; i < d; i += kWide) {
    for (Index e = 0; e < size; e += kWide) transpose(rows + e * d + i, d, across + i * size + e, size);
  }
  start_matrix(matrix, stride, n);
  for (Index e = n; e < size; ++e) {  // the tiles' last rows
    for (Index j = e / kWide * kWide; j < stride; j += kWide) store(matrix + e * stride + j, all(0.0f));
  }
  add_products(across, across, size, d, size, matrix, stride);
  float trace = 0.0f;
  for (Index e = 0; e < n; ++e) {
    trace += matrix[e * stride + e];
    matrix[e * stride + size] = row.pulls[e] / roots[e];
  }
  if (!(trace < kMostTrace * float(n)) || !solve_cholesky(matrix, stride, n, size, b)) return false;
  fill(y, d, 0.0f);
  add_weighted(rows, d, n, b, y);
  scores_of(rows, d, n, y, of.scratch.said);
  double sum = double(product(y, y, d));
  for (Index e = 0; e < n; ++e) {
    const double s = double(of.scratch.said[e]);
    sum += (s - 2.0 * double(row.pulls[e] / roots[e])) * s;
  }
  *loss = sum;
  return true;
}

void solve_by_gradients(Equations& of, std::int64_t steps, float* y) {
  const Index d = of.d, apart = d + kAlsPadding;
  float *const left = of.scratch.vectors + 2 * apart, *const towards = left + apart, *const moved = towards + apart;
  of.right(left);
  of.times(y, moved);
  for (Index i = 0; i < d; i += kWide) {
    store(left + i, load(left + i) - load(moved + i));
    store(towards + i, load(left + i));
  }
  float size = product(left, left, d);
  for (std::int64_t step = 0; step < steps; ++step) {
    of.times(towards, moved);
    const float curvature = product(towards, moved, d);
    if (!(size > 0.0f) || !(curvature > 0.0f)) return;
    const Floats by = all(size / curvature);
    for (Index i = 0; i < d; i += kWide) {
      store(y + i, fused(by, load(towards + i), load(y + i)));
      store(left + i, load(left + i) - by * load(moved + i));
    }
    const float before = size;
    size = product(left, left, d);
    const Floats keep = all(size / before);
    for (Index i = 0; i < d; i += kWide) store(towards + i, fused(keep, load(towards + i), load(left + i)));
  }
}

// Components first..end-1 of n rows, zeros behind them up to `wide`.
void take_components(const float* rows, Index d, Index n, Index first, Index end, Index wide, float* out) {
  for (Index e = 0; e < n; ++e, rows += d, out += wide) {
    for (Index i = first; i < end; ++i) out[i - first] = rows[i];
    fill(out + (end - first), wide - (end - first), 0.0f);
  }
}

bool solve_by_blocks(Equations& of, const AlsRates& rates, float* y) {
  const AlsRow& row = of.row;
  const Index d = of.d, apart = d + kAlsPadding;
  float *const right = of.scratch.vectors + 2 * apart, *const slope = right + apart, *const step = slope + apart;
  float *const weights = step + apart, *const matrix = of.scratch.matrix, *const said = of.scratch.said;
  of.right(right);
  of.for_chunks([&](Index first, Index n, const float* rows) { scores_of(rows, d, n, y, said + first); });
  for (std::int64_t pass = 0; pass < rates.steps; ++pass) {
    for (Index begin = 0; begin < d; begin += rates.block_size) {
      const Index end = begin + rates.block_size < d ? begin + rates.block_size : d;
      const Index size = end - begin, wide = padded(size), stride = wide + kAlsPadding;
      start_matrix(matrix, stride, wide);
      fill(slope, wide, 0.0f);
      for (Index i = begin; i < end; ++i) slope[i - begin] = right[i] - y[i];
      of.for_chunks([&](Index first, Index n, const float* rows) {
        take_components(rows, d, n, begin, end, wide, of.scratch.part);
        weigh(of.scratch.part, wide, n, row.extra + first, of.scratch.left);
        add_products(of.scratch.left, of.scratch.part, wide, n, wide, matrix, stride);
        for (Index e = 0; e < n; ++e) said[first + e] = -said[first + e];
        add_weighted(of.scratch.left, wide, n, said + first, slope);
        for (Index e = 0; e < n; ++e) said[first + e] = -said[first + e];
      });
      for (Index i = 0; i < size; ++i) matrix[i * stride + wide] = slope[i];
      fill(step, wide, 0.0f);
      if (!solve_cholesky(matrix, stride, size, wide, step)) return false;
      for (Index i = begin; i < end; ++i) y[i] += step[i - begin];
      of.for_chunks([&](Index first, Index n, const float* rows) {
        take_components(rows, d, n, begin, end, wide, of.scratch.part);
        for (Index e = 0; e < n; ++e) said[first + e] += product(of.scratch.part + e * wide, step, wide);
      });
    }
  }
  (void)weights;
  return true;
}

bool solve_row(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z, double* loss) {
  Equations of(row, scratch);
  const Index d = of.d;
  float* const y = scratch.vectors + d + kAlsPadding;
  for (Index i = 0; i < d; ++i) y[i] = z[i] / of.shrink[i];
  bool solved = false;
  if (rates.solver == AlsSolver::cholesky) {
    bool narrow = row.n < d;
    for (Index e = 0; narrow && e < row.n; ++e) narrow = row.extra[e] > 0.0f;
    solved = narrow && solve_narrow(of, y, loss);
    if (!solved) {
      solved = solve_wide(of, y);
      if (solved) *loss = of.loss(y);
    }
  } else if (rates.solver == AlsSolver::cg) {
    solve_by_gradients(of, rates.steps, y);
    *loss = of.loss(y);
    solved = true;
  } else {
    solved = solve_by_blocks(of, rates, y);
    if (solved) *loss = of.loss(y);
  }
  for (Index i = 0; i < d; ++i) z[i] = y[i] * of.shrink[i];
  return solved && *loss < 1e300 && *loss > -1e300;
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

bool GPUREC_ALS_NAME(solve_als_row)(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z,
                                    double* loss) {
  return solve_row(row, rates, scratch, z, loss);
}

void GPUREC_ALS_NAME(add_gram)(const float* rows, std::int64_t n, std::int64_t d, double* wide, double* sums) {
  add_gram(rows, n, d, wide, sums);
}

}  // namespace gpurec::cpu
