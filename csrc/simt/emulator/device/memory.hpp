// Device memory of the emulator: allocations with watched bytes around them, and who has written what.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../calls.hpp"

namespace gpurec::simt::emulator {

struct Allocation {
  unsigned char* begin = nullptr;
  std::size_t n_bytes = 0;
  bool pinned = false;  // host memory that kernels may read
  // A traced build: words of 4 bytes that have been written, by a copy or a kernel.
  std::vector<bool> written;
};

constexpr std::size_t kMargin = 256;  // watched bytes on each side

// Throws std::bad_alloc where the device's memory is at its end.
void* allocate(std::size_t n_bytes, bool pinned);
// False where it is no allocation's beginning.
bool release(void* p);
// The allocation in which an address or its margin lies; null: none.
Allocation* allocation_near(const void* p);
// Whether [p, p + n_bytes) lies in one allocation.
bool lies_within(const void* p, std::size_t n_bytes);
void mark_written(const void* p, std::size_t n_bytes);
// What was written outside of allocations since it was last asked; empty: nothing.
std::string damage();

struct MemoryUse {
  std::size_t total;
  std::size_t used;
  std::size_t most;  // since it was last set
  std::uint64_t allocations;
};
MemoryUse memory_use();
void set_memory_limit(std::size_t n_bytes);

// A program counter for a call of a word: the reports turn it into a file and a line.
const void* site_of(Where where);
// The call that a program counter of `site_of` stands for; a null file: it is a real one.
Where where_of(const void* site);

}  // namespace gpurec::simt::emulator
