// Vectors on huge pages where the system has them, for entries that are read a few at a time from all over.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "table/aligned.hpp"

namespace gpurec::cpu {

// Leaves new elements as they are: they are about to be written.
template <class T>
struct HugePages {
  using value_type = T;
  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}

  T* allocate(std::size_t n) {
    if (n > (std::size_t(1) << 62) / sizeof(T)) throw std::bad_alloc();
    std::size_t bytes = n * sizeof(T);
    return static_cast<T*>(allocate_aligned(bytes));
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }

  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(place)) U;
    } else {
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
  }
  bool operator==(const HugePages&) const { return true; }
  bool operator!=(const HugePages&) const { return false; }
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

// Lists lie apart, so that a processor that reads one does not know where the next one begins.
template <class Entry>
inline void prefetch(const Entry* first, const Entry* last) {
  constexpr std::ptrdiff_t kPerLine = 64 / sizeof(Entry), kMostLines = 16;
  last = first + std::min(last - first, kMostLines * kPerLine);
  for (; first < last; first += kPerLine) __builtin_prefetch(first);
}

}  // namespace gpurec::cpu
