// Rows of op `als` with so many entries that threads share one: parts of entries, added in their order.
#pragma once
#include <cstdint>

#include "als/als.hpp"
#include "als/rooms.hpp"

namespace gpurec::cpu {

// How a row is cut depends on its entries and the factors alone, so that threads do not show.
constexpr std::int64_t kHeavyEntries = 16384, kEntriesPerPart = 8192, kHeavyParts = 32;
inline bool als_is_heavy(std::int64_t n) { return n > kHeavyEntries; }

}  // namespace gpurec::cpu
