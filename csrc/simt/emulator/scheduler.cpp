// Runs the threads of a launch one at a time; between two words a thread runs alone. Who runs next is drawn.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <numeric>
#include <utility>

#include "machine.hpp"

namespace gpurec::simt::emulator {

Identity* current = nullptr;
Hooks hooks;
Counters counters;

namespace {

// How the next thread is drawn. Each kind of schedule meets defects that others miss.
enum class Style { in_order, any_thread, runs_of_a_warp, one_warp_ahead };

struct Running {
  Fiber host;
  LaunchShape shape{};
  void (*body)(const void*) = nullptr;
  const void* params = nullptr;
  std::vector<Block*> resident;
  std::string error;
  Style style = Style::any_thread;
};

std::uint64_t chosen_seed = 1;
std::uint64_t state = 1;
Running launch;

int random_bit(std::uint32_t mask) {
  const std::uint32_t turn = draw(32);
  const std::uint32_t turned = mask >> turn | mask << (32 - turn) % 32;
  return int((std::uint32_t(__builtin_ctz(turned)) + turn) % 32);
}

Thread* take(Block& block, int warp, int lane) {
  Warp& w = block.warps[std::size_t(warp)];
  w.ready &= ~(1u << lane);
  if (w.ready == 0) block.ready_warps &= ~(1u << warp);
  return &block.threads[std::size_t(warp * kLanesOfWarp + lane)];
}

// A thread that is ready, taken from those that are; null where there is none.
Thread* pick() {
  const std::size_t n = launch.resident.size();
  Thread* const last = static_cast<Thread*>(current);
  if (launch.style == Style::runs_of_a_warp && last != nullptr && draw(64) != 0) {
    const Warp& w = last->block->warps[std::size_t(last->warp)];
    if (w.ready != 0) return take(*last->block, last->warp, random_bit(w.ready));
  }
  const std::size_t first = launch.style == Style::in_order || n < 2 ? 0 : draw(std::uint32_t(n));
  for (std::size_t i = 0; i < n; ++i) {
    Block& block = *launch.resident[(first + i) % n];
    const std::uint32_t ready = block.ready_warps;
    if (ready == 0) continue;
    if (launch.style == Style::in_order) {
      const int warp = __builtin_ctz(ready);
      return take(block, warp, __builtin_ctz(block.warps[std::size_t(warp)].ready));
    }
    // One warp ahead: the highest or lowest that can run, so that others lag as far as they may.
    const bool ahead = launch.style == Style::one_warp_ahead && draw(64) != 0;
    const int warp = !ahead ? random_bit(ready) : block.number % 2 == 0 ? __builtin_ctz(ready) : 31 - __builtin_clz(ready);
    return take(block, warp, random_bit(block.warps[std::size_t(warp)].ready));
  }
  return nullptr;
}

void switch_to_host(Thread& from, bool dying) {
  ++counters.switches;
  switch_fiber(from.fiber, launch.host, dying);
}

void thread_main() {
  enter_fiber();
  launch.body(launch.params);
  Thread& me = running();
  const std::string wrong = wrong_to_exit(me);
  if (!wrong.empty() && launch.error.empty()) launch.error = wrong;
  me.state = State::done;
  --me.block->alive;
  me.block->warps[std::size_t(me.warp)].alive &= ~(1u << me.lane);
  switch_to_host(me, true);
  __builtin_unreachable();
}

void start(Block& block, std::int64_t number, std::size_t slot) {
  const LaunchShape& shape = launch.shape;
  block.number = number;
  block.slot = slot;
  block.epoch = 0;
  block.alive = shape.n_threads;
  block.waiting = block.votes = 0;
  block.barrier = {};
  block.ready_warps = 0;
  block.shared_bytes = shape.shared_bytes;
#if defined(__SANITIZE_ADDRESS__)
  block.shared = static_cast<unsigned char*>(std::aligned_alloc(16, std::max<std::size_t>(16, (shape.shared_bytes + 15) / 16 * 16)));
#else
  block.memory.assign(shape.shared_bytes + kFence + 128, 0xa5);
  const auto begin = reinterpret_cast<std::uintptr_t>(block.memory.data());
  block.shared = block.memory.data() + (128 - begin % 128);
#endif
  poison(block.shared, shape.shared_bytes);
  block.threads.resize(std::size_t(shape.n_threads));
  block.warps.clear();
  block.warps.resize(std::size_t((shape.n_threads + kLanesOfWarp - 1) / kLanesOfWarp));
  for (int i = 0; i < shape.n_threads; ++i) {
    Thread& thread = block.threads[std::size_t(i)];
    thread.index = i;
    thread.block_threads = shape.n_threads;
    thread.block_index[0] = int(number % shape.grid[0]);
    thread.block_index[1] = int(number / shape.grid[0] % shape.grid[1]);
    thread.block_index[2] = int(number / shape.grid[0] / shape.grid[1]);
    std::copy_n(shape.grid, 3, thread.grid);
    thread.shared = block.shared;
    thread.shared_end = block.shared + shape.shared_bytes;
    thread.lane = i % kLanesOfWarp;
    thread.warp = i / kLanesOfWarp;
    thread.block = &block;
    thread.n_groups = 0;
    thread.copies.clear();
    std::fill_n(thread.clocks, kLanesOfWarp, 0u);
    thread.clocks[thread.lane] = 1;
    thread.n_meetings = 0;
    block.warps[std::size_t(thread.warp)].alive |= 1u << thread.lane;
    make_fiber(thread.fiber, slot * kMostThreads + std::size_t(i), thread_main);
    make_ready(thread);
  }
  if (hooks.block_begin != nullptr) hooks.block_begin(block);
}

// What is found after a block's last thread: bytes past its shared memory that were written.
void end(Block& block) {
  if (hooks.block_end != nullptr) hooks.block_end(block);
#if defined(__SANITIZE_ADDRESS__)
  std::free(block.shared);
#else
  const unsigned char* const past = block.shared + block.shared_bytes;
  const std::size_t room = std::min(kFence, std::size_t(block.memory.data() + block.memory.size() - past));
  for (std::size_t i = 0; i < room && launch.error.empty(); ++i) {
    if (past[i] != 0xa5) {
      launch.error = "a thread wrote past shared memory: byte " + std::to_string(i) + " after its " +
                     std::to_string(block.shared_bytes) + " bytes, in block " + std::to_string(block.number);
    }
  }
#endif
}

std::string stuck() {
  std::string text = "deadlock:";
  int told = 0;
  for (const Block* block : launch.resident) {
    for (const Thread& thread : block->threads) {
      if (thread.state == State::done || ++told > 6) continue;
      text += " thread " + std::to_string(thread.index) + " of block " + std::to_string(block->number) + " waits in " +
              thread.waits_in + " at " + text_of(thread.waits_at) + ";";
    }
  }
  return text;
}

Style style_of_seed() {
  if (chosen_seed == 0) return Style::in_order;
  const Style styles[] = {Style::any_thread, Style::runs_of_a_warp, Style::one_warp_ahead};
  return styles[chosen_seed % 3];
}

}  // namespace

const void* params_of_launch() { return launch.params; }

void set_seed(std::uint64_t seed) { chosen_seed = seed; }
std::uint64_t seed() { return chosen_seed; }

std::uint32_t draw(std::uint32_t n) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return std::uint32_t(((state * 2685821657736338717ull) >> 32) * n >> 32);
}

