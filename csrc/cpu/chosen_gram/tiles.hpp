// Kernel `chosen_gram` in the words of one ISA: Doubles, kVector of them, and what is done with them. Tiles of kRows by 8
// sums stay in registers; a product is rounded before it is added. Each ISA's file includes this once, inside its target
// region and unnamed namespace; it includes nothing itself, so that no std code comes along.

constexpr std::int64_t kColumns = 8;
constexpr int kVectors = int(kColumns / kVector);

// Components f..f+R-1 by g..g+7; with Weighted also the eight sums by weights.
template <int R, bool Weighted>
void add_tile(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x, std::int64_t stride,
              std::int64_t f, std::int64_t g, double* gram, double* sums) {
  Doubles sum[R][kVectors], weighted[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    weighted[v] = zeros();
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) sum[i][v] = zeros();
  }
  for (std::int64_t t = 0; t < n; ++t) {
    const double* const row = x + rows[t] * stride;
    Doubles columns[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) columns[v] = load(row + g + kVector * v);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const Doubles component = all(row[f + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[i][v] = plus_product(sum[i][v], component, columns[v]);
    }
    if (Weighted) {
      const Doubles weight = all(weights[t]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) weighted[v] = plus_product(weighted[v], weight, columns[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) store(gram + (f + i) * stride + g + kVector * v, sum[i][v]);
    if (Weighted) store(sums + g + kVector * v, weighted[v]);
  }
}

// As many components from f on as there are, kRows at most.
template <bool Weighted, int R = kRows>
void add_rows(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x, std::int64_t stride,
              std::int64_t f, std::int64_t width, std::int64_t g, double* gram, double* sums) {
  if constexpr (R > 1) {
    if (width - f < R) return add_rows<Weighted, R - 1>(rows, weights, n, x, stride, f, width, g, gram, sums);
  }
  add_tile<R, Weighted>(rows, weights, n, x, stride, f, g, gram, sums);
}

inline void add_all(const std::int32_t* rows, const double* weights, std::int64_t n, const double* x,
                    std::int64_t stride, std::int64_t width, double* gram, double* sums) {
  for (std::int64_t g = 0; g < width; g += kColumns) {
    // The tile on the diagonal takes the weights along.
    add_rows<true>(rows, weights, n, x, stride, g, width, g, gram, sums);
    for (std::int64_t f = g + kRows; f < width; f += kRows) {
      add_rows<false>(rows, weights, n, x, stride, f, width, g, gram, sums);
    }
  }
}
