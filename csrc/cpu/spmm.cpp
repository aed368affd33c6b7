#include "spmm.hpp"

#include <algorithm>

#include "gpurec/planted.hpp"
#include "table/aligned.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

// What a strip should take of the second cache.
constexpr std::int64_t kStripFloats = std::int64_t(1) << 18;
// Two cache lines, which come together, and the page that a row's part should fill where it is not copied.
constexpr std::int64_t kLeastColumns = 32, kMostColumns = 1024;
// Stored entries for each row of x from which a copy pays.
constexpr std::int64_t kWorthCopying = 4;
// Stored entries that a task is worth, since rows differ, and rows that are copied by one.
constexpr std::int64_t kEntriesPerTask = std::int64_t(1) << 13;
constexpr std::int64_t kRowsPerTask = 1024;
constexpr std::int64_t kAskedFor = 32;  // entries of a row

std::int64_t columns_in_cache(std::int64_t n_rows) {
  const std::int64_t fit = kStripFloats / std::max<std::int64_t>(1, n_rows) / kLeastColumns * kLeastColumns;
  return std::clamp(fit, kLeastColumns, kMostColumns);
}

// Asks for the parts of x that the first entries of row i of a meet; what they are no processor could foresee.
void ask_for_rows(const SparseRowsView& a, std::int64_t i, MatrixView<const float> x) {
  const std::int64_t end = std::min(a.indptr[i + 1], a.indptr[i] + kAskedFor);
  for (std::int64_t t = a.indptr[i]; t < end; ++t) {
    const float* const row = x.row(a.columns[t]);
    for (std::int64_t j = 0; j < std::min<std::int64_t>(x.cols, 32); j += 16) __builtin_prefetch(row + j);
  }
}

}  // namespace

void spmm(const SparseRowsView& a, MatrixView<const float> x, const Addend& add, MatrixView<float> out,
          const Kernels& kernels, int n_threads) {
  if (a.n_rows == 0 || x.cols == 0) return;
  std::int64_t width = columns_in_cache(x.rows);
  const bool copies = x.cols > width && a.n_entries() >= kWorthCopying * x.rows;
  width = std::min(x.cols, copies ? width : kMostColumns);
  AlignedFloats strip(copies ? x.rows * width : 0);
  const std::int64_t n_tasks = std::clamp<std::int64_t>(a.n_entries() / kEntriesPerTask, 1, a.n_rows);

  for (std::int64_t first = 0; first < x.cols; first += width) {
    const std::int64_t here = std::min(width, x.cols - first);
    MatrixView<const float> part{x.data + first, x.rows, here, x.row_stride};
    if (copies && !(GPUREC_PLANTED(spmm_first_strip_kept) && first != 0)) {
      parallel_for(n_threads, (x.rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::int64_t task) {
        const std::int64_t end = std::min(x.rows, (task + 1) * kRowsPerTask);
        for (std::int64_t i = task * kRowsPerTask; i < end; ++i) std::copy_n(part.row(i), here, strip.data() + i * width);
      });
    }
    if (copies) part = {strip.data(), x.rows, here, width};
    parallel_for(n_threads, n_tasks, [&](std::int64_t task) {
      const std::int64_t end = a.n_rows * (task + 1) / n_tasks;
      for (std::int64_t i = a.n_rows * task / n_tasks; i < end; ++i) {
        if (i + 1 < end) ask_for_rows(a, i + 1, part);
        const std::int64_t entry = a.indptr[i];
        float* const sums = out.row(i) + first;
        kernels.weighted_rows(a.columns + entry, a.values + entry, a.length(i), part.data, part.row_stride,
                              here, sums);
        if (add.rows.data == nullptr) continue;
        const float* const more = add.rows.row(i) + (GPUREC_PLANTED(spmm_addend_unshifted) ? 0 : first);
        for (std::int64_t j = 0; j < here; ++j) sums[j] += add.weight * more[j];
      }
    });
  }
}

}  // namespace gpurec::cpu
