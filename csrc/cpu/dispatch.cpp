#include "dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#include "multiply/multiply.hpp"
#include "rescore/rescore.hpp"
#include "scan/scan.hpp"
#include "select/select.hpp"

namespace gpurec::cpu {
namespace {

bool always() { return true; }

#if defined(__x86_64__) || defined(_M_X64)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

#define GPUREC_KERNELS(isa, supported)                                                                             \
  {#isa, supported, scan_tile_f32_##isa, multiply_tile_f32_##isa, distance_tile_f32_##isa, scan_rows_f32_##isa,    \
   dot64_##isa, neg_squared_distance64_##isa, dot_scores_##isa, neg_squared_distance_scores_##isa,                 \
   unpack_panel_##isa, pack_panel_##isa, find_above_##isa, near_kth_largest_##isa, keep_above_##isa,               \
   append_hits_##isa, range_of_keys_##isa, find_tie_##isa}

const std::vector<Kernels>& all_kernels() {
  // A NEON row goes above serial, its files beside the others: scan/neon.cpp, multiply/neon.cpp and so on.
  static const std::vector<Kernels> table = {
#if defined(__x86_64__) || defined(_M_X64)
      GPUREC_KERNELS(avx512, has_avx512),
      GPUREC_KERNELS(avx2, has_avx2),
#endif
      GPUREC_KERNELS(serial, always),
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
