#include "memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <new>
#include <utility>

#include "../machine.hpp"

namespace gpurec::simt::emulator {
namespace {

// By the address past the end and its margin, so that a look-up finds the first that may hold an address.
std::map<std::uintptr_t, Allocation> allocations;
Allocation* latest = nullptr;  // found by the last look-up
MemoryUse use{std::size_t(8) << 30, 0, 0, 0};

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kAround = 0;  // AddressSanitizer watches
#else
constexpr std::size_t kAround = kMargin;
#endif
constexpr unsigned char kUntouched = 0xb7;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

// The first byte of a margin that is not as it was left; its length where all are.
std::size_t first_touched(const unsigned char* margin) {
  return std::size_t(std::find_if(margin, margin + kAround, [](unsigned char b) { return b != kUntouched; }) - margin);
}

}  // namespace

void* allocate(std::size_t n_bytes, bool pinned) {
  if (!pinned && n_bytes > use.total - use.used) throw std::bad_alloc();
  void* whole = nullptr;
  if (posix_memalign(&whole, 256, n_bytes + 2 * kAround + (n_bytes == 0 ? 1 : 0)) != 0) throw std::bad_alloc();
  auto* const begin = static_cast<unsigned char*>(whole) + kAround;
  std::memset(begin - kAround, kUntouched, kAround);
  std::memset(begin + n_bytes, kUntouched, kAround);
  poison(begin, n_bytes);
  if (!pinned) use.used += n_bytes;
  use.most = std::max(use.most, use.used);
  ++use.allocations;
  Allocation allocation{begin, n_bytes, pinned, {}};
  if (hooks.access != nullptr) allocation.written.resize((n_bytes + 3) / 4);
  allocations[address(begin + n_bytes + kMargin)] = std::move(allocation);
  latest = nullptr;
  return begin;
}

bool release(void* p) {
  for (auto entry = allocations.begin(); entry != allocations.end(); ++entry) {
    const Allocation& allocation = entry->second;
    if (allocation.begin != p) continue;
    if (!allocation.pinned) use.used -= allocation.n_bytes;
    std::free(allocation.begin - kAround);
    allocations.erase(entry);
    latest = nullptr;
    return true;
  }
  return false;
}

Allocation* allocation_near(const void* p) {
  const auto holds = [p](const Allocation& a) {
    return address(p) + kMargin >= address(a.begin) && address(p) < address(a.begin) + a.n_bytes + kMargin;
  };
  if (latest != nullptr && holds(*latest)) return latest;
  const auto entry = allocations.upper_bound(address(p));
  if (entry == allocations.end() || !holds(entry->second)) return nullptr;
  latest = &entry->second;
  return latest;
}

bool lies_within(const void* p, std::size_t n_bytes) {
  const Allocation* const a = allocation_near(p);
  return a != nullptr && address(p) >= address(a->begin) && address(p) + n_bytes <= address(a->begin) + a->n_bytes;
}

void mark_written(const void* p, std::size_t n_bytes) {
  Allocation* const a = allocation_near(p);
  if (a == nullptr || a->written.empty() || n_bytes == 0) return;
  const std::size_t first = address(p) - address(a->begin);
  for (std::size_t word = first / 4; word <= (first + n_bytes - 1) / 4 && word < a->written.size(); ++word) {
    a->written[word] = true;
  }
}

std::string damage() {
  std::string text;
  for (auto& [end, a] : allocations) {
    unsigned char* const before = a.begin - kAround;
    unsigned char* const after = a.begin + a.n_bytes;
    const std::size_t low = first_touched(before), high = first_touched(after);
    if (low == kAround && high == kAround) continue;
    if (text.empty()) {
      text = low < kAround ? std::to_string(kAround - low) + " bytes before" : std::to_string(high) + " bytes after";
      text = "a write outside of global memory: " + text + " an allocation of " + std::to_string(a.n_bytes) + " bytes";
    }
    std::memset(before, kUntouched, kAround);
    std::memset(after, kUntouched, kAround);
  }
  return text;
}

MemoryUse memory_use() { return use; }
void set_memory_limit(std::size_t n_bytes) {
  use.total = n_bytes;
  use.most = use.used;
}

namespace {
std::deque<Where>& sites() {
  static std::deque<Where> all;
  return all;
}
}  // namespace

const void* site_of(Where where) {
  static std::map<std::pair<const char*, int>, const void*> known;
  const void*& site = known[{where.file, where.line}];
  if (site == nullptr) {
    sites().push_back(where);
    site = &sites().back();
  }
  return site;
}

Where where_of(const void* site) {
  for (const Where& where : sites()) {
    if (&where == site) return where;
  }
  return {nullptr, 0};
}

}  // namespace gpurec::simt::emulator
