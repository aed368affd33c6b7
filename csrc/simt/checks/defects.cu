// Kernels with one defect each, for the tests of the emulator alone: no device module has them. `mode` 0 is right.
#include "gpurec/portable_std.hpp"
#include "simt/simt.hpp"

namespace gpurec::simt::checks {

struct DefectParams {
  std::int64_t mode;  // 0: right; 1, 2, ...: wrong in that way
  std::int64_t n;
  std::uint32_t* out;       // (n) and more where the test says so
  const std::uint32_t* in;  // (n)
  std::uint32_t* counter;   // (4) zero
};

// Out: the block's values in reverse order, by way of shared memory.
GPUREC_KERNEL(defect_barrier, DefectParams, 256) {
  SharedMemory shared;
  std::uint32_t* const values = shared.take<std::uint32_t>(block_threads());
  const int i = thread_index();
  values[i] = p.in[i];
  if (p.mode == 0) sync_block();
  if (p.mode == 2 && i < 32) sync_block();                // only one warp waits
  if (p.mode == 3) i < 32 ? sync_block() : sync_warp();   // the others wait elsewhere
  if (p.mode == 4) {                                      // two barriers where one is meant
    if (i < 32) {
      sync_block();
    } else {
      sync_block();
    }
  }
  p.out[i] = values[block_threads() - 1 - i];
}

// Out: every lane has the sum of its warp.
GPUREC_KERNEL(defect_shuffle, DefectParams, 64) {
  const int i = thread_index();
  std::uint32_t sum = p.in[i];
  for (int half = kWarp / 2; half > 0; half /= 2) {
    if (p.mode == 1) {
      sum += shfl_xor(sum, half, 0x0000ffffu);  // half of the lanes are not named
    } else if (p.mode == 2) {
      sum += shfl_xor(sum, half, lane_index() < 16 ? 0x0000ffffu : 0xffff0000u);  // each half by itself
    } else if (p.mode == 3) {
      if (lane_index() != 3) sum += shfl_xor(sum, half);  // in a branch that one lane does not take
    } else if (p.mode == 4) {
      if (lane_index() < 16) {
        sum += shfl_xor(sum, half);
      } else {
        sum += ballot(true);  // lanes of one warp in different words
      }
    } else {
      sum += shfl_xor(sum, half);
    }
  }
  p.out[i] = sum;
}

// Out: lane 0's values, handed to the other lanes by way of shared memory.
GPUREC_KERNEL(defect_warp, DefectParams, 32) {
  SharedMemory shared;
  std::uint32_t* const values = shared.take<std::uint32_t>(kWarp);
  if (lane_index() == 0) {
    for (int i = 0; i < (p.mode == 2 ? kWarp - 1 : kWarp); ++i) values[i] = p.in[i];  // 2: the last is never written
  }
  if (p.mode != 1) sync_warp();
  p.out[lane_index()] = values[lane_index()];
}

// Out: `n` ones, by several blocks, and how many blocks wrote.
GPUREC_KERNEL(defect_blocks, DefectParams, 32) {
  const std::int64_t i = std::int64_t(block_index()) * kWarp + lane_index();
  if (p.mode == 1 ? i <= p.n : p.mode == 2 ? i < p.n + 200 : i < p.n) p.out[i] = 1;  // 1, 2: past the end
  if (p.mode == 3) p.out[i / 2] = std::uint32_t(i);                                  // two threads write each
  if (p.mode == 5 && p.in[kWarp + 1] == 7) return;                                   // reads past the end
  if (p.mode == 6 && *reinterpret_cast<const std::uint32_t*>(p.n + 8) == 7) return;  // `n` is an address of the host's
  if (lane_index() != 0) return;
  if (p.mode == 4) {
    p.counter[0] = p.counter[0] + 1;  // updates of other blocks are lost
  } else {
    atomic_add(&p.counter[0], 1);
  }
}

// Out[0]: the sum of what all blocks wrote, by the one that comes last.
GPUREC_KERNEL(defect_last_block, DefectParams, 32) {
  SharedMemory shared;
  std::uint32_t* const is_last = shared.take<std::uint32_t>(1);
  p.out[1 + block_index() * kWarp + lane_index()] = p.in[lane_index()];
  sync_warp();
  if (lane_index() == 0) {
    if (p.mode != 1) fence_device();
    is_last[0] = atomic_add(&p.counter[0], 1) + 1 == std::uint32_t(grid_blocks()) ? 1 : 0;
    if (p.mode != 2) fence_device();
  }
  sync_warp();
  if (is_last[0] == 0) return;
  std::uint32_t sum = 0;
  for (int b = 0; b < grid_blocks(); ++b) sum += p.out[1 + b * kWarp + lane_index()];
  for (int half = kWarp / 2; half > 0; half /= 2) sum += shfl_xor(sum, half);
  if (lane_index() == 0) p.out[0] = sum;
}

// Out: the input, copied to shared memory asynchronously.
GPUREC_KERNEL(defect_copy, DefectParams, 32) {
  SharedMemory shared;
  std::uint32_t* const values = shared.take<std::uint32_t>(4 * kWarp);
  cp_async16(values + lane_index() * 4, p.in + lane_index() * 4 + (p.mode == 5 ? 1 : 0));  // 5: not at a multiple of 16
  cp_async_commit();
  if (p.mode == 1) {
    cp_async_wait<1>();  // lets the one group that there is pend
  } else if (p.mode != 2) {
    cp_async_wait<0>();
  }
  if (p.mode != 3) sync_warp();
  for (int i = 0; i < 4; ++i) p.out[lane_index() * 4 + i] = values[(lane_index() * 4 + i + 64) % 128];
  if (p.mode == 1) cp_async_wait<0>();
}

// Past the shared memory that the launch gave, and words for one kind of memory used on the other.
GPUREC_KERNEL(defect_shared, DefectParams, 32) {
  SharedMemory shared;
  std::uint32_t* const values = shared.take<std::uint32_t>(p.mode == 1 ? 2 * kWarp : kWarp);  // 1: more than there is
  values[lane_index() + (p.mode == 2 ? 1 : 0)] = p.in[lane_index()];                          // 2: one too far
  sync_warp();
  p.out[lane_index()] = p.mode == 3 ? ld_readonly(values + lane_index()) : values[lane_index()];
}

// Out: what lane 0 copied as a whole, as compilers copy structs, for all lanes.
GPUREC_KERNEL(defect_struct, DefectParams, 32) {
  struct Row {
    std::uint32_t values[kWarp];
  };
  SharedMemory shared;
  Row* const rows = shared.take<Row>(2);
  if (lane_index() == 0) {
    std::memcpy(rows, p.in, sizeof(Row));
    if (p.mode != 1) rows[1] = rows[0];
    if (p.mode == 1) std::memcpy(rows, rows + 1, sizeof(Row));  // of what nobody wrote
  }
  if (p.mode != 2) sync_warp();
  Row mine;
  std::memcpy(&mine, rows + 1, sizeof(Row));
  p.out[lane_index()] = mine.values[lane_index()];
}

// Not wrong but wasteful: one access of a warp whose sectors or wavefronts are known, by `mode`. Shared: 8192 bytes.
GPUREC_KERNEL(traffic, DefectParams, 32) {
  SharedMemory shared;
  std::uint32_t* const s = shared.take<std::uint32_t>(2048);
  const int i = thread_index();
  for (int k = i; k < 2048; k += kWarp) s[k] = 1;
  sync_block();
  std::uint32_t v = 0;
  switch (p.mode) {
    case 0: v = p.in[i]; break;
    case 1: v = p.in[i * 2]; break;
    case 2: v = p.in[i * 32]; break;
    case 3: v = p.in[i + 1]; break;
    case 4: v = ld_readonly_vec<uint4>(p.in + 4 * i).y; break;
    case 5: v = p.in[0]; break;
    case 6: v = i % 2 != 0 ? p.in[i * 32 + 7] : 0; break;
    case 7: v = ld_readonly(p.in + i); break;
    case 8: v = s[i]; break;
    case 9: v = s[i * 2]; break;
    case 10: v = s[i * 32]; break;
    case 11: v = s[i * 33]; break;
    case 12: v = s[5]; break;
    case 13: v = ld_vec<uint4>(s + 4 * i).z; break;
    case 14: v = ld_vec<uint4>(s + 32 * i).z; break;
    default: break;
  }
  p.out[i] = v;
}

// Waits for ever: lane 0 of each warp at the barrier, the others for it at the warp's.
GPUREC_KERNEL(defect_deadlock, DefectParams, 64) {
  if (p.mode == 1 && lane_index() != 0) sync_warp();
  if (p.mode == 2) {
    if (lane_index() != 0) sync_warp();
    return;
  }
  sync_block();
}

}  // namespace gpurec::simt::checks
