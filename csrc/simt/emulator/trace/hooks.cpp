// The hooks that code compiled with -fsanitize=thread calls, and what becomes of each access.
#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "../device/memory.hpp"
#include "trace.hpp"

namespace gpurec::simt::emulator {
namespace {

bool inside = false;  // a hook must not hear of its own accesses
std::uint32_t preempt_every = 0;

bool is_own(const Thread& me, std::uintptr_t address);

void access(const void* p, int n_bytes, Access kind, const void* pc) {
  if (current == nullptr || inside || n_bytes == 0) return;
  Thread& me = running();
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto shared = reinterpret_cast<std::uintptr_t>(me.shared);
  const bool is_shared = address >= shared && address < shared + me.block->shared_bytes + kFence;
  inside = true;
  const Allocation* const allocation = is_shared ? nullptr : allocation_near(p);
  const bool known = is_shared || allocation != nullptr;
  if (known && preempt_every != 0 && draw(preempt_every) == 0) {
    inside = false;
    make_ready(me);
    reschedule();
    inside = true;
  }
  if (is_shared ? address + std::size_t(n_bytes) > shared + me.block->shared_bytes
                : allocation != nullptr ? !lies_within(p, std::size_t(n_bytes)) : !is_own(me, address)) {
    report_outside(me, pc, kind);
  } else if (known) {
    const Memory memory = is_shared ? Memory::shared : Memory::global;
    check_access(me, address, n_bytes, kind, pc, memory);
    if (kind == Access::read || kind == Access::write) count_access(me, address, n_bytes, kind == Access::write, pc, memory);
  }
  inside = false;
}

// Where this module lies: its constants.
struct Image {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

Image find_image() {
  Image image;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        Image here;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = info->dlpi_phdr[i];
          if (part.p_type != PT_LOAD) continue;
          const std::uintptr_t begin = info->dlpi_addr + part.p_vaddr;
          here.begin = here.begin == 0 ? begin : std::min(here.begin, begin);
          here.end = std::max(here.end, begin + part.p_memsz);
        }
        const auto me = reinterpret_cast<std::uintptr_t>(&find_image);
        if (me < here.begin || me >= here.end) return 0;
        *static_cast<Image*>(found) = here;
        return 1;
      },
      &image);
  return image;
}

// What a thread may use besides device memory: its stack, who it is, the parameters, constants.
bool is_own(const Thread& me, std::uintptr_t address) {
  static const Image image = find_image();
  const auto within = [address](const void* begin, std::size_t n) {
    return address - reinterpret_cast<std::uintptr_t>(begin) < n;
  };
  return within(me.fiber.bottom, me.fiber.size) || within(&me, sizeof me) || within(params_of_launch(), kMostParams) ||
         (address >= image.begin && address < image.end);
}

void block_begin(Block& block) { race_block_begin(block); }
void block_end(Block& block) { traffic_block_end(block); }
void launch_end() {
  race_launch_end();
  traffic_launch_end();
}
void fence_by(Thread& thread) { race_fence(thread); }

const bool installed = [] {
  hooks.block_begin = block_begin;
  hooks.block_end = block_end;
  hooks.launch_end = launch_end;
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
// What copies.hpp makes of the C library's.
__attribute__((visibility("hidden"))) void* gpurec_traced_memmove(void* to, const void* from, std::size_t n) {
  gpurec::simt::emulator::access(from, int(n), Access::read, __builtin_return_address(0));
  gpurec::simt::emulator::access(to, int(n), Access::write, __builtin_return_address(0));
  return std::memmove(to, from, n);
}
__attribute__((visibility("hidden"))) void* gpurec_traced_memcpy(void* to, const void* from, std::size_t n) {
  gpurec::simt::emulator::access(from, int(n), Access::read, __builtin_return_address(0));
  gpurec::simt::emulator::access(to, int(n), Access::write, __builtin_return_address(0));
  return std::memcpy(to, from, n);
}
__attribute__((visibility("hidden"))) void* gpurec_traced_memset(void* to, int byte, std::size_t n) {
  gpurec::simt::emulator::access(to, int(n), Access::write, __builtin_return_address(0));
  return std::memset(to, byte, n);
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
