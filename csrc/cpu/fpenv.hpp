// The floating-point environment that our arithmetic assumes: round to nearest, no flush to zero.
// A caller may have changed the thread's control word (torch.set_flush_denormal does); every native entry and
// every pool thread sets ours and puts the caller's back.
#pragma once
#include <cstdint>

#include "gpurec/planted.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace gpurec::cpu {

class FpEnvGuard {
 public:
  FpEnvGuard() : saved_(read()) {
    if (!GPUREC_PLANTED(fpenv_not_set)) write(kOurs);
  }
  ~FpEnvGuard() { write(saved_); }
  FpEnvGuard(const FpEnvGuard&) = delete;
  FpEnvGuard& operator=(const FpEnvGuard&) = delete;

#if defined(__x86_64__) || defined(_M_X64)
  using Word = std::uint32_t;
  static constexpr Word kOurs = 0x1f80;        // exceptions masked, nearest, FTZ and DAZ off
  static constexpr Word kFlush = 0x8040;       // FTZ and DAZ
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word kOurs = 0;
  static constexpr Word kFlush = std::uint64_t(1) << 24;  // FZ
  static Word read() {
    Word word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { __asm__ __volatile__("msr fpcr, %0" : : "r"(word)); }
#else
#error "state how this processor rounds to nearest and keeps denormals"
#endif

 private:
  Word saved_;
};

}  // namespace gpurec::cpu
