#include "candidates/rescore_candidates.hpp"

#include <algorithm>
#include <memory>

namespace gpurec::cpu {
namespace {

// How much of a run is had back: reading a panel costs more than turning it, and where nearly all is asked for there is
// no need to look what is there already.
enum class Share { items, panels, all };

// The items of a run of positions one after another, in one part: where they lie, or had back from their panels.
class Run {
 public:
  Run(const ItemTable& table, const Kernels& kernels, Share share)
      : table_(table),
        kernels_(kernels),
        share_(share),
        size_(std::clamp<std::int64_t>(kRoom / table.d(), kPanelItems, kMostItems) / kPanelItems * kPanelItems) {
    if (table.with_codes()) {
      if (share != Share::all) size_ = kNowhere;  // items that one query asks for are of no use to another
    } else {
      room_.reset(new float[std::size_t(size_ * table.d())]);
      had_back_.resize(std::size_t(size_ / kPanelItems));
    }
  }

  void start_at(std::uint32_t position) {
    const ItemTable::Part& part = table_.part_of(position);
    first_ = position - position % kPanelItems;
    const std::int64_t end = part.base + ItemSegment::padded(part.segment->n);
    end_ = std::uint32_t(std::min<std::int64_t>(end, std::int64_t(first_) + size_));
    items_ = part.segment->by_rows() ? part.segment->row(first_ - part.base) : room_.get();
    if (part.segment->by_rows()) return;
    std::fill(had_back_.begin(), had_back_.end(), std::uint16_t(0));
    if (share_ != Share::all) return;
    for (std::uint32_t at = first_; at < end_; at += kPanelItems) unpack(at);
  }

  std::uint32_t first() const { return first_; }
  const float* items() const { return items_; }
  bool holds(std::uint32_t position) const { return position < end_; }

  void have(std::uint32_t position) {
    const std::uint32_t at = position - first_;
    std::uint16_t& lanes = had_back_[at / kPanelItems];
    if ((lanes >> (at % kPanelItems) & 1) != 0) return;
    if (share_ == Share::panels) {
      unpack(position - at % kPanelItems);
      lanes = 0xffff;
    } else {
      table_.copy_item(position, room_.get() + at * table_.d());
      lanes = std::uint16_t(lanes | 1u << (at % kPanelItems));
    }
  }

 private:
  static constexpr std::int64_t kMostItems = 4096;
  static constexpr std::int64_t kRoom = 1 << 16;  // floats: they stay in the second-level cache

  void unpack(std::uint32_t first) {
    const ItemTable::Part& part = table_.part_of(first);
    kernels_.unpack_panel(part.segment->panel_of(first - part.base), table_.d(),
                          room_.get() + (first - first_) * table_.d());
  }

  const ItemTable& table_;
  const Kernels& kernels_;
  Share share_;
  std::int64_t size_;
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
  const float* items_ = nullptr;
  std::unique_ptr<float[]> room_;
  std::vector<std::uint16_t> had_back_;  // a bit a lane
};

constexpr std::int64_t kAtOnce = 8;

void prefetch(const ItemTable& table, const Candidates& c, std::int64_t first, std::int64_t end) {
  for (std::int64_t e = first; e < std::min(end, first + kAtOnce); ++e) table.prefetch_item(c.positions()[e]);
}

// Scores entries of rows that lie apart: those of the next few come nearer meanwhile, as the first few have.
void score_apart(const ItemTable& table, Candidates& c, std::int64_t begin, std::int64_t end, const Run& run) {
  for (std::int64_t e = begin; e < end; e += kAtOnce) {
    prefetch(table, c, e + kAtOnce, end);
    c.score_entries(e, std::min(end, e + kAtOnce), run.items(), run.first());
  }
}

}  // namespace

void rescore_candidates(const ItemTable& table, const Kernels& kernels, const std::vector<Candidates*>& group) {
  std::vector<std::int64_t> next(group.size());  // each query's first entry that has no score yet
  std::int64_t n_entries = 0;
  for (const Candidates* c : group) n_entries += c->n_scanned();
  const Share share = n_entries > table.n_active()        ? Share::all
                      : n_entries > table.n_active() / 16 ? Share::panels
                                                          : Share::items;

  const bool at_hand = share == Share::all || table.with_codes();
  const bool apart = share != Share::all && table.with_codes();

  // What several queries ask for is had back once, or comes near once.
  Run run(table, kernels, share);
  for (;;) {
    std::uint32_t first = kNowhere;
    for (std::size_t q = 0; q < group.size(); ++q) {
      if (next[q] < group[q]->n_scanned()) first = std::min(first, group[q]->positions()[next[q]]);
    }
    if (first == kNowhere) break;
    run.start_at(first);
    if (apart) prefetch(table, *group[0], next[0], group[0]->n_scanned());
    for (std::size_t q = 0; q < group.size(); ++q) {
      Candidates& c = *group[q];
      if (apart && q + 1 < group.size()) prefetch(table, *group[q + 1], next[q + 1], group[q + 1]->n_scanned());
      std::int64_t end = next[q];
      for (; end < c.n_scanned() && run.holds(c.positions()[end]); ++end) {
        if (!at_hand) run.have(c.positions()[end]);
      }
      if (end == next[q]) continue;
      if (apart) {
        score_apart(table, c, next[q], end, run);
      } else {
        c.score_entries(next[q], end, run.items(), run.first());
      }
      if (share == Share::items && !at_hand && end < c.n_scanned()) table.prefetch_item(c.positions()[end]);
      next[q] = end;
    }
  }
}

}  // namespace gpurec::cpu
