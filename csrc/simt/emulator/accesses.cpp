// Words that touch memory: copies that are under way, atomics, fences, addresses that a word is not for.
#include <algorithm>
#include <cstring>

#include "machine.hpp"
#include "device/memory.hpp"

namespace gpurec::simt::emulator {
namespace {

std::string hexadecimal(const void* p) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", p);
  return text;
}

void tell(const void* p, int n_bytes, Access access, Where where) {
  if (hooks.access != nullptr) hooks.access(p, n_bytes, access, site_of(where));
}

void finish(const AsyncCopy& copy) {
  tell(copy.to, 16, Access::write, copy.where);
  if (copy.from != nullptr) {
    std::memcpy(copy.to, copy.from, 16);
  } else {
    std::memset(copy.to, 0, 16);
  }
}

}  // namespace

void before_atomic(const void* p, int n_bytes, Access access, Where where) {
  check_address(p, n_bytes, Space::any, where);
  if (seed() != 0 && draw(4) == 0) {
    make_ready(running());
    reschedule();
  }
  tell(p, n_bytes, access, where);
}

void fence() {
  if (hooks.fence != nullptr) hooks.fence(running());
}

void start_copy(void* shared, const void* global, Where where) {
  Thread& me = running();
  auto* const to = static_cast<unsigned char*>(shared);
  check_address(to, 16, Space::shared, where);
  if (to + 16 > me.shared_end) too_little_shared(to + 16, where);
  if (global != nullptr) {
    check_address(global, 16, Space::global, where);
    tell(global, 16, Access::read, where);
  }
  // The copy may land at once or late, so that nobody may read or write there meanwhile.
  tell(to, 16, Access::pending_write, where);
  poison(to, 16);
  me.copies.push_back({to, static_cast<const unsigned char*>(global), me.n_groups, where});
}

void commit_copies() { ++running().n_groups; }

void wait_for_copies(int pending, Where) {
  Thread& me = running();
  std::size_t kept = 0;
  for (const AsyncCopy& copy : me.copies) {
    if (copy.group + pending < me.n_groups) {
      finish(copy);
    } else {
      me.copies[kept++] = copy;
    }
  }
  me.copies.resize(kept);
}

void bad_address(const void* p, int n_bytes, Space space, Where where) {
  if (reinterpret_cast<std::uintptr_t>(p) % std::uintptr_t(n_bytes) != 0) {
    fail("an access of " + std::to_string(n_bytes) + " bytes at " + hexadecimal(p) + ", which is no multiple of that", where);
  }
  fail(space == Space::global ? "a word for global memory was given an address in shared memory"
                              : "a word for shared memory was given another address", where);
}

void too_little_shared(const unsigned char* end, Where where) {
  const Thread& me = running();
  fail("more shared memory is used than the launch gave: " + std::to_string(end - me.shared) + " of " +
           std::to_string(me.shared_end - me.shared) + " bytes", where);
}

}  // namespace gpurec::simt::emulator
