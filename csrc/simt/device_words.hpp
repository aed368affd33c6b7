// The words of simt.hpp as nvcc and NVRTC spell them. Included by simt.hpp alone.
#pragma once
#ifndef __CUDACC_RTC__
#include "kernel_table.hpp"
#endif

#define GPUREC_DEVICE __device__ __forceinline__
#define GPUREC_UNROLL _Pragma("unroll")
#define GPUREC_NO_UNROLL _Pragma("unroll 1")

// Under NVRTC the host finds a kernel in the compiled module by name, so there is no table.
#ifdef __CUDACC_RTC__
#define GPUREC_REGISTER_KERNEL(name, Params, ...)
#else
#define GPUREC_REGISTER_KERNEL(name, Params, ...)                                                                   \
  static const ::gpurec::simt::KernelEntry name##_entry(#name, sizeof(Params), reinterpret_cast<const void*>(&name), \
                                                        nullptr, __VA_ARGS__);
#endif
#define GPUREC_KERNEL(name, Params, ...)                                                           \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Params p); \
  GPUREC_REGISTER_KERNEL(name, Params, __VA_ARGS__)                                                 \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Params p)

// Instructions for float tiles exist from sm_80 on; a kernel that uses them is compiled where this is 1.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define GPUREC_FLOAT_MMA 1
#else
#define GPUREC_FLOAT_MMA 0
#endif

namespace gpurec::simt {

using ::float4;
using ::int4;
using ::uint2;
using ::uint4;

// --- Who am I ---
GPUREC_DEVICE int thread_index() { return int(threadIdx.x); }
GPUREC_DEVICE int block_threads() { return int(blockDim.x); }
GPUREC_DEVICE int lane_index() { return int(threadIdx.x % unsigned(kWarp)); }
GPUREC_DEVICE int warp_index() { return int(threadIdx.x / unsigned(kWarp)); }
GPUREC_DEVICE int block_index() { return int(blockIdx.x); }
GPUREC_DEVICE int block_index_y() { return int(blockIdx.y); }
GPUREC_DEVICE int block_index_z() { return int(blockIdx.z); }
GPUREC_DEVICE int grid_blocks() { return int(gridDim.x); }
GPUREC_DEVICE int grid_blocks_y() { return int(gridDim.y); }
GPUREC_DEVICE int grid_blocks_z() { return int(gridDim.z); }

// --- Shared memory ---
GPUREC_DEVICE unsigned char* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char gpurec_dynamic_shared[];
  return gpurec_dynamic_shared;
}
GPUREC_DEVICE void check_shared_end(const unsigned char*) {}

// --- Waiting for each other ---
GPUREC_DEVICE void sync_block() { __syncthreads(); }
GPUREC_DEVICE bool sync_block_or(bool v) { return __syncthreads_or(v) != 0; }
GPUREC_DEVICE bool sync_block_and(bool v) { return __syncthreads_and(v) != 0; }
GPUREC_DEVICE int sync_block_count(bool v) { return __syncthreads_count(v); }
GPUREC_DEVICE void sync_warp(std::uint32_t mask = kAllLanes) { __syncwarp(mask); }
GPUREC_DEVICE void fence_block() { __threadfence_block(); }
GPUREC_DEVICE void fence_device() { __threadfence(); }

