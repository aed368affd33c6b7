// Memory on huge pages where the system has them, and a zeroed float array in it: panels are read end to end by every
// search.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gpurec::cpu {

// For std::free. Begins at a huge page where it fills one, else at a cache line, and ends at one: `bytes` is rounded up.
inline void* allocate_aligned(std::size_t& bytes) {
  constexpr std::size_t kHugePage = std::size_t(2) << 20;
  const std::size_t align = bytes >= kHugePage ? kHugePage : 64;
  bytes = (bytes + align - 1) / align * align;
  void* const memory = std::aligned_alloc(align, bytes);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (align == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: ordinary pages work too
#endif
  return memory;
}

class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(std::int64_t n) {
    const std::size_t bytes = allocate(n);
    if (n > 0) std::memset(data(), 0, bytes);
  }
  // Whatever stands there: threads that write all of it share its pages too.
  static AlignedFloats unset(std::int64_t n) {
    AlignedFloats floats;
    floats.allocate(n);
    return floats;
  }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::size_t allocate(std::int64_t n) {
    size_ = n;
    if (n == 0) return 0;
    std::size_t bytes = std::size_t(n) * sizeof(float);
    data_.reset(static_cast<float*>(allocate_aligned(bytes)));
    return bytes;
  }

  std::unique_ptr<float[], Free> data_;
  std::int64_t size_ = 0;
};

}  // namespace gpurec::cpu
