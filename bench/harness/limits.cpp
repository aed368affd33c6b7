// What the machine can do at most: multiply-adds out of registers, of float32, bfloat16 and bytes, and reading an array.
// Built at run time by limits.py and called through ctypes. x86-64 with AVX2 or AVX-512; docs: bench/README.md.
#include <immintrin.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Multiply-adds in flight: two ports with a latency of four cycles need eight; more hide the loop.
constexpr int kChains = 12;
constexpr std::int64_t kSteps = 20000;

__attribute__((target("avx512f"))) double multiply_add_avx512() {
  __m512 sum[kChains];
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_ps(float(c));
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_fmadd_ps(sum[c], a, b);
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] = _mm512_add_ps(sum[0], sum[c]);
  volatile float sink = _mm512_cvtss_f32(sum[0]);
  (void)sink;
  return 2.0 * 16 * kChains * kSteps;
}

__attribute__((target("avx2,fma"))) double multiply_add_avx2() {
  __m256 sum[kChains];
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_set1_ps(float(c));
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_fmadd_ps(sum[c], a, b);
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] = _mm256_add_ps(sum[0], sum[c]);
  volatile float sink = _mm256_cvtss_f32(sum[0]);
  (void)sink;
  return 2.0 * 8 * kChains * kSteps;
}

// Of bfloat16, two to an element.
__attribute__((target("avx512f,avx512bf16"))) double multiply_add_bf16_avx512() {
  __m512 sum[kChains];
  const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80), b = (__m512bh)_mm512_set1_epi32(0x3a833a83);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_ps(float(c));
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], a, b);
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] = _mm512_add_ps(sum[0], sum[c]);
  volatile float sink = _mm512_cvtss_f32(sum[0]);
  (void)sink;
  return 32.0 * kChains * kSteps;
}

// Sums in vectors of integers: gcc 12 keeps an __m512i that it reads both as it is and as 16 integers twice, and spills.
using Int16 = int __attribute__((vector_size(64)));
using Int8 = int __attribute__((vector_size(32)));

// Multiply-adds of bytes, four to an element of 32 bits. Returns how many.
__attribute__((target("avx512f,avx512vnni"))) double multiply_add_i8_avx512vnni() {
  Int16 sum[kChains];
  const __m512i a = _mm512_set1_epi32(0x01020304), b = _mm512_set1_epi32(0x04030201);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = Int16{} + (c + 1);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = Int16(_mm512_dpbusd_epi32(__m512i(sum[c]), a, b));
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] ^= sum[c];
  volatile int sink = sum[0][0];
  (void)sink;
  return 64.0 * kChains * kSteps;
}

__attribute__((target("avx2,avxvnni"))) double multiply_add_i8_avxvnni() {
  Int8 sum[kChains];
  const __m256i a = _mm256_set1_epi32(0x01020304), b = _mm256_set1_epi32(0x04030201);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = Int8{} + (c + 1);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = Int8(_mm256_dpbusd_avx_epi32(__m256i(sum[c]), a, b));
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] ^= sum[c];
  volatile int sink = sum[0][0];
  (void)sink;
  return 32.0 * kChains * kSteps;
}

// Without such an instruction: bytes in 16 bits, their products added in pairs, then to the sum.
__attribute__((target("avx2"))) double multiply_add_i8_avx2() {
  Int8 sum[kChains];
  const __m256i b = _mm256_set1_epi16(3);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = Int8{} + (c + 1);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      const __m256i products = _mm256_madd_epi16(__m256i(sum[c]), b);
      sum[c] = Int8(_mm256_add_epi32(__m256i(sum[c]), products));
    }
  }
#pragma GCC unroll 12
  for (int c = 1; c < kChains; ++c) sum[0] ^= sum[c];
  volatile int sink = sum[0][0];
  (void)sink;
  return 16.0 * kChains * kSteps;
}

// Reads n_streams equal pieces side by side, a cache line of each in turn: one stream alone may leave the
// prefetcher short of requests. Returns the bytes read.
__attribute__((target("avx512f"))) double read_avx512(const char* data, std::size_t n_bytes, int n_streams) {
  const std::size_t piece = n_bytes / std::size_t(n_streams) / 256 * 256;
  __m512i x[4] = {};
  for (std::size_t at = 0; at < piece; at += 256) {
    for (int s = 0; s < n_streams; ++s) {
      const char* p = data + std::size_t(s) * piece + at;
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) x[v] = _mm512_xor_si512(x[v], _mm512_loadu_si512(p + 64 * v));
    }
  }
  volatile long long sink =
      _mm512_reduce_add_epi64(_mm512_xor_si512(_mm512_xor_si512(x[0], x[1]), _mm512_xor_si512(x[2], x[3])));
  (void)sink;
  return double(piece) * n_streams;
}

