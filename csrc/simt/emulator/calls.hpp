// What the words ask of the emulator. Kernels see this and nothing else of it.
#pragma once
#include <cstdint>

#define GPUREC_ALWAYS_INLINE inline __attribute__((always_inline))

namespace gpurec::simt::emulator {

// Where a kernel called a word, for reports.
struct Where {
  const char* file;
  int line;
};

// The thread that runs, as kernels may know it.
struct Identity {
  int index;
  int block_threads;
  int block_index[3];
  int grid[3];
  unsigned char* shared;
  unsigned char* shared_end;
};
extern Identity* current;

enum class Meeting { warp, shuffle, ballot, any, all, mma };
enum class Space { any, global, shared };
// A pending write has begun: whoever reads before the write itself reads nothing.
enum class Access { read, write, pending_write, atomic, relaxed_read, relaxed_write };

// Waits for all threads of the block; of how many `v` was true.
int meet_block(bool v, Where where);
// Waits for the lanes of the mask.
void meet_warp(std::uint32_t mask, Where where);
std::uint64_t shuffle(std::uint64_t bits, std::uint32_t mask, int source, Where where);
std::uint32_t vote(bool v, std::uint32_t mask, Meeting kind, Where where);
void mma_i8(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b, Where where);
void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where);
void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where);

void fence();
// Another thread may run before an atomic; the traced build hears of it.
void before_atomic(const void* p, int n_bytes, Access access, Where where);

// A copy happens when it is waited for; what it will overwrite is poisoned at once. A null source writes zeros.
void start_copy(void* shared, const void* global, Where where);
void commit_copies();
void wait_for_copies(int pending, Where where);

// These end the launch.
[[noreturn]] void bad_address(const void* p, int n_bytes, Space space, Where where);
[[noreturn]] void too_little_shared(const unsigned char* end, Where where);

inline bool is_shared(const void* p) { return p >= current->shared && p < current->shared_end; }
// An address must be a multiple of the size and lie in the space that the word is for.
GPUREC_ALWAYS_INLINE void check_address(const void* p, int n_bytes, Space space, Where where) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(p) % std::uintptr_t(n_bytes) == 0;
  if (__builtin_expect(!aligned || (space != Space::any && is_shared(p) != (space == Space::shared)), 0)) {
    bad_address(p, n_bytes, space, where);
  }
}

// The change itself, unseen by the hooks of a traced build: `before_atomic` has told them.
template <class T, class Change>
__attribute__((no_sanitize("thread"), noinline)) T untraced_change(T* p, Change change) {
  const T old = *p;
  *p = change(old);
  return old;
}

}  // namespace gpurec::simt::emulator
