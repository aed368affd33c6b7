// The state of a launch: resident blocks, their warps and threads, and what the emulator's parts ask of each other.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "calls.hpp"
#include "fiber.hpp"

namespace gpurec::simt::emulator {

constexpr int kLanesOfWarp = 32;
constexpr int kMostThreads = 1024;
constexpr int kMostResident = 3;                              // blocks that take turns
constexpr std::size_t kMostShared = std::size_t(227) << 10;   // bytes of a block, as on an H100
constexpr std::size_t kFence = 4096;                          // bytes past shared memory that are watched

enum class State : std::uint8_t { ready, at_block, at_warp, done };

// Lanes of one warp that meet in one word.
struct Rendezvous {
  static constexpr int kWords = 6;  // what a lane brings: a number of 8 bytes or fragments of a tile
  std::uint32_t mask = 0;
  std::uint32_t arrived = 0;
  std::uint32_t leaving = 0;  // lanes that have not read yet
  bool open = false;
  Meeting kind = Meeting::warp;
  Where where{};
  std::uint32_t words[kLanesOfWarp][kWords];
};

struct AsyncCopy {
  unsigned char* to;
  const unsigned char* from;  // null: zeros
  int group;
  Where where;
};

struct Block;

struct Thread : Identity {
  int lane = 0;
  int warp = 0;
  State state = State::done;
  Block* block = nullptr;
  Fiber fiber;
  Where waits_at{};
  const char* waits_in = "";
  int n_groups = 0;
  std::vector<AsyncCopy> copies;
  // For the race check: what the lanes of its warp had done when it last met them; it counts its own meetings.
  std::uint32_t clocks[kLanesOfWarp] = {};
  std::uint32_t n_meetings = 0;
};

struct Warp {
  std::uint32_t alive = 0;
  std::uint32_t ready = 0;
  std::vector<std::unique_ptr<Rendezvous>> meetings;  // reused; a warp has as many as it has open or being read
};

struct Block {
  std::int64_t number = 0;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::uint32_t ready_warps = 0;
  std::vector<unsigned char> memory;  // unused under AddressSanitizer, which wants exact allocations
  unsigned char* shared = nullptr;
  std::size_t shared_bytes = 0;
  std::uint32_t epoch = 0;  // barriers passed
  int alive = 0;
  int waiting = 0;  // at the barrier
  int votes = 0;
  int votes_before = 0;
  Where barrier{};
  std::size_t slot = 0;  // of its stacks
};

struct LaunchShape {
  int grid[3];
  int n_threads;
  std::size_t shared_bytes;
};

// What a traced build hears of; null in others.
struct Hooks {
  void (*launch_begin)() = nullptr;
  void (*block_begin)(Block& block) = nullptr;
  void (*block_end)(Block& block) = nullptr;
  void (*launch_end)() = nullptr;
  void (*access)(const void* p, int n_bytes, Access access, const void* pc) = nullptr;
  void (*fence)(Thread& thread) = nullptr;
};
extern Hooks hooks;

struct Counters {
  std::uint64_t launches = 0;
  std::uint64_t blocks = 0;
  std::uint64_t threads = 0;
  std::uint64_t switches = 0;
  std::uint64_t meetings = 0;  // of lanes or blocks in one word
};
extern Counters counters;

// Runs one kernel to its end. Returns what went wrong, empty where nothing did.
std::string run(const LaunchShape& shape, void (*body)(const void*), const void* params);

// The parameters of the launch that runs; a device takes at most so many bytes.
constexpr std::size_t kMostParams = 4096;
const void* params_of_launch();

// Seed of the schedule, of the poison and of the order of blocks; 0: lowest thread first, blocks in order.
void set_seed(std::uint64_t seed);
std::uint64_t seed();
// A number below n, of this launch's generator.
std::uint32_t draw(std::uint32_t n);
// Fills memory with what nobody would write: by seed NaN, large numbers, random bytes or a plausible small number.
void poison(void* p, std::size_t n_bytes);

inline Thread& running() { return static_cast<Thread&>(*current); }
void make_ready(Thread& thread);
// Lets another thread run, or this one where it is ready and drawn.
void reschedule();
// Ends the launch.
[[noreturn]] void fail(const std::string& what, Where where);
std::string text_of(Where where);

// Kept by collectives.cpp: what is wrong where this thread ends now; null: nothing.
std::string wrong_to_exit(const Thread& thread);

}  // namespace gpurec::simt::emulator
