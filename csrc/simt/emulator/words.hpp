// The words of simt.hpp on the emulator: thin, so that all that runs threads lies in files of its own, which a traced
// build does not instrument. Included by simt.hpp alone.
#pragma once
#include "simt/kernel_table.hpp"
#include "calls.hpp"

#define GPUREC_EMULATED 1
#define GPUREC_DEVICE inline
#define GPUREC_UNROLL
#define GPUREC_NO_UNROLL
#define GPUREC_FLOAT_MMA 1

#define GPUREC_KERNEL(name, Params, ...)                                                                   \
  static void name##_body(const Params& p);                                                                \
  static void name##_run(const void* params) { name##_body(*static_cast<const Params*>(params)); }         \
  static const ::gpurec::simt::KernelEntry name##_entry(#name, sizeof(Params), nullptr, name##_run, __VA_ARGS__); \
  static void name##_body(const Params& p)

// Where a kernel called a word.
#define GPUREC_HERE ::gpurec::simt::emulator::Where where = {__builtin_FILE(), __builtin_LINE()}

namespace gpurec::simt {

struct alignas(8) uint2 {
  std::uint32_t x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) int4 {
  std::int32_t x, y, z, w;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};

inline int thread_index() { return emulator::current->index; }
inline int block_threads() { return emulator::current->block_threads; }
inline int lane_index() { return emulator::current->index % kWarp; }
inline int warp_index() { return emulator::current->index / kWarp; }
inline int block_index() { return emulator::current->block_index[0]; }
inline int block_index_y() { return emulator::current->block_index[1]; }
inline int block_index_z() { return emulator::current->block_index[2]; }
inline int grid_blocks() { return emulator::current->grid[0]; }
inline int grid_blocks_y() { return emulator::current->grid[1]; }
inline int grid_blocks_z() { return emulator::current->grid[2]; }

inline unsigned char* dynamic_shared() { return emulator::current->shared; }
inline void check_shared_end(const unsigned char* end, GPUREC_HERE) {
  if (end > emulator::current->shared_end) emulator::too_little_shared(end, where);
}

inline void sync_block(GPUREC_HERE) { emulator::meet_block(false, where); }
inline bool sync_block_or(bool v, GPUREC_HERE) { return emulator::meet_block(v, where) > 0; }
inline bool sync_block_and(bool v, GPUREC_HERE) { return emulator::meet_block(!v, where) == 0; }
inline int sync_block_count(bool v, GPUREC_HERE) { return emulator::meet_block(v, where); }
inline void sync_warp(std::uint32_t mask = kAllLanes, GPUREC_HERE) { emulator::meet_warp(mask, where); }
inline void fence_block() {}
inline void fence_device() { emulator::fence(); }

namespace emulator {
template <class T>
T shuffled(T v, std::uint32_t mask, int source, Where where) {
  static_assert(sizeof(T) <= 8, "shuffles are of at most 8 bytes");
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &v, sizeof v);
  bits = shuffle(bits, mask, source, where);
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
}  // namespace emulator

template <class T>
T shfl(T v, int source, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  return emulator::shuffled(v, mask, source & (kWarp - 1), where);
}
template <class T>
T shfl_xor(T v, int lanes, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  return emulator::shuffled(v, mask, (lane_index() ^ lanes) & (kWarp - 1), where);
}
template <class T>
T shfl_up(T v, int lanes, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  const int source = lane_index() - lanes;
  return emulator::shuffled(v, mask, source >= 0 ? source : lane_index(), where);
}
template <class T>
T shfl_down(T v, int lanes, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  const int source = lane_index() + lanes;
  return emulator::shuffled(v, mask, source < kWarp ? source : lane_index(), where);
}
inline std::uint32_t ballot(bool v, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  return emulator::vote(v, mask, emulator::Meeting::ballot, where);
}
inline bool any(bool v, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  return emulator::vote(v, mask, emulator::Meeting::any, where) != 0;
}
inline bool all(bool v, std::uint32_t mask = kAllLanes, GPUREC_HERE) {
  return emulator::vote(v, mask, emulator::Meeting::all, where) == mask;
}

// Threads change only at words, so a plain read and write is an atomic one.
template <class T, class Change>
T atomically(T* p, Change change, emulator::Where where) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are on 4 or 8 bytes");
  emulator::before_atomic(p, sizeof(T), emulator::Access::atomic, where);
  return emulator::untraced_change(p, change);
}
template <class T>
T atomic_add(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  return atomically(p, [=](T old) { return T(old + v); }, where);
}
template <class T>
T atomic_max(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  return atomically(p, [=](T old) { return old < v ? v : old; }, where);
}
template <class T>
T atomic_min(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  return atomically(p, [=](T old) { return v < old ? v : old; }, where);
}
template <class T>
T atomic_or(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  return atomically(p, [=](T old) { return T(old | v); }, where);
}
template <class T>
T atomic_exchange(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  return atomically(p, [=](T) { return v; }, where);
}
template <class T>
T atomic_cas(T* p, typename Same<T>::Type expected, typename Same<T>::Type desired, GPUREC_HERE) {
  return atomically(p, [=](T old) { return old == expected ? desired : old; }, where);
}
template <class T>
T load_relaxed(const T* p, GPUREC_HERE) {
  emulator::before_atomic(p, sizeof(T), emulator::Access::relaxed_read, where);
  return emulator::untraced_change(const_cast<T*>(p), [](T old) { return old; });
}
template <class T>
void store_relaxed(T* p, typename Same<T>::Type v, GPUREC_HERE) {
  emulator::before_atomic(p, sizeof(T), emulator::Access::relaxed_write, where);
  emulator::untraced_change(p, [=](T) { return v; });
}

