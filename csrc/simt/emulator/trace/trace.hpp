// A traced build: kernels are compiled with -fsanitize=thread but linked without its library, so that each load and
// store calls a hook of ours. Races and reads of what nobody wrote are found exactly, and traffic is counted.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../machine.hpp"

namespace gpurec::simt::emulator {

// One load or store of the source, over all that it did.
struct Site {
  std::string where;          // file:line where a word tells it; empty: see `offset`
  std::uint64_t offset = 0;   // of the instruction in the module's file, for addr2line
  bool shared = false;
  bool write = false;
  std::uint64_t requests = 0;  // of a warp
  std::uint64_t lanes = 0;     // that took part
  std::uint64_t bytes = 0;
  std::uint64_t sectors = 0;          // of 32 bytes of global memory
  std::uint64_t ideal_sectors = 0;    // that its distinct bytes would fill
  std::uint64_t wavefronts = 0;       // of shared memory; more than the ideal are bank conflicts
  std::uint64_t ideal_wavefronts = 0;
};

struct Trace {
  std::uint64_t races = 0;
  std::uint64_t uninitialised_reads = 0;
  std::uint64_t outside = 0;          // of an allocation or of shared memory; of memory that a device has
  std::vector<std::string> reports;   // one for each pair of places
  std::vector<Site> sites;
};

Trace read_trace();
void reset_trace();
// Another thread may run before one access in so many; 0: only at words.
void set_preemption(std::uint32_t every);

// --- Between the parts of the tracer ---
enum class Memory { shared, global };

// races.cpp
void check_access(const Thread& thread, std::uintptr_t address, int n_bytes, Access access, const void* pc, Memory memory);
void race_block_begin(Block& block);
void race_launch_end();
void race_fence(const Thread& thread);
void take_races(Trace& trace);
void reset_races();
void report_outside(const Thread& thread, const void* pc, Access access);

// traffic.cpp
void count_access(const Thread& thread, std::uintptr_t address, int n_bytes, bool write, const void* pc, Memory memory);
void traffic_block_end(const Block& block);
void traffic_launch_end();
void take_traffic(Trace& trace);
void reset_traffic();

// hooks.cpp: a place as reports tell it.
std::string text_of_site(const void* pc);
std::uint64_t offset_of(const void* pc);

}  // namespace gpurec::simt::emulator
