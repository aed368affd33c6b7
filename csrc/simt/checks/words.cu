// Kernel `check_words`: every word once, on values from which the answers are known. Every runtime has it, so that the
// emulator and a device can be held against each other.
//
// One warp of a block of 64; `in` holds 1024 words, `out` 2560, of which section s begins at 64 s. Shared: 2304 bytes.
#include "simt/simt.hpp"

namespace gpurec::simt::checks {

struct WordsParams {
  const std::uint32_t* in;
  std::uint32_t* out;
  std::uint64_t* wide;     // (4) for atomics of 8 bytes
  std::uint32_t* counter;  // (4)
};

GPUREC_KERNEL(check_words, WordsParams, 64, 1) {
  SharedMemory shared;
  std::uint32_t* const values = shared.take<std::uint32_t>(512);
  std::uint32_t* const counts = shared.take<std::uint32_t>(64);
  const int i = thread_index(), lane = lane_index();
  const std::uint32_t v = ld_readonly(p.in + i);
  const auto out = [&](int section, std::uint32_t value) { p.out[section * 64 + i] = value; };

  out(0, std::uint32_t(i + 1000 * lane + 100000 * warp_index() + 1000000 * block_index() + 10000000 * block_threads()));
  out(1, shfl(v, 5));
  out(2, shfl(v, (lane + 3) % kWarp));
  out(3, shfl_xor(v, 7));
  out(4, shfl_up(v, 2));
  out(5, shfl_down(v, 2));
  out(6, ballot((v & 1) != 0));
  out(7, std::uint32_t(any(v == 0xffffffffu)) + 2 * std::uint32_t(all(v != 0xffffffffu)));
  out(8, std::uint32_t(shfl(std::uint64_t(v) << 32 | v, 9) >> 32));
  out(9, bits_of(shfl(float(v & 255), 4)));
  if (lane < 16) out(10, ballot((v & 2) != 0, 0x0000ffffu));

  counts[i] = 0;
  values[i] = v;
  sync_block();
  out(11, values[63 - i]);
  atomic_add(&counts[0], v & 15);
  atomic_max(&counts[1], v);
  atomic_or(&counts[2], 1u << lane);
  atomic_add(&p.wide[0], std::uint64_t(v));
  atomic_max(&p.wide[1], std::uint64_t(v) << 20);
  atomic_min(&p.counter[0], v);
  if (i == 7) out(12, atomic_exchange(&p.counter[1], 77));
  if (i == 8) out(12, atomic_cas(&p.counter[2], 5, 6));
  sync_block();
  out(13, counts[i % 3]);
  out(14, std::uint32_t(sync_block_count((v & 1) != 0)));
  out(15, std::uint32_t(sync_block_or(i == 63)) + 2 * std::uint32_t(sync_block_and(i != 63)));

  // Copies: 16 bytes a thread, the last quarter zeros.
  cp_async16(values + 4 * i, p.in + 4 * i, i < 48);
  cp_async_commit();
  cp_async16(values + 256 + 4 * i, p.in + 256 + 4 * i);
  cp_async_commit();
  cp_async_wait<1>();
  sync_block();
  out(16, values[255 - i] + values[i]);
  cp_async_wait<0>();
  sync_block();
  const uint4 four = ld_vec<uint4>(values + 256 + 4 * (63 - i));
  st_vec(p.out + 17 * 64 + 4 * i, ld_readonly_vec<uint4>(p.in + 4 * i));           // sections 17 .. 20
  st_vec(p.out + 21 * 64 + 4 * i, ld_streaming_vec<uint4>(p.in + 512 + 4 * i));    // sections 21 .. 24
  st_vec(p.out + 25 * 64 + 4 * i, four);                                           // sections 25 .. 28

  out(29, std::uint32_t(popcount(v) + 100 * (lowest_bit(v) + 1) + 10000 * leading_zeros(v)));
  const std::uint64_t both = std::uint64_t(v) << 32;
  out(30, std::uint32_t(popcount(both) + 100 * (lowest_bit(both) + 1) + 10000 * leading_zeros(both)));
  out(31, std::uint32_t(dot4(v, p.in[i + 64], 3)));

  // Tiles: fragments are taken from rows of 8 words, a from in[0 .. 127], b from in[128 .. 191].
  const int g = lane / 4, t = lane % 4;
  const std::uint32_t a[4] = {p.in[g * 8 + t], p.in[(g + 8) * 8 + t], p.in[g * 8 + t + 4], p.in[(g + 8) * 8 + t + 4]};
  const std::uint32_t b[2] = {p.in[128 + g * 8 + t], p.in[128 + g * 8 + t + 4]};
  std::int32_t sums[4] = {1, 2, 3, 4};
  mma_i8(sums, a, b);
  if (warp_index() == 0) {
    for (int s = 0; s < 4; ++s) p.out[32 * 64 + (g + s / 2 * 8) * 8 + 2 * t + s % 2] = std::uint32_t(sums[s]);  // 128 words
  }
#if GPUREC_FLOAT_MMA
  // Small whole numbers, so that every order of summing is exact: bytes of the input as bfloat16 and as tf32.
  const auto small = [&](std::uint32_t word, int byte) { return bits_of(float(std::int8_t(word >> 8 * byte) / 16)); };
  const auto pair = [&](std::uint32_t word) { return small(word, 0) >> 16 | (small(word, 1) & 0xffff0000u); };
  float narrow[4] = {1.0f, 2.0f, 3.0f, 4.0f}, single[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  const std::uint32_t narrow_a[4] = {pair(a[0]), pair(a[1]), pair(a[2]), pair(a[3])}, narrow_b[2] = {pair(b[0]), pair(b[1])};
  const std::uint32_t single_a[4] = {small(a[0], 0), small(a[1], 0), small(a[2], 0), small(a[3], 0)};
  const std::uint32_t single_b[2] = {small(b[0], 0), small(b[1], 0)};
  mma_bf16(narrow, narrow_a, narrow_b);
  mma_tf32(single, single_a, single_b);
  if (warp_index() == 0) {
    for (int s = 0; s < 4; ++s) {
      const int at = (g + s / 2 * 8) * 8 + 2 * t + s % 2;
      p.out[34 * 64 + at] = bits_of(narrow[s]);
      p.out[36 * 64 + at] = bits_of(single[s]);
    }
  }
#endif
}

}  // namespace gpurec::simt::checks
