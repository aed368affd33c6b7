// Traffic: the lanes of a warp that run the same instruction as often since they last met make one request. Of global
// memory it moves sectors of 32 bytes, of shared memory it takes as many wavefronts as words meet in its fullest bank.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "trace.hpp"

namespace gpurec::simt::emulator {
namespace {

struct Request {
  std::uint32_t lanes = 0;
  int n_bytes = 0;
  bool write = false;
  std::uintptr_t address[kLanesOfWarp];
};

// Instruction, warp, its meetings so far, and how often this lane has run the instruction since.
using Key = std::tuple<const void*, int, std::uint32_t, std::uint32_t>;
struct Times {
  std::uint32_t n_meetings = 0;
  std::uint32_t n = 0;
};
struct OfBlock {
  std::map<Key, Request> requests[2];  // of shared, of global memory
  std::unordered_map<const void*, Times> times[kMostThreads];
};

std::map<std::int64_t, OfBlock> blocks;
std::map<std::pair<const void*, bool>, Site> sites;  // by instruction and memory

// The number of whole sectors and of those that the bytes would fill if they lay beside each other.
void count_sectors(const Request& r, Site& site) {
  std::set<std::uintptr_t> sectors, bytes;
  for (std::uint32_t left = r.lanes; left != 0; left &= left - 1) {
    const std::uintptr_t a = r.address[__builtin_ctz(left)], last = a + std::uintptr_t(r.n_bytes) - 1;
    for (std::uintptr_t s = a / 32; s <= last / 32; ++s) sectors.insert(s);
    for (std::uintptr_t b = a; b <= last; ++b) bytes.insert(b);
  }
  site.sectors += sectors.size();
  site.ideal_sectors += (bytes.size() + 31) / 32;
}

// Lanes take part 32 at a time where they want 4 bytes or fewer, 16 for 8 and 8 for 16.
void count_wavefronts(const Request& r, std::uintptr_t shared, Site& site) {
  const int at_once = r.n_bytes <= 4 ? 32 : r.n_bytes == 8 ? 16 : 8;
  for (int first = 0; first < kLanesOfWarp; first += at_once) {
    std::set<std::uintptr_t> words[32];
    bool takes_part = false;
    for (int lane = first; lane < first + at_once; ++lane) {
      if ((r.lanes >> lane & 1) == 0) continue;
      takes_part = true;
      const std::uintptr_t from = r.address[lane] - shared;
      for (std::uintptr_t word = from / 4; word <= (from + std::uintptr_t(r.n_bytes) - 1) / 4; ++word) words[word % 32].insert(word);
    }
    std::size_t fullest = 0;
    for (const auto& bank : words) fullest = std::max(fullest, bank.size());
    site.wavefronts += fullest;
    site.ideal_wavefronts += takes_part ? 1 : 0;
  }
}

}  // namespace

void count_access(const Thread& t, std::uintptr_t address, int n_bytes, bool write, const void* pc, Memory memory) {
  OfBlock& block = blocks[t.block->number];
  Times& times = block.times[t.index][pc];
  if (times.n_meetings != t.n_meetings) times = {t.n_meetings, 0};
  Request& request = block.requests[memory == Memory::global ? 1 : 0][{pc, t.warp, t.n_meetings, times.n++}];
  request.lanes |= 1u << t.lane;
  request.n_bytes = n_bytes;
  request.write = write;
  request.address[t.lane] = address;
}

void traffic_block_end(const Block& block) {
  const auto found = blocks.find(block.number);
  if (found == blocks.end()) return;
  for (const bool global : {false, true}) {
    for (const auto& [key, request] : found->second.requests[global ? 1 : 0]) {
      Site& site = sites[{std::get<0>(key), global}];
      const auto n_lanes = std::uint64_t(__builtin_popcount(request.lanes));
      site.shared = !global;
      site.write = request.write;
      ++site.requests;
      site.lanes += n_lanes;
      site.bytes += n_lanes * std::uint64_t(request.n_bytes);
      if (global) {
        count_sectors(request, site);
      } else {
        count_wavefronts(request, reinterpret_cast<std::uintptr_t>(block.shared), site);
      }
    }
  }
  blocks.erase(found);
}

void traffic_launch_end() { blocks.clear(); }  // of a launch that failed

void take_traffic(Trace& trace) {
  for (const auto& [key, site] : sites) {
    trace.sites.push_back(site);
    trace.sites.back().offset = offset_of(key.first);
    if (trace.sites.back().offset == 0) trace.sites.back().where = text_of_site(key.first);
  }
}

void reset_traffic() {
  sites.clear();
  blocks.clear();
}

}  // namespace gpurec::simt::emulator
