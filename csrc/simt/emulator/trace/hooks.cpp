// The hooks that code compiled with -fsanitize=thread calls, and what becomes of each access.
#include <dlfcn.h>

#include <cstdio>

#include "../device/memory.hpp"
#include "trace.hpp"

namespace gpurec::simt::emulator {
namespace {

bool inside = false;  // a hook must not hear of its own accesses
std::uint32_t preempt_every = 0;

void access(const void* p, int n_bytes, Access kind, const void* pc) {
  if (current == nullptr || inside) return;
  Thread& me = running();
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto shared = reinterpret_cast<std::uintptr_t>(me.shared);
  const bool is_shared = address >= shared && address < shared + me.block->shared_bytes + kFence;
  inside = true;
  const Allocation* const allocation = is_shared ? nullptr : allocation_near(p);
  const bool known = is_shared || allocation != nullptr;  // else it is a thread's own, or a parameter
  if (known && preempt_every != 0 && draw(preempt_every) == 0) {
    inside = false;
    make_ready(me);
    reschedule();
    inside = true;
  }
  if (is_shared ? address + std::size_t(n_bytes) > shared + me.block->shared_bytes
                : allocation != nullptr && !lies_within(p, std::size_t(n_bytes))) {
    report_outside(me, pc, kind);
  } else if (known) {
    const Memory memory = is_shared ? Memory::shared : Memory::global;
    check_access(me, address, n_bytes, kind, pc, memory);
    if (kind == Access::read || kind == Access::write) count_access(me, address, n_bytes, kind == Access::write, pc, memory);
  }
  inside = false;
}

void block_begin(Block& block) { race_block_begin(block); }
void block_end(Block& block) { traffic_block_end(block); }
void fence_by(Thread& thread) { race_fence(thread); }

const bool installed = [] {
  hooks.block_begin = block_begin;
  hooks.block_end = block_end;
  hooks.launch_end = race_launch_end;
  hooks.access = access;
  hooks.fence = fence_by;
  return true;
}();

}  // namespace

Trace read_trace() {
  Trace trace;
  take_races(trace);
  take_traffic(trace);
  return trace;
}

void reset_trace() {
  reset_races();
  reset_traffic();
}

void set_preemption(std::uint32_t every) { preempt_every = every; }

std::uint64_t offset_of(const void* pc) {
  if (where_of(pc).file != nullptr) return 0;
  Dl_info image{};
  if (dladdr(reinterpret_cast<const void*>(&installed), &image) == 0) return 0;
  return std::uint64_t(static_cast<const char*>(pc) - static_cast<const char*>(image.dli_fbase)) - 1;
}

std::string text_of_site(const void* pc) {
  const Where where = where_of(pc);
  if (where.file != nullptr) return text_of(where);
  char text[32];
  std::snprintf(text, sizeof text, "+0x%llx", static_cast<unsigned long long>(offset_of(pc)));
  return text;
}

}  // namespace gpurec::simt::emulator

extern "C" {
using gpurec::simt::emulator::Access;
#define GPUREC_HOOK(name, n_bytes, access_kind)                                                                 \
  void __tsan_##name(void* p) {                                                                                 \
    gpurec::simt::emulator::access(p, n_bytes, Access::access_kind, __builtin_return_address(0));               \
  }
#define GPUREC_HOOKS(n)                 \
  GPUREC_HOOK(read##n, n, read)         \
  GPUREC_HOOK(write##n, n, write)       \
  GPUREC_HOOK(unaligned_read##n, n, read) \
  GPUREC_HOOK(unaligned_write##n, n, write)
GPUREC_HOOKS(1)
GPUREC_HOOKS(2)
GPUREC_HOOKS(4)
GPUREC_HOOKS(8)
GPUREC_HOOKS(16)
void __tsan_read_range(void* p, unsigned long n) {
  gpurec::simt::emulator::access(p, int(n), Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long n) {
  gpurec::simt::emulator::access(p, int(n), Access::write, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
// Guards of local statics; kernels' own atomics are words.
std::uint8_t __tsan_atomic8_load(const volatile std::uint8_t* p, int order) {
  (void)order;
  return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}
}
