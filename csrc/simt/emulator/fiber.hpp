// Stacks that take turns: a thread of a kernel is one of them.
#pragma once
#include <cstddef>

namespace gpurec::simt::emulator {

struct Fiber {
  void* stack_pointer = nullptr;
  const void* bottom = nullptr;  // the lowest address, as AddressSanitizer wants it
  std::size_t size = 0;
  void* fake_stack = nullptr;
};

// Makes a fiber that calls `entry`, which never returns, on stack number `slot`; what ran there before is gone.
void make_fiber(Fiber& fiber, std::size_t slot, void (*entry)());
// Goes on where `to` left off; returns when somebody comes back to `from`. A dying fiber is never come back to.
void switch_fiber(Fiber& from, Fiber& to, bool dying = false);
// What a fiber calls first.
void enter_fiber();

}  // namespace gpurec::simt::emulator
