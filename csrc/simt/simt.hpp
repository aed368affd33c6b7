// The words that kernels are written in. nvcc and NVRTC take them from device_words.hpp, g++ from the emulator; a kernel
// that uses nothing else is the same file for all three. README.md lists them.
//
//   GPUREC_KERNEL(quantise_tiles, TableParams, 256) {   // at most 256 threads; a fourth figure: least resident blocks
//     ... p.rows ...                                    // `p` is the parameter struct, by value, read only
//   }
//
// defines a kernel that is launched by its name, with one struct from params.hpp. Blocks are one-dimensional, grids have
// up to three dimensions. All shared memory is dynamic and handed out by SharedMemory.
#pragma once
#include "gpurec/portable_std.hpp"

namespace gpurec::simt {

constexpr int kWarp = 32;
constexpr std::uint32_t kAllLanes = 0xffffffffu;

// What a parameter's type follows from another's.
template <class T>
struct Same {
  using Type = T;
};

}  // namespace gpurec::simt

#ifdef __CUDACC__
#include "device_words.hpp"
#else
#include "emulator/words.hpp"
#endif

namespace gpurec::simt {

constexpr GPUREC_HD std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Bytes of shared memory that a piece takes.
template <class T>
constexpr GPUREC_HD std::int64_t shared_bytes(std::int64_t n) {
  return round_up(n * std::int64_t(sizeof(T)), 16);
}

// Hands out the block's dynamic shared memory in pieces that begin at multiples of 16 bytes. All threads of a block ask
// for the same pieces; the host adds up the same sizes, each rounded up to 16 bytes.
class SharedMemory {
 public:
  GPUREC_DEVICE SharedMemory() : next_(dynamic_shared()) {}

  template <class T>
  GPUREC_DEVICE T* take(std::int64_t n) {
    T* const piece = reinterpret_cast<T*>(next_);
    next_ += shared_bytes<T>(n);
    check_shared_end(next_);
    return piece;
  }

 private:
  unsigned char* next_;
};

}  // namespace gpurec::simt
