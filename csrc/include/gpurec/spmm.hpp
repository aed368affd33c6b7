// Op `spmm`: a sparse matrix times a dense one, and a multiple of another dense one added: out = a x + weight * add.
//   shapes    a (n_rows, n_inner) by its stored entries; x (n_inner, n_columns); out, add (n_rows, n_columns)
//   launch    strips of columns, in each of them rows in parallel; where rows of x are read often enough, a strip is
//             copied first, so that all of it lies in the cache and on few pages
//   bytes     8 a stored entry and strip, 4 of x a stored entry and column, mostly from the cache; 4 of out
//   memory    out is the caller's; a copy of one strip of x, at most 1 MB or 64 bytes for each of its rows
//   needs     indptr ascending from 0, columns inside x, out apart from x and add
//   bits      as `weighted_rows`, then the product with `weight` and the sum, each rounded: independent of threads, strips
//             and ISA
//   measured  16 columns, 29,858 x 40,981 with 810,128 entries and its transpose: 2.0 ns an entry, two threads of a 2-core
//             AMD EPYC (Zen 4), November 2026
#pragma once
#include <cstdint>

#include "gpurec/views.hpp"

namespace gpurec {

// Nothing is added where there is no data.
struct Addend {
  MatrixView<const float> rows;
  float weight = 0;
};

}  // namespace gpurec