// Sixteen bytes are one access, as on the device; the compiler would split the copy of a struct.
namespace emulator {
typedef float Sixteen __attribute__((vector_size(16), may_alias));
template <class V>
GPUREC_ALWAYS_INLINE V load16(const void* p) {
  static_assert(sizeof(V) == 16, "vectors are of 16 bytes");
  const Sixteen v = *static_cast<const Sixteen*>(p);
  V result;
  __builtin_memcpy(&result, &v, sizeof result);
  return result;
}
}  // namespace emulator

template <class T>
GPUREC_ALWAYS_INLINE T ld_readonly(const T* p, GPUREC_HERE) {
  emulator::check_address(p, sizeof(T), emulator::Space::global, where);
  return *p;
}
template <class V>
GPUREC_ALWAYS_INLINE V ld_readonly_vec(const void* p, GPUREC_HERE) {
  emulator::check_address(p, 16, emulator::Space::global, where);
  return emulator::load16<V>(p);
}
template <class V>
GPUREC_ALWAYS_INLINE V ld_streaming_vec(const void* p, GPUREC_HERE) {
  emulator::check_address(p, 16, emulator::Space::global, where);
  return emulator::load16<V>(p);
}
template <class V>
GPUREC_ALWAYS_INLINE V ld_vec(const void* p, GPUREC_HERE) {
  emulator::check_address(p, 16, emulator::Space::any, where);
  return emulator::load16<V>(p);
}
template <class V>
GPUREC_ALWAYS_INLINE void st_vec(void* p, V v, GPUREC_HERE) {
  static_assert(sizeof(V) == 16, "vectors are of 16 bytes");
  emulator::check_address(p, 16, emulator::Space::any, where);
  emulator::Sixteen sixteen;
  __builtin_memcpy(&sixteen, &v, sizeof sixteen);
  *static_cast<emulator::Sixteen*>(p) = sixteen;
}

inline void cp_async16(void* shared, const void* global, bool valid = true, GPUREC_HERE) {
  emulator::start_copy(shared, valid ? global : nullptr, where);
}
inline void cp_async_commit() { emulator::commit_copies(); }
template <int pending>
void cp_async_wait(GPUREC_HERE) {
  emulator::wait_for_copies(pending, where);
}

inline int popcount(std::uint32_t v) { return __builtin_popcount(v); }
inline int popcount(std::uint64_t v) { return __builtin_popcountll(v); }
inline int lowest_bit(std::uint32_t v) { return __builtin_ffs(int(v)) - 1; }
inline int lowest_bit(std::uint64_t v) { return __builtin_ffsll(static_cast<long long>(v)) - 1; }
inline int leading_zeros(std::uint32_t v) { return v == 0 ? 32 : __builtin_clz(v); }
inline int leading_zeros(std::uint64_t v) { return v == 0 ? 64 : __builtin_clzll(v); }
inline int dot4(std::uint32_t a, std::uint32_t b, int sum) {
  std::uint32_t result = std::uint32_t(sum);
  for (int i = 0; i < 32; i += 8) result += std::uint32_t(int(std::int8_t(a >> i)) * int(std::int8_t(b >> i)));
  return int(result);
}
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline std::uint32_t bits_of(float v) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  return bits;
}
inline float float_of_bits(std::uint32_t bits) {
  float v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}

inline void mma_i8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], GPUREC_HERE) {
  emulator::mma_i8(d, a, b, where);
}
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], GPUREC_HERE) {
  emulator::mma_bf16(d, a, b, where);
}
inline void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], GPUREC_HERE) {
  emulator::mma_tf32(d, a, b, where);
}

}  // namespace gpurec::simt
