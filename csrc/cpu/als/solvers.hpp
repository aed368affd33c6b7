// How a row of op `als` is solved, from tiles.hpp, which stands before it in each ISA's file.

#if !defined(GPUREC_ALS_NAME)
#error "define the words and GPUREC_ALS_NAME first"
#endif

namespace gpurec::cpu {
namespace {

// Of a narrow row: what its d x d equations may leave of their right side, for each of d.
constexpr float kLeft = 3e-6f;
// Entries first..end-1, one after another, each component times `shrink` and each row times its factor, if there is one.
void gather(const AlsRow& row, Index first, Index end, const float* shrink, const float* factors, float* out) {
  const Index d = row.d_padded;
  for (Index e = first; e < end; ++e, out += d) {
    const float* const from = row.table + row.columns[e] * d;
    if (e + kAhead < row.n) ask_for(row, e + kAhead);
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

// What n entries from `first` on add to the loss, less sum w t^2, where they are said to score that.
double loss_of_scores(const AlsRow& row, Index first, Index n, const float* said) {
  const float *const extra = row.extra + first, *const pulls = row.pulls + first;
  constexpr Index kStep = kWide / 2;
  const Doubles two = all(2.0);
  Doubles sum = all(0.0);
  Index e = 0;
  for (; e + kStep <= n; e += kStep) {
    const Doubles s = widened(said + e);
    sum = sum + (widened(extra + e) * s - two * widened(pulls + e)) * s;
  }
  double rest = total(sum);
  for (; e < n; ++e) {
    const double s = double(said[e]);
    rest += (double(extra[e]) * s - 2.0 * double(pulls[e])) * s;
  }
  return rest;
}

// left = each row times its a.
void weigh(const float* rows, Index d, Index n, const float* extra, float* left) {
  for (Index e = 0; e < n; ++e, rows += d, left += d) {
    const Floats by = all(extra[e]);
    for (Index i = 0; i < d; i += kWide) store(left + i, load(rows + i) * by);
  }
}

// A row's equations in units of D^-1/2: (I + Y' a Y) y = Y' p, whose rows are gathered in chunks, or once where there is
// but one chunk.
class Equations {
 public:
  Equations(const AlsRow& row, const AlsScratch& scratch) : row(row), scratch(scratch), d(row.d_padded) {
    shrink = scratch.vectors;
    const Floats one = all(1.0f), l2 = all(row.l2);
    for (Index i = 0; i < d; i += kWide) store(shrink + i, one / root(load(row.curvature + i) + l2));
  }

  // Calls fn(first, n, rows) for the entries in turn.
  template <class F>
  void for_chunks(const F& fn) {
    const Index chunk = als_chunk(d);
    for (Index first = 0; first < row.n; first += chunk + (GPUREC_PLANTED(als_entry_between_chunks) ? 1 : 0)) {
      const Index n = first + chunk < row.n ? chunk : row.n - first;
      if (!gathered_) gather(row, first, first + n, shrink, nullptr, scratch.rows);
      fn(first, n, scratch.rows);
    }
    gathered_ = row.n <= chunk;
  }

  // out += Y' p.
  void add_right(float* out) {
    for_chunks([&](Index first, Index n, const float* rows) { add_weighted(rows, d, n, row.pulls + first, out); });
  }

  // out += Y' a Y y.
  void add_times(const float* y, float* out) {
    for_chunks([&](Index first, Index n, const float* rows) {
      float *const said = scratch.said, *const weighted = scratch.left;
      scores_of(rows, d, n, y, said);
      for (Index e = 0; e < n; ++e) weighted[e] = said[e] * row.extra[first + e];
      add_weighted(rows, d, n, weighted, out);
    });
  }

  // matrix += the upper triangle of Y' a Y, and right += Y' p.
  void add_equations(float* matrix, Index stride, float* right) {
    for_chunks([&](Index first, Index n, const float* rows) {
      weigh(rows, d, n, row.extra + first, scratch.left);
      add_products(scratch.left, rows, d, n, d, matrix, stride);
      add_weighted(rows, d, n, row.pulls + first, right);
    });
  }

  double loss(const float* y) { return double(product(y, y, d)) + loss_of_entries(y); }

  double loss_of_entries(const float* y) {
    double sum = 0.0;
    for_chunks([&](Index first, Index n, const float* rows) {
      scores_of(rows, d, n, y, scratch.said);
      sum += loss_of_scores(row, first, n, scratch.said);
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
  of.add_equations(matrix, stride, right);
  for (Index i = 0; i < d; ++i) matrix[i * stride + d] = right[i];
  return solve_cholesky(matrix, stride, d, d, y);
}

// Exactly, from as many equations as the row has entries: y = Y' b with (I + Y Y') b = p / sqrt(a), where rows of Y are
// times sqrt(a), and all a are above 0. False where float32 may not suffice.
bool solve_narrow(const Equations& of, float* y, double* loss) {
  const AlsRow& row = of.row;
  const Index d = of.d, n = row.n, size = padded(n), stride = size + kAlsPadding;
  float *const rows = of.scratch.rows, *const across = of.scratch.part, *const matrix = of.scratch.matrix;
  const Index apart = d + kAlsPadding;
  float *const roots = of.scratch.vectors + 2 * apart, *const b = roots + apart, *const right = b + apart;
  for (Index e = 0; e < n; e += kWide) {  // of entries behind the last whatever comes
    store(roots + e, root(load(row.extra + e)));
  }
  for (Index e = 0; e < n; ++e) right[e] = row.pulls[e] / (GPUREC_PLANTED(als_narrow_root_lost) ? 1.0f : roots[e]);
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
  for (Index e = 0; e < n; ++e) matrix[e * stride + size] = right[e];
  if (!solve_cholesky(matrix, stride, n, size, b)) return false;
  fill(y, d, 0.0f);
  add_weighted(rows, d, n, b, y);
  float* const said = of.scratch.said;
  scores_of(rows, d, n, y, said);
  double sum = double(product(y, y, d));
  for (Index e = 0; e < n; ++e) {
    const double s = double(said[e]);
    sum += (s - 2.0 * double(right[e])) * s;
    said[e] = right[e] - said[e];
  }
  *loss = sum;
  // A small error of b along a direction that y cannot have is a large one of y; then d x d equations do better.
  float *const left = right + apart, *const whole = left + apart;
  fill(left, d, 0.0f);
  fill(whole, d, 0.0f);
  add_weighted(rows, d, n, said, left);
  add_weighted(rows, d, n, right, whole);
  for (Index i = 0; i < d; i += kWide) {
    const Floats by = load(of.shrink + i);
    store(left + i, (load(left + i) - load(y + i)) / by);
    store(whole + i, load(whole + i) / by);
  }
  const float most = kLeft * float(d);
  if (GPUREC_PLANTED(als_narrow_unchecked)) return true;
  return product(left, left, d) <= most * most * product(whole, whole, d);
}

// Conjugate gradients for (D + Y' a Y) x = Y' p, preconditioned by D. Each walk over the entries gives their scores too,
// so that neither the right side nor the loss needs one of its own.
double solve_by_gradients(const AlsRow& row, const AlsScratch& scratch, std::int64_t steps, float* x) {
  const Index d = row.d_padded, n = row.n, apart = d + kAlsPadding;
  float *const diagonal = scratch.vectors, *const inverse = diagonal + apart, *const left = inverse + apart;
  float *const towards = left + apart, *const moved = towards + apart;
  float *const scores = scratch.scores, *const said = scratch.said;
  const Floats one = all(1.0f), l2 = all(row.l2);
  for (Index i = 0; i < d; i += kWide) {
    const Floats shared = load(row.curvature + i) + l2;
    store(diagonal + i, shared);
    store(inverse + i, one / shared);
    store(left + i, all(0.0f) - shared * load(x + i));
  }
  walk<true>(row, x, left, scores);
  Floats sum = all(0.0f);
  for (Index i = 0; i < d; i += kWide) {
    const Floats scaled = load(left + i) * load(inverse + i);
    store(towards + i, scaled);
    sum = fused(load(left + i), scaled, sum);
  }
  float size = total(sum);
  for (std::int64_t step = 0; step < steps; ++step) {
    for (Index i = 0; i < d; i += kWide) store(moved + i, load(diagonal + i) * load(towards + i));
    walk<false>(row, towards, moved, said);
    const float curvature = product(towards, moved, d);
    if (!(size > 0.0f) || !(curvature > 0.0f)) break;
    const float before = size;
    const Floats by = all(size / curvature);
    sum = all(0.0f);
    for (Index i = 0; i < d; i += kWide) {
      store(x + i, fused(by, load(towards + i), load(x + i)));
      const Floats rest = load(left + i) - by * load(moved + i), scaled = rest * load(inverse + i);
      store(left + i, rest);
      store(moved + i, scaled);
      sum = fused(rest, scaled, sum);
    }
    for (Index e = 0; e < n; e += kWide) store(scores + e, fused(by, load(said + e), load(scores + e)));
    size = total(sum);
    const Floats keep = all(GPUREC_PLANTED(als_steepest_descent) ? 0.0f : size / before);
    for (Index i = 0; i < d; i += kWide) store(towards + i, fused(keep, load(towards + i), load(moved + i)));
  }
  sum = all(0.0f);
  for (Index i = 0; i < d; i += kWide) sum = fused(load(diagonal + i) * load(x + i), load(x + i), sum);
  return double(total(sum)) + loss_of_scores(row, 0, n, scores);
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
  float *const matrix = of.scratch.matrix, *const said = of.scratch.said;
  fill(right, d, 0.0f);
  of.add_right(right);
  of.for_chunks([&](Index first, Index n, const float* rows) { scores_of(rows, d, n, y, said + first); });
  for (std::int64_t pass = 0; pass < rates.steps; ++pass) {
    for (Index begin = 0; begin < d; begin += rates.block_size) {
      const Index end = begin + rates.block_size < d ? begin + rates.block_size : d;
      const Index size = end - begin, wide = padded(size), stride = wide + kAlsPadding;
      start_matrix(matrix, stride, wide);
      fill(slope, wide, 0.0f);
      for (Index i = begin; i < end; ++i) slope[i - begin] = right[i] - (GPUREC_PLANTED(als_block_rest_lost) ? 0.0f : y[i]);
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
  return true;
}

bool solve_row(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z, double* loss) {
  if (rates.solver == AlsSolver::cg) {
    *loss = solve_by_gradients(row, scratch, rates.steps, z);
    return *loss < 1e300 && *loss > -1e300;
  }
  Equations of(row, scratch);
  const Index d = of.d;
  float* const y = scratch.vectors + d + kAlsPadding;
  if (rates.solver != AlsSolver::cholesky) {
    for (Index i = 0; i < d; i += kWide) store(y + i, load(z + i) / load(of.shrink + i));
  }
  bool solved = false;
  if (rates.solver == AlsSolver::cholesky) {
    bool narrow = row.n < d;
    for (Index e = 0; narrow && e < row.n; ++e) narrow = row.extra[e] > 0.0f;
    solved = narrow && solve_narrow(of, y, loss);
    if (!solved) {
      solved = solve_wide(of, y);
      if (solved) *loss = of.loss(y);
    }
  } else {
    solved = solve_by_blocks(of, rates, y);
    if (solved) *loss = of.loss(y);
  }
  for (Index i = 0; i < d; i += kWide) store(z + i, load(y + i) * load(of.shrink + i));
  return solved && *loss < 1e300 && *loss > -1e300;
}

double read_entries(const float* weights, const float* pulls, Index n, double unobserved_weight, float* extra) {
  constexpr Index kStep = kWide / 2;
  const double least = 1e-300;  // an entry without weight pulls at nothing
  const Doubles shift = all(unobserved_weight), smallest = all(least);
  Doubles sum = all(0.0);
  Index e = 0;
  for (; e + kStep <= n; e += kStep) {
    const Doubles w = widened(weights + e), pull = widened(pulls + e);
    store_narrowed(extra + e, w - shift);
    sum = sum + pull * pull / larger(w, smallest);
  }
  double rest = total(sum);
  for (; e < n; ++e) {
    const double w = double(weights[e]), pull = double(pulls[e]);
    extra[e] = float(w - unobserved_weight);
    rest += pull * pull / (w > least ? w : least);
  }
  return rest;
}

}  // namespace

double GPUREC_ALS_NAME(read_als_entries)(const float* weights, const float* pulls, std::int64_t n,
                                         double unobserved_weight, float* extra) {
  return read_entries(weights, pulls, n, unobserved_weight, extra);
}

bool GPUREC_ALS_NAME(solve_als_row)(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z,
                                    double* loss) {
  return solve_row(row, rates, scratch, z, loss);
}

void GPUREC_ALS_NAME(add_als_equations)(const AlsRow& row, const AlsScratch& scratch, float* matrix, float* right) {
  Equations(row, scratch).add_equations(matrix, row.d_padded + kAlsPadding, right);
}

void GPUREC_ALS_NAME(add_als_right)(const AlsRow& row, const AlsScratch& scratch, float* right) {
  Equations(row, scratch).add_right(right);
}

double GPUREC_ALS_NAME(add_als_times)(const AlsRow& row, const AlsScratch& scratch, const float* y, float* out) {
  Equations(row, scratch).add_times(y, out);
  return Equations(row, scratch).loss_of_entries(y);
}

bool GPUREC_ALS_NAME(als_cholesky)(float* matrix, std::int64_t stride, std::int64_t n, std::int64_t size, float* out) {
  return solve_cholesky(matrix, stride, n, size, out);
}

void GPUREC_ALS_NAME(add_gram)(const float* rows, std::int64_t n, std::int64_t d, double* wide, double* sums) {
  add_gram(rows, n, d, wide, sums);
}

}  // namespace gpurec::cpu
