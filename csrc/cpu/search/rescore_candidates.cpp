#include "search/rescore_candidates.hpp"

#include <algorithm>

namespace gpurec::cpu {
namespace {

struct Entry {
  std::uint32_t position;
  std::uint32_t query;
  std::uint32_t place;  // in the query's scan list
};

// Orders entries by position: a bucket for each run of positions, then each bucket on its own.
void sort_by_position(std::vector<Entry>& entries, std::int64_t n_positions) {
  constexpr std::size_t kBuckets = 4096;
  if (entries.size() > kBuckets) {
    int shift = 0;
    while ((n_positions >> shift) >= std::int64_t(kBuckets)) ++shift;
    std::vector<std::size_t> ends(kBuckets + 1);
    for (const Entry& e : entries) ++ends[(e.position >> shift) + 1];
    for (std::size_t b = 0; b < kBuckets; ++b) ends[b + 1] += ends[b];
    std::vector<std::size_t> next(ends.begin(), ends.end() - 1);
    std::vector<Entry> sorted(entries.size());
    for (const Entry& e : entries) sorted[next[e.position >> shift]++] = e;
    entries.swap(sorted);
    for (std::size_t b = 0; b < kBuckets; ++b) {
      std::sort(entries.begin() + std::int64_t(ends[b]), entries.begin() + std::int64_t(ends[b + 1]),
                [](const Entry& a, const Entry& c) { return a.position < c.position; });
    }
    return;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& c) { return a.position < c.position; });
}

}  // namespace

void rescore_candidates(const ItemTable& table, CanonicalSum canonical, const std::vector<Candidates*>& group,
                        const std::vector<const float*>& queries) {
  std::vector<Entry> entries;
  std::size_t total = 0;
  for (const Candidates* c : group) total += std::size_t(c->n_scanned());
  entries.reserve(total);
  for (std::size_t q = 0; q < group.size(); ++q) {
    for (std::int64_t i = 0; i < group[q]->n_scanned(); ++i) {
      entries.push_back({group[q]->positions()[i], std::uint32_t(q), std::uint32_t(i)});
    }
  }
  if (entries.empty()) return;
  sort_by_position(entries, std::int64_t(table.parts().back().base) + table.parts().back().segment->n);

  constexpr std::size_t kAhead = 4;  // items whose lines are asked for before they are needed
  const std::int64_t d = table.d();
  std::vector<float> item(static_cast<std::size_t>(d));
  std::uint32_t at_hand = kNowhere;
  for (std::size_t e = 0; e < entries.size(); ++e) {
    if (e + kAhead < entries.size()) {
      const ItemTable::Part& part = table.part_of(entries[e + kAhead].position);
      const float* column = part.segment->column_of(entries[e + kAhead].position - part.base);
      for (std::int64_t i = 0; i < d; ++i) __builtin_prefetch(column + i * kPanelItems, 0, 2);
    }
    if (entries[e].position != at_hand) {
      at_hand = entries[e].position;
      table.copy_item(at_hand, item.data());
    }
    group[entries[e].query]->settle_entry(entries[e].place,
                                          round32(canonical(queries[entries[e].query], item.data(), d)));
  }
}

}  // namespace gpurec::cpu
