#include "search/rescore_candidates.hpp"

#include <algorithm>
#include <memory>

namespace gpurec::cpu {
namespace {

void prefetch_item(const ItemTable& table, std::uint32_t position) {
  const ItemTable::Part& part = table.part_of(position);
  const float* const panel = part.segment->panel_of(position - part.base);
  for (std::int64_t i = 0; i < table.d(); ++i) __builtin_prefetch(panel + i * kPanelItems, 0, 2);
}

// How much of a run is had back: reading a panel costs more than turning it, and where nearly all is asked for there is
// no need to look what is there already.
enum class Share { items, panels, all };

// The items of a run of positions one after another, had back from their panels.
class Run {
 public:
  Run(const ItemTable& table, const Kernels& kernels, Share share)
      : table_(table),
        kernels_(kernels),
        share_(share),
        size_(std::uint32_t(std::clamp<std::int64_t>(kRoom / table.d(), kPanelItems, kMostItems)) / kPanelItems *
              kPanelItems),
        items_(new float[std::size_t(size_ * table.d())]),
        had_back_(size_ / kPanelItems) {}

  void start_at(std::uint32_t position) {
    first_ = position - position % kPanelItems;
    std::fill(had_back_.begin(), had_back_.end(), std::uint16_t(0));
    if (share_ != Share::all) return;
    const ItemTable::Part& last = table_.parts().back();
    const std::int64_t end = last.base + ItemSegment::padded(last.segment->n);
    for (std::int64_t at = first_; at < std::min(end, std::int64_t(first_) + size_); at += kPanelItems) {
      unpack(std::uint32_t(at));
    }
  }

  std::uint32_t first() const { return first_; }
  const float* items() const { return items_.get(); }
  bool holds(std::uint32_t position) const { return position - first_ < size_; }

  void have(std::uint32_t position) {
    const std::uint32_t at = position - first_;
    std::uint16_t& lanes = had_back_[at / kPanelItems];
    if ((lanes >> (at % kPanelItems) & 1) != 0) return;
    if (share_ == Share::panels) {
      unpack(position - at % kPanelItems);
      lanes = 0xffff;
    } else {
      table_.copy_item(position, items_.get() + at * table_.d());
      lanes = std::uint16_t(lanes | 1u << (at % kPanelItems));
    }
  }

 private:
  static constexpr std::int64_t kMostItems = 4096;
  static constexpr std::int64_t kRoom = 1 << 16;  // floats: they stay in the second-level cache

  void unpack(std::uint32_t first) {
    const ItemTable::Part& part = table_.part_of(first);
    kernels_.unpack_panel(part.segment->panel_of(first - part.base), table_.d(),
                          items_.get() + (first - first_) * table_.d());
  }

  const ItemTable& table_;
  const Kernels& kernels_;
  Share share_;
  std::uint32_t size_;
  std::uint32_t first_ = 0;
  std::unique_ptr<float[]> items_;
  std::vector<std::uint16_t> had_back_;  // a bit a lane
};

}  // namespace

void rescore_candidates(const ItemTable& table, const Kernels& kernels, const std::vector<Candidates*>& group) {
  std::vector<std::int64_t> next(group.size());  // each query's first entry that has no score yet
  std::int64_t n_entries = 0;
  for (Candidates* c : group) {
    c->sort_by_position();
    n_entries += c->n_scanned();
  }
  const Share share = n_entries > table.n_active()        ? Share::all
                      : n_entries > table.n_active() / 16 ? Share::panels
                                                          : Share::items;

  // What several queries ask for is had back once.
  Run run(table, kernels, share);
  for (;;) {
    std::uint32_t first = kNowhere;
    for (std::size_t q = 0; q < group.size(); ++q) {
      if (next[q] < group[q]->n_scanned()) first = std::min(first, group[q]->positions()[next[q]]);
    }
    if (first == kNowhere) break;
    run.start_at(first);
    for (std::size_t q = 0; q < group.size(); ++q) {
      Candidates& c = *group[q];
      std::int64_t end = next[q];
      for (; end < c.n_scanned() && run.holds(c.positions()[end]); ++end) {
        if (share != Share::all) run.have(c.positions()[end]);
      }
      if (end == next[q]) continue;
      c.score_entries(next[q], end, run.items(), run.first());
      if (share == Share::items && end < c.n_scanned()) prefetch_item(table, c.positions()[end]);
      next[q] = end;
    }
  }
  for (Candidates* c : group) c->settled();
}

}  // namespace gpurec::cpu
