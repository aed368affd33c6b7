// Implementations of kernel `rescore`; the contract is gpurec/rescore.hpp, the sums are gpurec/canonical.hpp's.
#pragma once
#include <cstdint>

#include "gpurec/rescore.hpp"

namespace gpurec::cpu {

#define GPUREC_DECLARE_RESCORE(isa)                                            \
  double dot64_##isa(const float* q, const float* x, std::int64_t d);          \
  double neg_squared_distance64_##isa(const float* q, const float* x, std::int64_t d); \
  void dot_scores_##isa(const float* q, const float* items, std::int64_t d, const std::uint32_t* positions, \
                        std::uint32_t first, std::int64_t n, float* scores);     \
  void neg_squared_distance_scores_##isa(const float* q, const float* items, std::int64_t d, \
                                         const std::uint32_t* positions, std::uint32_t first, std::int64_t n, \
                                         float* scores);                          \
  void widen_rows_##isa(const float* rows, std::int64_t n, std::int64_t d, double* out); \
  Appended append_dots_##isa(const double* q, const double* items, std::int64_t d, std::uint64_t bits, \
                        const std::uint32_t* rows, float least, std::uint64_t* keys); \
  Appended append_neg_squared_distances_##isa(const double* q, const double* items, std::int64_t d, std::uint64_t bits, \
                                         const std::uint32_t* rows, float least, std::uint64_t* keys); \
  void unpack_panel_##isa(const float* panel, std::int64_t d, float* items);   \
  void pack_panel_##isa(const float* rows, std::int64_t row_stride, int n_rows, std::int64_t d, float* panel, \
                        float* squares)
GPUREC_DECLARE_RESCORE(serial);
GPUREC_DECLARE_RESCORE(avx2);
GPUREC_DECLARE_RESCORE(avx512);
#undef GPUREC_DECLARE_RESCORE

}  // namespace gpurec::cpu
