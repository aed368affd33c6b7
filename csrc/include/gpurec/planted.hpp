// Defects that a test build plants one at a time, to see that the conformance suite finds each of them.
// GPUREC_PLANTED(name) is constant false in an ordinary build, and every branch on it vanishes. A build with
// -DGPUREC_PLANTED_DEFECTS=ON plants the one that the environment variable GPUREC_PLANTED_DEFECT names. Device compilers
// see constant false always; in kernels that g++ compiles for the emulator defects are planted as on the CPU.
#pragma once

#if defined(GPUREC_PLANTED_DEFECTS) && !defined(__CUDACC__)
#include <cstdlib>
#include <cstring>

namespace gpurec {
inline bool defect_is(const char* name) {
  const char* const chosen = std::getenv("GPUREC_PLANTED_DEFECT");
  return chosen != nullptr && std::strcmp(chosen, name) == 0;
}
}  // namespace gpurec

#define GPUREC_PLANTED(name)                            \
  ([] {                                                 \
    static const bool on = ::gpurec::defect_is(#name);  \
    return on;                                          \
  }())
#else
#define GPUREC_PLANTED(name) false
#endif
