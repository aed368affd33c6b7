#include "dispatch.hpp"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstdlib>
#include <stdexcept>

#include "bpr/bpr.hpp"
#include "chosen_gram/chosen_gram.hpp"
#include "multiply/multiply.hpp"
#include "quantise/quantise.hpp"
#include "rescore/rescore.hpp"
#include "scan/scan.hpp"
#include "scan_bf16/scan_bf16.hpp"
#include "scan_i4/scan_i4.hpp"
#include "scan_i8/scan_i8.hpp"
#include "select/select.hpp"
#include "sgd/sgd.hpp"
#include "weighted_rows/weighted_rows.hpp"

namespace gpurec::cpu {
namespace {

bool has_serial() { return true; }

#if defined(__x86_64__) || defined(_M_X64)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_avxvnni() { return has_avx2() && __builtin_cpu_supports("avxvnni"); }
bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }
#elif defined(__aarch64__)
// The dot products of bytes, which Arm makes optional.
#if defined(__linux__)
bool has_neon() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#else
bool has_neon() { return true; }
#endif
#endif

}  // namespace

// An ISA is made of the float32 kernels of one, the int8 and 4-bit tiles of others with start values, scores and codes of
// queries for them, and a bfloat16 tile or none.
#define GPUREC_KERNELS(isa, f32, i8, i4, starts, codes, bf16)                                                             \
  {#isa, has_##isa, scan_tile_f32_##f32, multiply_tile_f32_##f32, multiply_in_order_f32_##f32,                     \
   distance_tile_f32_##f32,                                                                                      \
   weighted_rows_f32_##f32, bpr_visits_f32_##f32, bpr_draws_##f32, sgd_epoch_f32_##f32, chosen_gram_f64_##f32,      \
   scan_rows_f32_##f32,                                                                                            \
   dot64_##f32, neg_squared_distance64_##f32, dot_scores_##f32, neg_squared_distance_scores_##f32,                 \
   widen_rows_##f32, append_dots_##f32, append_neg_squared_distances_##f32,                                         \
   unpack_panel_##f32, pack_panel_##f32, find_above_##f32, near_kth_largest_##f32, keep_above_##f32,               \
   append_hits_##f32, range_of_keys_##f32, find_tie_##f32, scan_tile_i8_##i8, adds_in_words_##i8,                  \
   scan_tile_i4_##i4, start_values_i8_##starts, scores_of_sums_##starts, quantise_query_##codes,                   \
   quantise_tile_i8_##f32, quantise_tile_i4_##f32,                                                                 \
   scan_tile_bf16_##bf16, round_tile_bf16_##bf16}

const std::vector<Kernels>& all_kernels() {
  // Float32 kernels for NEON go beside the others, scan/neon.cpp, multiply/neon.cpp and so on; a compiler makes much of
  // the serial ones there.
  static const std::vector<Kernels> table = {
#if defined(__x86_64__) || defined(_M_X64)
      GPUREC_KERNELS(avx512bf16, avx512, avx512vnni, avx512vnni, avx512, avx512, avx512bf16),
      GPUREC_KERNELS(avx512vnni, avx512, avx512vnni, avx512vnni, avx512, avx512, none),
      GPUREC_KERNELS(avx512, avx512, avx2, avx2, avx512, in_words, none),
      GPUREC_KERNELS(avxvnni, avx2, avxvnni, avx2, avx2, serial, none),
      GPUREC_KERNELS(avx2, avx2, avx2, avx2, avx2, in_words, none),
#elif defined(__aarch64__)
      GPUREC_KERNELS(neon, serial, neon, serial, neon, serial, none),
#endif
      GPUREC_KERNELS(serial, serial, serial, serial, serial, serial, serial),
  };
  return table;
}

#undef GPUREC_KERNELS

const Kernels& kernels(const std::string& isa) {
  std::string wanted = isa;
  if (wanted.empty()) {
    const char* forced = std::getenv("GPUREC_CPU_ISA");
    if (forced != nullptr) wanted = forced;
  }
  std::string known;
  for (const Kernels& row : all_kernels()) {
    if (wanted.empty() ? row.supported() : wanted == row.isa) {
      if (!row.supported()) throw std::runtime_error("[cpu] this processor does not support ISA " + wanted);
      return row;
    }
    known += known.empty() ? row.isa : std::string(", ") + row.isa;
  }
  throw std::invalid_argument("[cpu] unknown ISA '" + wanted + "'; known: " + known);
}

}  // namespace gpurec::cpu
