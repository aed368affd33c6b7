// What only an emulated device tells: how often the host asked for what.
#pragma once
#include <cstdint>

namespace gpurec::simt::emulator {

struct CallCounters {
  std::uint64_t launches = 0;
  std::uint64_t graph_launches = 0;
  std::uint64_t allocations = 0;
  std::uint64_t copies = 0;
  std::uint64_t synchronisations = 0;
  std::uint64_t refused = 0;  // while a stream was being captured
};
CallCounters& call_counters();

}  // namespace gpurec::simt::emulator