void poison(void* p, std::size_t n_bytes) {
  auto* const bytes = static_cast<unsigned char*>(p);
  switch (chosen_seed % 4) {
    case 0: std::memset(p, 0xff, n_bytes); break;  // NaN, -1
    case 1: std::memset(p, 0x7e, n_bytes); break;  // large
    case 2: std::memset(p, 0x00, n_bytes); break;  // what a lucky run would find
    default:
      for (std::size_t i = 0; i < n_bytes; ++i) bytes[i] = static_cast<unsigned char>(draw(256));
  }
}

std::string text_of(Where where) {
  const char* const slash = where.file == nullptr ? nullptr : std::strrchr(where.file, '/');
  return std::string(slash != nullptr ? slash + 1 : where.file != nullptr ? where.file : "?") + ":" + std::to_string(where.line);
}

void make_ready(Thread& thread) {
  thread.state = State::ready;
  thread.block->warps[std::size_t(thread.warp)].ready |= 1u << thread.lane;
  thread.block->ready_warps |= 1u << thread.warp;
}

void reschedule() {
  Thread& from = running();
  Thread* const next = launch.error.empty() ? pick() : nullptr;
  if (next == &from) return;
  if (next == nullptr) return switch_to_host(from, false);
  current = next;
  ++counters.switches;
  switch_fiber(from.fiber, next->fiber);
}

