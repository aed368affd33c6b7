#include "search/rescore_candidates.hpp"

#include <algorithm>

namespace gpurec::cpu {
namespace {

void prefetch_item(const ItemTable& table, std::uint32_t position) {
  const ItemTable::Part& part = table.part_of(position);
  const float* const panel = part.segment->panel_of(position - part.base);
  for (std::int64_t i = 0; i < table.d(); ++i) __builtin_prefetch(panel + i * kPanelItems, 0, 2);
}

}  // namespace

void rescore_candidates(const ItemTable& table, CanonicalSum canonical, const Kernels& kernels,
                        const std::vector<Candidates*>& group, const std::vector<const float*>& queries) {
  constexpr std::int64_t kRoom = 1 << 15;  // floats of items had back: they stay in the second-level cache
  const std::int64_t d = table.d();
  const auto run = std::uint32_t(std::clamp<std::int64_t>(kRoom / d, 1, kBlockItems / kPanelItems) * kPanelItems);
  std::vector<float> items(static_cast<std::size_t>(run * d));
  std::vector<std::uint16_t> had_back(run / kPanelItems);  // a bit a lane
  std::vector<std::int64_t> next(group.size());            // each query's first entry that has no score yet
  std::int64_t n_entries = 0;
  for (Candidates* c : group) {
    c->sort_by_position();
    n_entries += c->n_scanned();
  }
  // Reading a panel costs more than turning it: where most are read anyway all of their items are had back.
  const bool dense = n_entries > table.n_active() / 16;

  // Runs of positions one after another: what several queries ask for is had back once.
  for (;;) {
    std::uint32_t first = kNowhere;
    for (std::size_t q = 0; q < group.size(); ++q) {
      if (next[q] < group[q]->n_scanned()) first = std::min(first, group[q]->positions()[next[q]]);
    }
    if (first == kNowhere) break;
    first -= first % kPanelItems;
    std::fill(had_back.begin(), had_back.end(), std::uint16_t(0));
    for (std::size_t q = 0; q < group.size(); ++q) {
      Candidates& c = *group[q];
      std::int64_t e = next[q];
      for (; e < c.n_scanned() && c.positions()[e] - first < run; ++e) {
        const std::uint32_t at = c.positions()[e] - first;
        float* const item = items.data() + at * d;
        std::uint16_t& lanes = had_back[at / kPanelItems];
        if ((lanes >> (at % kPanelItems) & 1) == 0) {
          if (dense) {
            const ItemTable::Part& part = table.part_of(first + at);
            const float* const panel = part.segment->panel_of(first + at - part.base);
            kernels.unpack_panel(panel, d, items.data() + at / kPanelItems * kPanelItems * d);
            lanes = 0xffff;
          } else {
            table.copy_item(first + at, item);
            lanes = std::uint16_t(lanes | 1u << (at % kPanelItems));
          }
        }
        c.settle_entry(e, round32(canonical(queries[q], item, d)));
      }
      if (!dense && e != next[q] && e < c.n_scanned()) prefetch_item(table, c.positions()[e]);
      next[q] = e;
    }
  }
  for (Candidates* c : group) c->settled();
}

}  // namespace gpurec::cpu
