// Races: two accesses to a word of 4 bytes, one of them a plain write, of which neither comes before the other.
//
// What comes before what: within a thread; across sync_block; between lanes across sync_warp; and between blocks where
// one writes, fences and changes a number atomically, and another changes the same number afterwards, fences and reads.
// Shuffles and votes order nothing.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include "../device/memory.hpp"
#include "trace.hpp"

namespace gpurec::simt::emulator {
namespace {

// When and by whom.
struct Moment {
  std::int64_t block = -1;
  std::uint64_t serial = 0;  // of all accesses of a launch
  std::uint32_t epoch = 0;
  std::uint32_t clock = 0;
  int warp = 0;
  int thread = 0;
};

struct Write {
  Moment moment;
  std::uint8_t bytes = 0;
  bool atomic = false;
  const void* pc = nullptr;
};

// Reads of one warp between two of its synchronisations.
struct Reads {
  Moment moment;  // of the last
  std::uint32_t lanes = 0;
  std::uint8_t bytes = 0;
  bool atomic = false;
  const void* pc = nullptr;
};

constexpr int kReads = 6;  // warps remembered a word; of more, some are forgotten
struct Shadow {
  Write write;
  Reads reads[kReads];
  int n_reads = 0;
  std::uint8_t initialised = 0;  // bytes
};

// What a fence lets others know, once they learn of it through an atomic: what came before it.
struct Release {
  Moment moment;
  std::uint32_t clocks[kLanesOfWarp];
  std::vector<std::shared_ptr<const Release>> known;  // from other blocks
};
using Releases = std::vector<std::shared_ptr<const Release>>;
struct Acquired {
  Moment moment;
  std::shared_ptr<const Release> release;
};

std::unordered_map<std::uintptr_t, Shadow> global_shadow;
std::map<std::int64_t, std::vector<Shadow>> shared_shadow;  // by block
std::unordered_map<std::uintptr_t, Releases> published;     // by the address of the number
using ThreadOfGrid = std::pair<std::int64_t, int>;
std::map<ThreadOfGrid, std::shared_ptr<const Release>> last_release;
std::map<ThreadOfGrid, Releases> pending;  // learned of, until the next fence
std::map<std::int64_t, std::vector<Acquired>> acquired;
std::uint64_t serial = 0;

Trace found;
std::set<std::pair<const void*, const void*>> told;

Moment now(const Thread& t) {
  return {t.block->number, ++serial, t.block->epoch, t.clocks[t.lane], t.warp, t.index};
}

// Whether something came before the present of a thread of the same block.
bool before_in_block(const Moment& m, const Thread& t) {
  if (m.thread == t.index || m.epoch < t.block->epoch) return true;
  return m.warp == t.warp && t.clocks[m.thread % kLanesOfWarp] >= m.clock;
}

bool covers(const Release& r, const Moment& m) {
  if (m.block == r.moment.block) {
    if (m.thread == r.moment.thread) return m.serial <= r.moment.serial;
    return m.epoch < r.moment.epoch || (m.warp == r.moment.warp && r.clocks[m.thread % kLanesOfWarp] >= m.clock);
  }
  return std::any_of(r.known.begin(), r.known.end(), [&](const auto& other) { return covers(*other, m); });
}

bool before(const Moment& m, const Thread& t) {
  if (m.block < 0) return true;
  if (m.block == t.block->number) return before_in_block(m, t);
  const auto known = acquired.find(t.block->number);
  if (known == acquired.end()) return false;
  return std::any_of(known->second.begin(), known->second.end(), [&](const Acquired& a) {
    return before_in_block(a.moment, t) && covers(*a.release, m);
  });
}

bool reads_before(const Reads& r, const Thread& t) {
  if (r.moment.block != t.block->number) return before(r.moment, t);
  if (r.moment.epoch < t.block->epoch) return true;
  if (r.moment.warp != t.warp) return false;
  for (std::uint32_t left = r.lanes & ~(1u << t.lane); left != 0; left &= left - 1) {
    if (t.clocks[__builtin_ctz(left)] < r.moment.clock) return false;
  }
  return true;
}

std::string who(std::int64_t block, int thread) { return "thread " + std::to_string(thread) + " of block " + std::to_string(block); }

void report(const void* a, const void* b, std::string text) {
  if (told.insert({std::min(a, b), std::max(a, b)}).second && found.reports.size() < 100) found.reports.push_back(std::move(text));
}

void race(const Thread& t, const char* what, const void* pc, const Moment& other, const char* other_what, const void* other_pc,
          Memory memory) {
  ++found.races;
  report(pc, other_pc, std::string("race in ") + (memory == Memory::shared ? "shared" : "global") + " memory: " + what + " at " +
                           text_of_site(pc) + " by " + who(t.block->number, t.index) + ", " + other_what + " at " +
                           text_of_site(other_pc) + " by " + who(other.block, other.thread));
}

void uninitialised(const Thread& t, const void* pc, Memory memory) {
  ++found.uninitialised_reads;
  report(pc, nullptr, std::string("a read of ") + (memory == Memory::shared ? "shared" : "global") + " memory that nobody wrote at " +
                          text_of_site(pc) + " by " + who(t.block->number, t.index));
}

void check_word(const Thread& t, Shadow& s, std::uint8_t bytes, Access access, const void* pc, Memory memory) {
  const bool reads = access == Access::read || access == Access::relaxed_read;
  const bool atomic = access == Access::atomic || access == Access::relaxed_read || access == Access::relaxed_write;
  const char* const what = reads ? "a read" : atomic ? "an atomic" : "a write";
  if ((s.write.bytes & bytes) != 0 && !(atomic && s.write.atomic) && !before(s.write.moment, t)) {
    race(t, what, pc, s.write.moment, s.write.atomic ? "an atomic" : "a write", s.write.pc, memory);
  }
  if (!reads) {
    for (int i = 0; i < s.n_reads; ++i) {
      const Reads& r = s.reads[i];
      if ((r.bytes & bytes) != 0 && !(atomic && r.atomic) && !reads_before(r, t)) race(t, what, pc, r.moment, "a read", r.pc, memory);
    }
    const bool same = s.write.bytes == bytes || s.write.moment.thread == t.index;
    s.write = {now(t), same ? std::uint8_t(bytes | (s.write.bytes & bytes)) : bytes, atomic, pc};
    if (!atomic) s.n_reads = 0;
    if (access == Access::pending_write) {
      s.initialised &= std::uint8_t(~bytes);
    } else {
      s.initialised |= bytes;
    }
    return;
  }
  const Moment moment = now(t);
  int kept = 0;
  for (int i = 0; i < s.n_reads; ++i) {
    Reads& r = s.reads[i];
    if (r.moment.block == moment.block && r.moment.warp == moment.warp && r.moment.epoch == moment.epoch &&
        r.moment.clock == moment.clock && r.atomic == atomic) {
      r.lanes |= 1u << t.lane;
      r.bytes |= bytes;
      r.moment = moment;
      r.pc = pc;
      return;
    }
  }
  for (int i = 0; i < s.n_reads; ++i) {
    if (atomic || s.reads[i].atomic || s.reads[i].bytes != bytes || !reads_before(s.reads[i], t)) s.reads[kept++] = s.reads[i];
  }
  s.n_reads = kept;
  const int at = kept < kReads ? s.n_reads++ : int(moment.serial % kReads);
  s.reads[at] = {moment, 1u << t.lane, bytes, atomic, pc};
}

}  // namespace

void check_access(const Thread& t, std::uintptr_t address, int n_bytes, Access access, const void* pc, Memory memory) {
  const bool is_write = access != Access::read && access != Access::relaxed_read;
  const bool is_plain_read = access == Access::read || access == Access::relaxed_read || access == Access::atomic;
  bool told_uninitialised = false;
  for (std::uintptr_t word = address / 4; word <= (address + std::size_t(n_bytes) - 1) / 4; ++word) {
    std::uint8_t bytes = 0;
    for (std::uintptr_t i = 0; i < 4; ++i) {
      if (word * 4 + i >= address && word * 4 + i < address + std::size_t(n_bytes)) bytes |= std::uint8_t(1 << i);
    }
    Shadow* shadow;
    bool known;
    if (memory == Memory::shared) {
      shadow = &shared_shadow[t.block->number][word - reinterpret_cast<std::uintptr_t>(t.shared) / 4];
      known = (shadow->initialised & bytes) == bytes;
    } else {
      shadow = &global_shadow[word];
      const Allocation* const a = allocation_near(reinterpret_cast<const void*>(word * 4));
      known = a->written[(word * 4 - reinterpret_cast<std::uintptr_t>(a->begin)) / 4] || (shadow->initialised & bytes) == bytes;
    }
    if (is_plain_read && !known && !std::exchange(told_uninitialised, true)) uninitialised(t, pc, memory);
    check_word(t, *shadow, bytes, access, pc, memory);
  }
  if (is_write && memory == Memory::global) mark_written(reinterpret_cast<const void*>(address), std::size_t(n_bytes));
  if (access == Access::read || access == Access::write || access == Access::pending_write) return;

  // What fenced blocks did before is learned by way of an atomic; a read only learns, a write only tells.
  const ThreadOfGrid me{t.block->number, t.index};
  Releases& all = published[address];
  if (access != Access::relaxed_write) {
    Releases& learned = pending[me];
    learned.insert(learned.end(), all.begin(), all.end());
  }
  const auto mine = last_release.find(me);
  if (access != Access::relaxed_read && mine != last_release.end()) all.push_back(mine->second);
}

void race_fence(const Thread& t) {
  const ThreadOfGrid me{t.block->number, t.index};
  const Moment moment = now(t);
  std::vector<Acquired>& known = acquired[t.block->number];
  for (auto& release : pending[me]) {
    if (release->moment.block != t.block->number) known.push_back({moment, release});
  }
  pending.erase(me);
  auto release = std::make_shared<Release>();
  release->moment = moment;
  std::copy_n(t.clocks, kLanesOfWarp, release->clocks);
  for (const Acquired& a : known) {
    if (before_in_block(a.moment, t)) release->known.push_back(a.release);
  }
  last_release[me] = std::move(release);
}

void report_outside(const Thread& t, const void* pc, Access access) {
  ++found.outside;
  report(pc, &found, std::string(access == Access::read ? "a read" : "a write") + " outside of an allocation or of shared memory at " +
                         text_of_site(pc) + " by " + who(t.block->number, t.index));
}

void race_block_begin(Block& block) {
  shared_shadow[block.number].assign((block.shared_bytes + 3) / 4, {});
}

void race_launch_end() {
  global_shadow.clear();
  shared_shadow.clear();
  published.clear();
  last_release.clear();
  pending.clear();
  acquired.clear();
  serial = 0;
}

void take_races(Trace& trace) {
  trace.races = found.races;
  trace.uninitialised_reads = found.uninitialised_reads;
  trace.outside = found.outside;
  trace.reports = found.reports;
}

void reset_races() {
  found = {};
  told.clear();
}

}  // namespace gpurec::simt::emulator
