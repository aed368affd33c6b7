// Barriers, and what the lanes of a warp do together. Each is checked: who is named must come, and to the same word.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "machine.hpp"

namespace gpurec::simt::emulator {
namespace {

const char* name_of(Meeting kind) {
  switch (kind) {
    case Meeting::warp: return "sync_warp";
    case Meeting::shuffle: return "a shuffle";
    case Meeting::ballot: return "ballot";
    case Meeting::any: return "any";
    case Meeting::all: return "all";
    case Meeting::mma: return "a tile's multiplication";
  }
  return "";
}

std::string hexadecimal(std::uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

// Only sync_warp orders memory between lanes: each knows afterwards what the others had done.
void join_clocks(Block& block, int warp, std::uint32_t lanes) {
  std::uint32_t joined[kLanesOfWarp] = {};
  Thread* const first = &block.threads[std::size_t(warp * kLanesOfWarp)];
  for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
    const Thread& thread = first[__builtin_ctz(left)];
    for (int i = 0; i < kLanesOfWarp; ++i) joined[i] = std::max(joined[i], thread.clocks[i]);
  }
  for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
    Thread& thread = first[__builtin_ctz(left)];
    std::copy_n(joined, kLanesOfWarp, thread.clocks);
    ++thread.clocks[thread.lane];
  }
}

Rendezvous& find_meeting(Warp& warp, std::uint32_t mask, Meeting kind, Where where) {
  Rendezvous* unused = nullptr;
  for (const auto& meeting : warp.meetings) {
    if (!meeting->open) {
      if (meeting->leaving == 0) unused = meeting.get();
      continue;
    }
    if ((meeting->mask & mask) == 0) continue;
    if (meeting->kind != kind) {
      fail(std::string("lanes of one warp meet in different words: ") + name_of(kind) + " and, at " +
               text_of(meeting->where) + ", " + name_of(meeting->kind), where);
    }
    if (meeting->mask != mask) {
      fail(std::string(name_of(kind)) + ": masks of one warp overlap and differ: " + hexadecimal(mask) + " and " +
               hexadecimal(meeting->mask), where);
    }
    return *meeting;
  }
  if (unused == nullptr) {
    warp.meetings.push_back(std::make_unique<Rendezvous>());
    unused = warp.meetings.back().get();
  }
  unused->mask = mask;
  unused->arrived = 0;
  unused->kind = kind;
  unused->open = true;
  unused->where = where;
  return *unused;
}

// Lanes of the mask meet; what they brought can be read until this lane leaves.
Rendezvous& meet(std::uint32_t mask, Meeting kind, const void* words, std::size_t n_bytes, Where where) {
  Thread& me = running();
  Block& block = *me.block;
  Warp& warp = block.warps[std::size_t(me.warp)];
  if ((mask >> me.lane & 1) == 0) {
    fail(std::string(name_of(kind)) + ": lane " + std::to_string(me.lane) + " calls it but is not in its mask " +
             hexadecimal(mask), where);
  }
  if ((mask & ~warp.alive) != 0) {
    fail(std::string(name_of(kind)) + ": the mask " + hexadecimal(mask) + " names lanes that have ended or do not exist", where);
  }
  Rendezvous& meeting = find_meeting(warp, mask, kind, where);
  if (n_bytes != 0) std::memcpy(meeting.words[me.lane], words, n_bytes);
  meeting.arrived |= 1u << me.lane;
  ++me.n_meetings;
  me.state = State::at_warp;
  me.waits_in = name_of(kind);
  me.waits_at = where;
  if (meeting.arrived == mask) {
    ++counters.meetings;
    meeting.open = false;
    meeting.leaving = mask;
    if (kind == Meeting::warp) join_clocks(block, me.warp, mask);
    for (std::uint32_t left = mask; left != 0; left &= left - 1) {
      make_ready(block.threads[std::size_t(me.warp * kLanesOfWarp + __builtin_ctz(left))]);
    }
  }
  reschedule();
  return meeting;
}

void leave(Rendezvous& meeting) { meeting.leaving &= ~(1u << running().lane); }

template <class T>
T word(const Rendezvous& meeting, int lane, int i) {
  T value;
  std::memcpy(&value, &meeting.words[lane][i], sizeof value);
  return value;
}

// The fragments of device_words.hpp: word w of row r of a, word w of row c of b.
std::uint32_t word_of_a(const Rendezvous& meeting, int r, int w) {
  return meeting.words[r % 8 * 4 + w % 4][(r >= 8 ? 1 : 0) + (w >= 4 ? 2 : 0)];
}
std::uint32_t word_of_b(const Rendezvous& meeting, int c, int w) { return meeting.words[c * 4 + w % 4][4 + (w >= 4 ? 1 : 0)]; }

template <class Sum>
void multiply_tile(const std::uint32_t* a, const std::uint32_t* b, Where where, Sum sum) {
  std::uint32_t fragments[6];
  std::copy_n(a, 4, fragments);
  std::copy_n(b, 2, fragments + 4);
  Rendezvous& meeting = meet(0xffffffffu, Meeting::mma, fragments, sizeof fragments, where);
  const int lane = running().lane;
  for (int i = 0; i < 4; ++i) sum(meeting, lane / 4 + (i >= 2 ? 8 : 0), lane % 4 * 2 + i % 2, i);
  leave(meeting);
}

float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
// Subnormal numbers count as zero and sums are cut off, as tensor cores may do.
float flushed(float v) { return std::fabs(v) < 0x1p-126f ? 0.0f : v; }
float cut_off(double v) {
  const float nearest = float(v);
  return flushed(std::fabs(double(nearest)) > std::fabs(v) ? std::nextafter(nearest, 0.0f) : nearest);
}

}  // namespace

