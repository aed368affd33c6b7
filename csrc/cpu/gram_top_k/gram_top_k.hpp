// Op `gram_top_k` on the CPU; the contract is gpurec/gram_top_k.hpp.
#pragma once
#include <cstdint>
#include <functional>

#include "dispatch.hpp"
#include "gpurec/gram_top_k.hpp"
#include "gpurec/score_top_k.hpp"
#include "gram_top_k/columns.hpp"

namespace gpurec::cpu {

// Whether rows are ranked by sums of codes first, which changes no answer.
enum class CodeUse { never, where_they_pay, always };

// The best k rows of x for each of its n_asked rows `asked`; filters speak of those as queries, 0 to n_asked - 1.
struct GramCall {
  const SparseRowsView& x;
  const SparseColumns& columns;  // x by columns
  const GramScoring& how;
  const std::int64_t* asked;
  std::int64_t n_asked;
  std::int64_t k;
  bool include_self;
  const FiltersView& filters;
  TopKView out;
  const Kernels& kernels;
  int n_threads;
  CodeUse code_use;
  std::int64_t tile_rows;            // of codes, at most CodedColumns::kMostTileRows
  // Asked now and then on the thread of the caller, who wants no answer any more where it says so.
  const std::function<bool()>& is_interrupted;
};

// What was done with the rows asked about.
struct GramStats {
  std::int64_t coded = 0;     // answered from sums of codes
  std::int64_t uncertain = 0; // of which sums of codes did not tell
  std::int64_t dense = 0;     // met so many entries that all other rows were looked through
};

// Leaves answers unwritten where it was interrupted.
GramStats gram_top_k(const GramCall& call);

}  // namespace gpurec::cpu
