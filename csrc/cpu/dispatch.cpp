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

const std::vector<Kernels>& all_kernels() {
  // A NEON row goes above serial, its files beside the others: scan/neon.cpp, multiply/neon.cpp and so on.
  static const std::vector<Kernels> table = {
#if defined(__x86_64__) || defined(_M_X64)
      {"avx512", has_avx512, scan_tile_f32_avx512, multiply_tile_f32_avx512, distance_tile_f32_avx512, scan_rows_f32_avx512, dot64_avx512, neg_squared_distance64_avx512, unpack_panel_avx512, pack_panel_avx512, find_above_avx512,
       near_kth_largest_avx512, keep_above_avx512, append_hits_avx512},
      {"avx2", has_avx2, scan_tile_f32_avx2, multiply_tile_f32_avx2, distance_tile_f32_avx2, scan_rows_f32_avx2, dot64_avx2, neg_squared_distance64_avx2, unpack_panel_avx2, pack_panel_avx2, find_above_avx2,
       near_kth_largest_avx2, keep_above_avx2, append_hits_avx2},
#endif
      {"serial", always, scan_tile_f32_serial, multiply_tile_f32_serial, distance_tile_f32_serial, scan_rows_f32_serial, dot64_serial, neg_squared_distance64_serial, unpack_panel_serial, pack_panel_serial, find_above_serial,
       near_kth_largest_serial, keep_above_serial, append_hits_serial},
  };
  return table;
}

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
