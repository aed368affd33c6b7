// Op `als`: for each row the x with the least sum of w (t - x.y)^2 over its entries, w0 (x.y)^2 over the other columns
// and l2 |x|^2: half a sweep of alternating least squares.
//   shapes    factors y (n_columns, d); weights (n_rows, n_columns) by rows; pulls, w t of each entry; l2 n_rows; start
//             and out (n_rows, d)
//   how       in the eigenvectors of y'y what all rows share is diagonal, D = w0 values + l2, and (D + Z' a Z) x = Z' p
//             with a = w - w0 is solved exactly, from n x n equations where n entries are fewer than d, by conjugate
//             gradients preconditioned by D, or block by block of eigenvectors
//   launch    rows in parallel, those with most entries first; of rows with more than 16384 entries parts in parallel
//   bytes     4 d an entry and pass, of them one from beyond the second cache; 12 d n_columns for the rotation
//   memory    4 d n_columns where many rows are asked for, else 4 d an entry; 4 (3 n + d) d for each thread, n = max(256, d)
//   needs     what ops/als.py checks: entries inside, w >= 0, everything finite, l2 a positive normal float32
//   bits      float32; Gram matrix, eigenvectors and loss float64; every sum in an order of its own, so that neither
//             threads nor the other rows of a call show; ISAs differ by rounding
//   source    Hu, Koren and Volinsky 2008; Takacs, Pilaszy and Tikk 2011; Rendle, Krichene, Zhang and Koren 2021
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

enum class AlsSolver { cholesky, cg, block };

struct AlsRates {
  AlsSolver solver = AlsSolver::cholesky;
  std::int64_t steps = 1;
  std::int64_t block_size = 1;
};

// What one row says: its entries' columns of a table, their a = w - w0 and p = w t, what all rows share of D, and l2.
struct AlsRow {
  const std::int32_t* columns = nullptr;
  const float* extra = nullptr;  // readable up to a multiple of kAlsPadding
  const float* pulls = nullptr;
  std::int64_t n = 0;               // at least 1
  const float* curvature = nullptr;  // d_padded; above 0 behind the first d
  float l2 = 0;
  const float* table = nullptr;  // rows of d_padded floats, zeros behind the first d
  std::int64_t d_padded = 0;     // a multiple of kAlsPadding
};

constexpr std::int64_t kAlsPadding = 16;
// Entries that are gathered at a time: a multiple of kAlsPadding, at least d_padded.
inline std::int64_t als_chunk(std::int64_t d_padded) { return d_padded < 256 ? 256 : d_padded; }

// Room for one row at a time, aligned to 64 bytes.
struct AlsScratch {
  float* rows = nullptr;     // als_chunk x d_padded: entries in units of D^-1/2
  float* part = nullptr;     // the same: some of their components, or their transpose
  float* left = nullptr;     // the same, weighted
  float* matrix = nullptr;   // d_padded x (d_padded + kAlsPadding)
  float* vectors = nullptr;  // 8 x (d_padded + kAlsPadding)
  float* said = nullptr;     // a float an entry of the longest row, padded
  float* scores = nullptr;   // the same
};

namespace cpu {

// What a row's entries say: their a = w - w0 go to `extra`, and sum w t^2 comes back.
using ReadAlsEntries = double (*)(const float* weights, const float* pulls, std::int64_t n, double unobserved_weight,
                                  float* extra);
// Solves a row; z holds the start and gets the solution, loss what the row adds to the loss less sum w t^2. False where
// float32 does not suffice.
using SolveAlsRow = bool (*)(const AlsRow& row, const AlsRates& rates, const AlsScratch& scratch, float* z, double* loss);
// Adds the outer products of n rows of d floats to the upper triangle of sums, d_padded x d_padded; below it stands
// nothing of account. `wide` has room for n x d_padded.
using AddGram = void (*)(const float* rows, std::int64_t n, std::int64_t d, double* wide, double* sums);
// Of a part of a row's entries, in units of D^-1/2: adds Y'aY to the upper triangle of a matrix whose rows lie
// d_padded + kAlsPadding apart, and Y'p to `right`; Y'p; Y'aY y, returning what they add to the loss.
using AddAlsEquations = void (*)(const AlsRow& part, const AlsScratch& scratch, float* matrix, float* right);
using AddAlsRight = void (*)(const AlsRow& part, const AlsScratch& scratch, float* right);
using AddAlsTimes = double (*)(const AlsRow& part, const AlsScratch& scratch, const float* y, float* out);
// Solves n equations given by the upper triangle of a matrix whose column `size` is the right side.
using AlsCholesky = bool (*)(float* matrix, std::int64_t stride, std::int64_t n, std::int64_t size, float* out);

struct AlsKernels {
  const char* isa;
  ReadAlsEntries read_entries;
  SolveAlsRow solve_row;
  AddGram add_gram;
  AddAlsEquations add_equations;
  AddAlsRight add_right;
  AddAlsTimes add_times;
  AlsCholesky cholesky;
};

}  // namespace cpu
}  // namespace gpurec