int meet_block(bool v, Where where) {
  Thread& me = running();
  Block& block = *me.block;
  const bool first = block.waiting == 0;
  if (!first && (block.barrier.line != where.line || std::strcmp(block.barrier.file, where.file) != 0)) {
    fail("threads of one block wait at different barriers, the others at " + text_of(block.barrier), where);
  }
  if (block.alive != int(block.threads.size())) {
    fail("a barrier of the block after " + std::to_string(int(block.threads.size()) - block.alive) + " thread(s) have ended", where);
  }
  block.barrier = where;
  block.votes += v ? 1 : 0;
  me.state = State::at_block;
  me.waits_in = "sync_block";
  me.waits_at = where;
  ++me.n_meetings;
  if (++block.waiting == block.alive) {
    ++counters.meetings;
    block.votes_before = block.votes;
    block.votes = block.waiting = 0;
    ++block.epoch;
    for (Thread& thread : block.threads) make_ready(thread);
  }
  reschedule();
  return block.votes_before;
}

void meet_warp(std::uint32_t mask, Where where) { leave(meet(mask, Meeting::warp, nullptr, 0, where)); }

std::uint64_t shuffle(std::uint64_t bits, std::uint32_t mask, int source, Where where) {
  Rendezvous& meeting = meet(mask, Meeting::shuffle, &bits, sizeof bits, where);
  // A lane that is not there gives what nobody wrote.
  const std::uint64_t result = (mask >> source & 1) != 0 ? word<std::uint64_t>(meeting, source, 0) : ~std::uint64_t(0);
  leave(meeting);
  return result;
}

std::uint32_t vote(bool v, std::uint32_t mask, Meeting kind, Where where) {
  const std::uint32_t mine = v ? 1 : 0;
  Rendezvous& meeting = meet(mask, kind, &mine, sizeof mine, where);
  std::uint32_t result = 0;
  for (std::uint32_t left = mask; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    result |= meeting.words[lane][0] << lane;
  }
  leave(meeting);
  return result;
}

void mma_i8(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b, Where where) {
  multiply_tile(a, b, where, [=](const Rendezvous& meeting, int row, int column, int i) {
    std::uint32_t sum = std::uint32_t(d[i]);
    for (int w = 0; w < 8; ++w) {
      const std::uint32_t x = word_of_a(meeting, row, w), y = word_of_b(meeting, column, w);
      for (int s = 0; s < 32; s += 8) sum += std::uint32_t(int(std::int8_t(x >> s)) * int(std::int8_t(y >> s)));
    }
    d[i] = std::int32_t(sum);
  });
}

void mma_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where) {
  multiply_tile(a, b, where, [=](const Rendezvous& meeting, int row, int column, int i) {
    double sum = double(d[i]);
    for (int w = 0; w < 8; ++w) {
      const std::uint32_t x = word_of_a(meeting, row, w), y = word_of_b(meeting, column, w);
      sum += double(flushed(float_of(x << 16))) * double(flushed(float_of(y << 16)));
      sum += double(flushed(float_of(x & 0xffff0000u))) * double(flushed(float_of(y & 0xffff0000u)));
    }
    d[i] = cut_off(sum);
  });
}

void mma_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, Where where) {
  multiply_tile(a, b, where, [=](const Rendezvous& meeting, int row, int column, int i) {
    double sum = double(d[i]);
    for (int w = 0; w < 8; ++w) {
      const float x = float_of(word_of_a(meeting, row, w) & ~0x1fffu), y = float_of(word_of_b(meeting, column, w) & ~0x1fffu);
      sum += double(flushed(x)) * double(flushed(y));
    }
    d[i] = cut_off(sum);
  });
}

std::string wrong_to_exit(const Thread& thread) {
  const std::string who = "thread " + std::to_string(thread.index) + " of block " + std::to_string(thread.block->number);
  if (!thread.copies.empty()) {
    return who + " ended with copies that it never waited for, begun at " + text_of(thread.copies.front().where);
  }
  if (thread.block->waiting != 0) {
    return who + " ended while others wait for it in sync_block at " + text_of(thread.block->barrier);
  }
  for (const auto& meeting : thread.block->warps[std::size_t(thread.warp)].meetings) {
    if (meeting->open && (meeting->mask >> thread.lane & 1) != 0) {
      return who + " ended while its warp waits for it in " + name_of(meeting->kind) + " at " + text_of(meeting->where);
    }
  }
  return "";
}

}  // namespace gpurec::simt::emulator