void fail(const std::string& what, Where where) {
  const Thread& me = running();
  if (launch.error.empty()) {
    launch.error = what + " at " + text_of(where) + ", thread " + std::to_string(me.index) + " of block " +
                   std::to_string(me.block->number);
  }
  for (;;) switch_to_host(running(), false);
}

std::string run(const LaunchShape& shape, void (*body)(const void*), const void* params) {
  launch.shape = shape;
  launch.body = body;
  launch.params = params;
  launch.error.clear();
  launch.style = style_of_seed();
  state = (chosen_seed + 1) * 0x9e3779b97f4a7c15ull + counters.launches * 0xd1342543de82ef95ull;
  state |= 1;
  for (int i = 0; i < 8; ++i) draw(2);

  const std::int64_t n_blocks = std::int64_t(shape.grid[0]) * shape.grid[1] * shape.grid[2];
  std::vector<std::int64_t> order(static_cast<std::size_t>(n_blocks));
  std::iota(order.begin(), order.end(), std::int64_t(0));
  if (chosen_seed != 0) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[draw(std::uint32_t(i))]);
  }
  const int at_once = chosen_seed == 0 ? 1 : 1 + int(draw(kMostResident));

  static Block slots[kMostResident];
  std::vector<std::size_t> unused;
  for (int i = at_once; i > 0; --i) unused.push_back(std::size_t(i - 1));
  std::size_t started = 0;
  current = nullptr;
  ++counters.launches;
  if (hooks.launch_begin != nullptr) hooks.launch_begin();
  while (launch.error.empty()) {
    for (std::size_t i = launch.resident.size(); i-- > 0;) {
      Block& block = *launch.resident[i];
      if (block.alive != 0) continue;
      end(block);
      unused.push_back(block.slot);
      launch.resident.erase(launch.resident.begin() + std::ptrdiff_t(i));
      current = nullptr;  // it may have been of that block
    }
    while (!unused.empty() && started < order.size()) {
      Block& block = slots[unused.back()];
      start(block, order[started++], unused.back());
      unused.pop_back();
      launch.resident.push_back(&block);
      ++counters.blocks;
      counters.threads += std::uint64_t(shape.n_threads);
    }
    if (launch.resident.empty() || !launch.error.empty()) break;
    Thread* const next = pick();
    if (next == nullptr) {
      launch.error = stuck();
      break;
    }
    current = next;
    ++counters.switches;
    switch_fiber(launch.host, next->fiber);
  }
  if (!launch.error.empty()) {
#if defined(__SANITIZE_ADDRESS__)
    for (Block* block : launch.resident) std::free(block->shared);
#endif
  }
  launch.resident.clear();
  current = nullptr;
  if (hooks.launch_end != nullptr) hooks.launch_end();
  return launch.error;
}

}  // namespace gpurec::simt::emulator
