// The scan of a table's blocks for several queries together, and how far each query has come.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "gpurec/order.hpp"
#include "gpurec/codes.hpp"
#include "gpurec/scan_bf16.hpp"
#include "candidates/candidates.hpp"
#include "search/permits.hpp"
#include "table/aligned.hpp"
#include "table/item_table.hpp"

namespace gpurec::cpu {

// A threshold that one thread has proved or supposes, for the others to suppose: whether it holds is found at the end.
class SharedTau {
 public:
  float load() const { return score_of_monotone(bits_.load(std::memory_order_relaxed)); }
  void raise_to(float tau) {
    const std::uint32_t bits = monotone_u32(tau);
    std::uint32_t now = bits_.load(std::memory_order_relaxed);
    while (now < bits && !bits_.compare_exchange_weak(now, bits, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint32_t> bits_{monotone_u32(-std::numeric_limits<float>::infinity())};
};

// One query's progress through some blocks of a table; `index` is its place among the filters' queries.
struct Progress {
  Progress(const ItemTable& table, std::int64_t index, const float* query, std::int64_t k,
           const FiltersView& filters, const Kernels& kernels, Precision precision)
      : index(index),
        query(query),
        kernels(&kernels),
        denied(filters, index),
        candidates(table, table.n_active(), kernels, precision, query, k) {}

  // Scores the item at a position canonically, where there is one; `item` has room for it.
  void offer_canonical(const ItemTable& table, std::uint32_t position, std::vector<float>& item) {
    if (position == kNowhere) return;
    table.copy_item(position, item.data());
    candidates.offer_exact(table.row_at(position), candidates.score(item.data()));
  }

  // Makes what the query is scanned with; false where there is no such thing.
  bool is_ready(Precision wanted) {
    const bool coded = wanted == Precision::int8 || wanted == Precision::int4 || wanted == Precision::leading;
    const bool ready = coded ? quantise() : wanted == Precision::bf16 ? round() : true;
    precision = ready ? wanted : Precision::fp32;
    return ready;
  }

  std::int64_t index;
  const float* query;
  const Kernels* kernels;
  DeniedClasses denied;
  Candidates candidates;
  SharedTau* shared = nullptr;
  bool is_done = false;  // no further block matters
  Precision precision = Precision::fp32;  // that it is scanned in
  std::vector<std::int8_t> codes;  // of an int8 or 4-bit scan
  QueryCodes query_codes;
  LeadingQuery leading;  // of a scan in leading directions
  std::vector<std::uint32_t> pairs;  // of a bfloat16 scan

 private:
  bool quantise() {
    const std::int64_t d = candidates.items().d();
    codes.resize(std::size_t((d + 2 * kGroup - 1) / (2 * kGroup) * (2 * kGroup)));
    query_codes = kernels->quantise_query(query, d, codes.data());
    if (query_codes.scale == 0.0f) return false;
    candidates.allow_int8(query_codes);
    return true;
  }

  bool round() {
    const std::int64_t d = candidates.items().d();
    pairs.resize(std::size_t(n_pairs(d)));
    round_row_to_bf16(query, d, pairs.data());
    candidates.allow_bf16(bf16_error(query, d, pairs.data()));
    return true;
  }
};

// The share of a part in a table's blocks: `n_parts` parts take runs of so many in turn. Of their tiles every
// `every`-th; the last of these stands for the others, so that where the best items have the largest norms a sample falls
// short of them.
struct Blocks {
  std::size_t part;
  std::size_t n_parts;
  std::size_t every;
  std::size_t run = 1;
  bool score_at_once = false;  // what many queries want of a tile, where the arithmetic can

  std::size_t first() const { return part * run; }
  std::size_t after(std::size_t block) const {
    return block + 1 + ((block + 1) % run == 0 ? (n_parts - 1) * run : 0);
  }
  std::int64_t count(std::size_t n_blocks) const {
    const std::size_t round = n_parts * run, last = n_blocks % round;
    return std::int64_t(n_blocks / round * run + std::min(run, last - std::min(last, part * run)));
  }
};

// Memory hands out more where a thread reads on for a while; but parts begin with large norms and end together.
inline std::size_t run_of_blocks(std::size_t n_blocks, std::size_t n_parts) {
  constexpr std::size_t kRuns = 32, kLongest = 8;
  return std::clamp<std::size_t>(n_blocks / (n_parts * kRuns), 1, kLongest);
}

// Scans them for a group of queries, all of them ready for the precision.
void scan_blocks(const ItemTable& table, const FiltersView& filters, const Kernels& kernels, Precision precision,
                 const std::vector<Progress*>& group, Blocks blocks);

}  // namespace gpurec::cpu
