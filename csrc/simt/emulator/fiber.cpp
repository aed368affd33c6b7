#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "the emulator switches stacks on 64-bit x86 only"
#endif

extern "C" void gpurec_emulator_switch(void** save, void* load) __attribute__((visibility("hidden")));
asm(R"(
.pushsection .text
.hidden gpurec_emulator_switch
.globl gpurec_emulator_switch
.type gpurec_emulator_switch,@function
gpurec_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gpurec_emulator_switch,.-gpurec_emulator_switch
.popsection
)");

namespace gpurec::simt::emulator {
namespace {

constexpr std::size_t kStackBytes = std::size_t(128) << 10;
constexpr std::size_t kGuardBytes = 4096;
constexpr std::size_t kStacksAtOnce = 256;

Fiber* left = nullptr;  // who switched last

// Stacks are kept for the process; below each lies a page that nobody may touch.
char* stack_of(std::size_t slot) {
  static std::vector<char*> groups;
  while (groups.size() <= slot / kStacksAtOnce) {
    const std::size_t each = kStackBytes + kGuardBytes;
    void* const group = mmap(nullptr, kStacksAtOnce * each, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (group == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < kStacksAtOnce; ++i) mprotect(static_cast<char*>(group) + i * each, kGuardBytes, PROT_NONE);
    groups.push_back(static_cast<char*>(group));
  }
  return groups[slot / kStacksAtOnce] + slot % kStacksAtOnce * (kStackBytes + kGuardBytes) + kGuardBytes;
}

}  // namespace

void make_fiber(Fiber& fiber, std::size_t slot, void (*entry)()) {
  char* const bottom = stack_of(slot);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(bottom, kStackBytes);  // a launch that failed left its frames behind
#endif
  // Six registers, the address to return to, and a multiple of 16 bytes less 8 above it, as after a call.
  auto* const words = reinterpret_cast<std::uintptr_t*>(bottom + kStackBytes - 64);
  for (int i = 0; i < 8; ++i) words[i] = 0;
  words[6] = reinterpret_cast<std::uintptr_t>(entry);
  fiber = {words, bottom, kStackBytes, nullptr};
}

void switch_fiber(Fiber& from, Fiber& to, bool dying) {
  left = &from;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.fake_stack, to.bottom, to.size);
#else
  (void)dying;
#endif
  gpurec_emulator_switch(&from.stack_pointer, to.stack_pointer);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack, &left->bottom, &left->size);
#endif
}

void enter_fiber() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &left->bottom, &left->size);
#endif
}

}  // namespace gpurec::simt::emulator