// --- Between the lanes of a warp ---
// CUDA's shuffles know `unsigned long`, which std::uint64_t is, as they know the other numbers of 4 and 8 bytes.
template <class T>
GPUREC_DEVICE T shfl(T v, int source, std::uint32_t mask = kAllLanes) {
  return __shfl_sync(mask, v, source);
}
template <class T>
GPUREC_DEVICE T shfl_xor(T v, int lanes, std::uint32_t mask = kAllLanes) {
  return __shfl_xor_sync(mask, v, lanes);
}
template <class T>
GPUREC_DEVICE T shfl_up(T v, int lanes, std::uint32_t mask = kAllLanes) {
  return __shfl_up_sync(mask, v, lanes);
}
template <class T>
GPUREC_DEVICE T shfl_down(T v, int lanes, std::uint32_t mask = kAllLanes) {
  return __shfl_down_sync(mask, v, lanes);
}
GPUREC_DEVICE std::uint32_t ballot(bool v, std::uint32_t mask = kAllLanes) { return __ballot_sync(mask, v); }
GPUREC_DEVICE bool any(bool v, std::uint32_t mask = kAllLanes) { return __any_sync(mask, v) != 0; }
GPUREC_DEVICE bool all(bool v, std::uint32_t mask = kAllLanes) { return __all_sync(mask, v) != 0; }

// --- Atomics: relaxed, on numbers of 4 or 8 bytes, in global or shared memory; they return the old value ---
template <class T>
struct AtomicWord {  // the type of that size and sign that CUDA's functions take
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are on 4 or 8 bytes");
  static constexpr bool is_signed = T(-1) < T(0);
  using Narrow = std::conditional_t<is_signed, int, unsigned int>;
  using Wide = std::conditional_t<is_signed, long long, unsigned long long>;
  using Type = std::conditional_t<sizeof(T) == 4, Narrow, Wide>;
  using Bits = std::conditional_t<sizeof(T) == 4, unsigned int, unsigned long long>;
};
template <class T>
GPUREC_DEVICE T atomic_add(T* p, typename Same<T>::Type v) {
  using Bits = typename AtomicWord<T>::Bits;
  return T(atomicAdd(reinterpret_cast<Bits*>(p), Bits(v)));
}
template <class T>
GPUREC_DEVICE T atomic_max(T* p, typename Same<T>::Type v) {
  using Word = typename AtomicWord<T>::Type;
  return T(atomicMax(reinterpret_cast<Word*>(p), Word(v)));
}
template <class T>
GPUREC_DEVICE T atomic_min(T* p, typename Same<T>::Type v) {
  using Word = typename AtomicWord<T>::Type;
  return T(atomicMin(reinterpret_cast<Word*>(p), Word(v)));
}
template <class T>
GPUREC_DEVICE T atomic_or(T* p, typename Same<T>::Type v) {
  using Bits = typename AtomicWord<T>::Bits;
  return T(atomicOr(reinterpret_cast<Bits*>(p), Bits(v)));
}
template <class T>
GPUREC_DEVICE T atomic_exchange(T* p, typename Same<T>::Type v) {
  using Bits = typename AtomicWord<T>::Bits;
  return T(atomicExch(reinterpret_cast<Bits*>(p), Bits(v)));
}
template <class T>
GPUREC_DEVICE T atomic_cas(T* p, typename Same<T>::Type expected, typename Same<T>::Type desired) {
  using Bits = typename AtomicWord<T>::Bits;
  return T(atomicCAS(reinterpret_cast<Bits*>(p), Bits(expected), Bits(desired)));
}
// A value that other threads change with atomics meanwhile: never from a register or the first-level cache.
template <class T>
GPUREC_DEVICE T load_relaxed(const T* p) {
  return *static_cast<const volatile T*>(p);
}
template <class T>
GPUREC_DEVICE void store_relaxed(T* p, typename Same<T>::Type v) {
  *static_cast<volatile T*>(p) = v;
}

// --- Loads and stores ---
// Of global memory that nobody writes during the kernel.
template <class T>
GPUREC_DEVICE T ld_readonly(const T* p) {
  return __ldg(p);
}
// 16 bytes at a multiple of 16; V is float4, int4 or uint4.
template <class V>
GPUREC_DEVICE V ld_readonly_vec(const void* p) {
  return __ldg(static_cast<const V*>(p));
}
// The same for what is read once: it leaves the caches first.
template <class V>
GPUREC_DEVICE V ld_streaming_vec(const void* p) {
  return __ldcs(static_cast<const V*>(p));
}
// 16 bytes of shared memory, or of global memory that this kernel writes.
template <class V>
GPUREC_DEVICE V ld_vec(const void* p) {
  return *static_cast<const V*>(p);
}
template <class V>
GPUREC_DEVICE void st_vec(void* p, V v) {
  *static_cast<V*>(p) = v;
}