__attribute__((target("avx2"))) double read_avx2(const char* data, std::size_t n_bytes, int n_streams) {
  const std::size_t piece = n_bytes / std::size_t(n_streams) / 256 * 256;
  __m256i x[8] = {};
  for (std::size_t at = 0; at < piece; at += 256) {
    for (int s = 0; s < n_streams; ++s) {
      const char* p = data + std::size_t(s) * piece + at;
#pragma GCC unroll 8
      for (int v = 0; v < 8; ++v) {
        x[v] = _mm256_xor_si256(x[v], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * v)));
      }
    }
  }
  for (int v = 1; v < 8; ++v) x[0] = _mm256_xor_si256(x[0], x[v]);
  volatile long long sink = _mm256_extract_epi64(x[0], 0);
  (void)sink;
  return double(piece) * n_streams;
}

// Fills n_bytes past the caches, so that nothing is read first. Returns the bytes written.
__attribute__((target("avx512f"))) double write_avx512(char* data, std::size_t n_bytes) {
  for (std::size_t at = 0; at < n_bytes; at += 64) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(data + at), _mm512_setzero_si512());
  }
  _mm_sfence();
  return double(n_bytes);
}

__attribute__((target("avx2"))) double write_avx2(char* data, std::size_t n_bytes) {
  for (std::size_t at = 0; at < n_bytes; at += 32) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(data + at), _mm256_setzero_si256());
  }
  _mm_sfence();
  return double(n_bytes);
}

// Work per second of all threads together: each repeats `work` until `seconds` have passed since all began.
double rate(int n_threads, double seconds, const std::function<double(int)>& work) {
  std::atomic<int> ready{0};
  std::vector<double> rates(std::size_t(n_threads), 0.0);
  std::vector<std::thread> threads;
  for (int t = 0; t < n_threads; ++t) {
    threads.emplace_back([&, t] {
      work(t);  // caches and clock warm
      ++ready;
      while (ready.load() < n_threads) _mm_pause();
      const Clock::time_point start = Clock::now();
      double done = 0.0, passed = 0.0;
      do {
        done += work(t);
        passed = seconds_since(start);
      } while (passed < seconds);
      rates[std::size_t(t)] = done / passed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  double sum = 0.0;
  for (double r : rates) sum += r;
  return sum;
}

}  // namespace

extern "C" {

// Widest vectors of this processor in bits: 512, 256, or 0 where there is neither.
int limits_vector_bits() {
  if (__builtin_cpu_supports("avx512f")) return 512;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 256 : 0;
}

// Floating-point operations per second, a multiply-add counting as two.
double limits_multiply_add(int n_threads, double seconds) {
  const bool wide = limits_vector_bits() == 512;
  return rate(n_threads, seconds, [=](int) { return wide ? multiply_add_avx512() : multiply_add_avx2(); });
}

// Multiply-adds of bytes per second, by the instructions of the int8 tile that an ISA has (csrc/cpu/dispatch.cpp tells
// which); 0 where they are missing.
double limits_multiply_add_i8(const char* isa, int n_threads, double seconds) {
  const std::string name = isa;
  if ((name == "avx512vnni" || name == "avx512bf16") && __builtin_cpu_supports("avx512vnni")) {
    return rate(n_threads, seconds, [](int) { return multiply_add_i8_avx512vnni(); });
  }
  if (name == "avxvnni" && __builtin_cpu_supports("avxvnni")) {
    return rate(n_threads, seconds, [](int) { return multiply_add_i8_avxvnni(); });
  }
  if ((name == "avx2" || name == "avx512") && __builtin_cpu_supports("avx2")) {
    return rate(n_threads, seconds, [](int) { return multiply_add_i8_avx2(); });
  }
  return 0.0;
}

// Multiply-adds of bfloat16 per second; 0 where they are missing.
double limits_multiply_add_bf16(int n_threads, double seconds) {
  if (!__builtin_cpu_supports("avx512bf16")) return 0.0;
  return rate(n_threads, seconds, [](int) { return multiply_add_bf16_avx512(); });
}

// Bytes per second that threads read together, each its own share of the array, again and again.
double limits_read(const char* data, std::size_t n_bytes, int n_threads, int n_streams, double seconds) {
  const bool wide = limits_vector_bits() == 512;
  const std::size_t share = n_bytes / std::size_t(n_threads) / 64 * 64;
  return rate(n_threads, seconds, [=](int t) {
    const char* begin = data + std::size_t(t) * share;
    return wide ? read_avx512(begin, share, n_streams) : read_avx2(begin, share, n_streams);
  });
}

// Bytes per second that threads write together, each its own share of the array, again and again.
double limits_write(char* data, std::size_t n_bytes, int n_threads, double seconds) {
  const bool wide = limits_vector_bits() == 512;
  char* const aligned = data + (64 - reinterpret_cast<std::uintptr_t>(data) % 64) % 64;
  const std::size_t share = (n_bytes - 64) / std::size_t(n_threads) / 64 * 64;
  return rate(n_threads, seconds, [=](int t) {
    char* begin = aligned + std::size_t(t) * share;
    return wide ? write_avx512(begin, share) : write_avx2(begin, share);
  });
}

}  // extern "C"