// --- 16 bytes from global to shared memory without a register in between ---
// They are there for the thread that copied after cp_async_wait, for others after a sync_block besides. Where `valid`
// is false zeros are written and nothing is read. On sm_75 the copy is done at once.
GPUREC_DEVICE void cp_async16(void* shared, const void* global, bool valid = true) {
#if __CUDA_ARCH__ >= 800
  const unsigned to = unsigned(__cvta_generic_to_shared(shared));
  const int n = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(global), "r"(n) : "memory");
#else
  *static_cast<uint4*>(shared) = valid ? *static_cast<const uint4*>(global) : uint4{0, 0, 0, 0};
#endif
}
GPUREC_DEVICE void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}
template <int pending>
GPUREC_DEVICE void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
#endif
}

// --- Arithmetic ---
GPUREC_DEVICE int popcount(std::uint32_t v) { return __popc(v); }
GPUREC_DEVICE int popcount(std::uint64_t v) { return __popcll(v); }
// Where the lowest set bit is; -1 where there is none.
GPUREC_DEVICE int lowest_bit(std::uint32_t v) { return __ffs(int(v)) - 1; }
GPUREC_DEVICE int lowest_bit(std::uint64_t v) { return __ffsll(static_cast<long long>(v)) - 1; }
GPUREC_DEVICE int leading_zeros(std::uint32_t v) { return __clz(int(v)); }
GPUREC_DEVICE int leading_zeros(std::uint64_t v) { return __clzll(static_cast<long long>(v)); }
// sum + four signed products of bytes.
GPUREC_DEVICE int dot4(std::uint32_t a, std::uint32_t b, int sum) { return __dp4a(int(a), int(b), sum); }
// a * b + c rounded once, for scans: everything else is rounded after each step (-fmad=false).
GPUREC_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }

GPUREC_DEVICE std::uint32_t bits_of(float v) { return __float_as_uint(v); }
GPUREC_DEVICE float float_of_bits(std::uint32_t v) { return __uint_as_float(v); }

// --- Tiles: d (16 x 8) += a (16 x k) b' (8 x k), rows of a and b beside each other in k; all 32 lanes together ---
// With g = lane / 4 and t = lane % 4:
//   d[0], d[1] = d(g, 2t), d(g, 2t + 1)       d[2], d[3] = the same of row g + 8
// mma_i8, k = 32, signed bytes, int32 sums modulo 2^32; word i of a row holds its bytes 4i .. 4i + 3:
//   a[0] = a(g, word t)   a[1] = a(g + 8, word t)   a[2] = a(g, word t + 4)   a[3] = a(g + 8, word t + 4)
//   b[0] = b(g, word t)   b[1] = b(g, word t + 4)
GPUREC_DEVICE void mma_i8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  GPUREC_UNROLL
  for (int i = 0; i < 4; ++i) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};\n"
                 : "+r"(d[i % 2 * 2]), "+r"(d[i % 2 * 2 + 1])
                 : "r"(a[i]), "r"(b[i / 2]));
  }
#endif
}

#if GPUREC_FLOAT_MMA
// k = 16; word i of a row holds its bfloat16 components 2i and 2i + 1, and fragments are those of mma_i8. How the sum is
// rounded is not stated by anybody; subnormal inputs and results may count as zero.
GPUREC_DEVICE void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// k = 8; word i of a row is its component i, a float32 of which the low 13 bits are not looked at.
GPUREC_DEVICE void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

}  // namespace gpurec::simt
