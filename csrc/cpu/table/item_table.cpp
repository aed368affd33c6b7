#include "table/item_table.hpp"

#include <algorithm>
#include <stdexcept>

#include "threads.hpp"

namespace gpurec::cpu {

void ItemTable::grow(std::int64_t n_rows) {
  n_rows_ = n_rows;
  positions_.resize(std::size_t((n_rows + kChunkRows - 1) >> kChunkBits));
}

void ItemTable::set_position(std::int64_t row, std::uint32_t position, std::vector<char>& owned) {
  const auto index = std::size_t(row >> kChunkBits);
  owned.resize(positions_.size());
  auto& chunk = positions_[index];
  if (chunk == nullptr) {
    chunk = std::make_shared<Chunk>(std::size_t(kChunkRows), kNowhere);
    owned[index] = 1;
  } else if (!owned[index]) {
    chunk = std::make_shared<Chunk>(*chunk);  // the older version's searches still read the old one
    owned[index] = 1;
  }
  (*chunk)[std::size_t(row & (kChunkRows - 1))] = position;
}

void ItemTable::kill(std::uint32_t position, std::vector<char>& owned) {
  std::size_t i = parts_.size() - 1;
  while (parts_[i].base > position) --i;
  Part& part = parts_[i];
  owned.resize(parts_.size());
  if (!owned[i]) {
    auto copy = part.dead == nullptr
                    ? std::make_shared<std::vector<std::uint64_t>>(std::size_t((part.segment->n + 63) / 64))
                    : std::make_shared<std::vector<std::uint64_t>>(*part.dead);
    part.dead = std::move(copy);
    owned[i] = 1;
  }
  const std::uint32_t at = position - part.base;
  const_cast<std::vector<std::uint64_t>&>(*part.dead)[at / 64] |= std::uint64_t(1) << (at % 64);
  ++part.n_dead;
}

void ItemTable::add_segment(std::shared_ptr<const ItemSegment> segment) {
  const std::int64_t base =
      parts_.empty() ? 0 : parts_.back().base + ItemSegment::padded(parts_.back().segment->n);
  if (base + ItemSegment::padded(segment->n) >= std::int64_t(kNowhere)) {
    throw std::length_error("[index] expected fewer than 2^32 positions; compact the index");
  }
  parts_.push_back({std::move(segment), std::uint32_t(base), nullptr, 0});
}

std::shared_ptr<const ItemSegment> ItemTable::merged(std::size_t first_part, const Kernels& kernels,
                                                     int n_threads) const {
  struct Panel {
    const ItemSegment* segment;
    std::int64_t at;
    std::uint32_t lanes;  // a bit for each item that lives
    std::int64_t first;   // of those items among all
  };
  std::vector<Panel> panels;
  std::vector<std::uint32_t> rows;
  for (std::size_t i = first_part; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    for (std::int64_t at = 0; at < part.segment->n; at += kPanelItems) {
      std::uint32_t lanes = (1u << std::min<std::int64_t>(kPanelItems, part.segment->n - at)) - 1;
      if (part.dead != nullptr && !GPUREC_PLANTED(index_merge_revives)) {
        lanes &= ~std::uint32_t((*part.dead)[std::size_t(at / 64)] >> (at % 64));
      }
      panels.push_back({part.segment.get(), at, lanes, std::int64_t(rows.size())});
      for (; lanes != 0; lanes &= lanes - 1) rows.push_back(part.segment->row_of[at + __builtin_ctz(lanes)]);
    }
  }
  const auto n = std::int64_t(rows.size());
  AlignedFloats items(n * d_);
  constexpr std::int64_t kPanelsPerTask = 256;
  const auto n_panels = std::int64_t(panels.size());
  parallel_for(n_threads, (n_panels + kPanelsPerTask - 1) / kPanelsPerTask, [&](std::int64_t task) {
    std::vector<float> unpacked(std::size_t(kPanelItems * d_));
    for (std::int64_t p = task * kPanelsPerTask; p < std::min(n_panels, (task + 1) * kPanelsPerTask); ++p) {
      const Panel& panel = panels[std::size_t(p)];
      const float* source = panel.segment->row(panel.at);
      if (!panel.segment->by_rows()) {
        kernels.unpack_panel(source, d_, unpacked.data());
        source = unpacked.data();
      }
      float* item = items.data() + panel.first * d_;
      for (std::uint32_t lanes = panel.lanes; lanes != 0; lanes &= lanes - 1, item += d_) {
        std::copy_n(source + __builtin_ctz(lanes) * d_, d_, item);
      }
    }
  });
  return build_segment({items.data(), n, d_, d_}, rows.data(), metric_, with_codes_, pruning_.directions, kernels,
                       n_threads);
}

// Keeps each segment at least four times as large as the next: a row is copied a few times in its life, and a
// search visits few segments.
void ItemTable::merge_tail(const Kernels& kernels, int n_threads) {
  constexpr std::int64_t kRatio = 4;
  std::size_t first = parts_.size() - 1;
  std::int64_t size = parts_[first].segment->n;
  while (first > 0) {
    const Part& before = parts_[first - 1];
    if (before.segment->n - before.n_dead >= kRatio * size) break;
    size += before.segment->n - before.n_dead;
    --first;
  }
  if (first + 1 == parts_.size()) return;
  auto segment = merged(first, kernels, n_threads);
  parts_.resize(first);
  if (segment->n > 0) add_segment(std::move(segment));
}

void ItemTable::find_blocks() {
  blocks_.clear();
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& norms = parts_[i].segment->blocks;
    for (std::size_t b = 0; b < norms.size(); ++b) {
      blocks_.push_back({std::uint32_t(i), std::uint32_t(b * kBlockItems), norms[b].smallest, norms[b].largest});
    }
  }
  std::stable_sort(blocks_.begin(), blocks_.end(),
                   [](const Block& a, const Block& b) { return a.largest > b.largest; });
  if (pruning_.head) return;
  for (std::size_t i = blocks_.size(); i > 1; --i) {
    std::swap(blocks_[i - 1], blocks_[(std::uint64_t(i) * 2654435761u >> 16) % i]);
  }
}

std::shared_ptr<const ItemTable> ItemTable::with_items(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                                       std::int64_t n_rows, const Kernels& kernels,
                                                       int n_threads) const {
  auto table = std::make_shared<ItemTable>(*this);
  table->grow(n_rows);
  std::vector<char> owned_chunks, owned_dead;
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    const std::uint32_t before = table->position_of(public_rows[i]);
    if (before == kNowhere) {
      ++table->n_active_;
    } else {
      if (!GPUREC_PLANTED(index_update_keeps_old)) table->kill(before, owned_dead);
    }
  }
  if (rows.rows > 0) {
    table->add_segment(build_segment(rows, public_rows, metric_, with_codes_, pruning_.directions, kernels, n_threads));
    table->merge_tail(kernels, n_threads);
    const Part& last = table->parts_.back();
    for (std::int64_t at = 0; at < last.segment->n; ++at) {
      table->set_position(last.segment->row_of[at], last.base + std::uint32_t(at), owned_chunks);
    }
  }
  table->find_blocks();
  return table;
}

std::shared_ptr<const ItemTable> ItemTable::without(const std::uint32_t* public_rows, std::int64_t n) const {
  auto table = std::make_shared<ItemTable>(*this);
  std::vector<char> owned_chunks, owned_dead;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t position = table->position_of(public_rows[i]);
    if (position == kNowhere) continue;
    table->kill(position, owned_dead);
    table->set_position(public_rows[i], kNowhere, owned_chunks);
    --table->n_active_;
  }
  return table;
}

std::shared_ptr<const ItemTable> ItemTable::restricted_to(const std::uint32_t* public_rows, std::int64_t n,
                                                          const Kernels& kernels, int n_threads) const {
  std::vector<std::uint32_t> rows, positions;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t position = position_of(public_rows[i]);
    if (position == kNowhere) continue;
    rows.push_back(public_rows[i]);
    positions.push_back(position);
  }
  const auto n_items = std::int64_t(rows.size());
  AlignedFloats items(n_items * d_);
  constexpr std::int64_t kItemsPerTask = 256;
  parallel_for(n_threads, (n_items + kItemsPerTask - 1) / kItemsPerTask, [&](std::int64_t task) {
    const std::int64_t end = std::min(n_items, (task + 1) * kItemsPerTask);
    for (std::int64_t i = task * kItemsPerTask; i < end; ++i) copy_item(positions[std::size_t(i)], items.data() + i * d_);
  });
  return ItemTable(d_, metric_, false, pruning_).with_items({items.data(), n_items, d_, d_}, rows.data(), n_rows_, kernels, n_threads);
}

std::shared_ptr<const ItemTable> ItemTable::with_directions(MatrixView<const float> directions, const Kernels& kernels,
                                                            int n_threads) const {
  auto table = std::make_shared<ItemTable>(*this);
  if (table->parts_.empty() || !table->with_codes_) return table;
  auto segment = std::make_shared<ItemSegment>(*table->parts_[0].segment);
  segment->leading = leading_plane_of(*segment, directions, kernels, n_threads);
  table->parts_[0].segment = std::move(segment);
  return table;
}

std::shared_ptr<const ItemTable> ItemTable::compacted(const Kernels& kernels, int n_threads) const {
  if (parts_.size() <= 1 && (parts_.empty() || parts_[0].dead == nullptr)) return std::make_shared<ItemTable>(*this);
  return of_segment(merged(0, kernels, n_threads), n_rows_, pruning_);
}

std::shared_ptr<const ItemTable> ItemTable::of_segment(std::shared_ptr<const ItemSegment> segment,
                                                       std::int64_t n_rows, Pruning pruning) {
  auto table = std::make_shared<ItemTable>(segment->d, segment->metric, segment->codes != nullptr, pruning);
  table->grow(n_rows);
  table->n_active_ = segment->n;
  std::vector<char> owned;
  for (std::int64_t at = 0; at < segment->n; ++at) {
    if (table->position_of(segment->row_of[at]) != kNowhere) {
      throw std::invalid_argument("[index] expected distinct public rows");
    }
    table->set_position(segment->row_of[at], std::uint32_t(at), owned);
  }
  if (segment->n > 0) table->add_segment(std::move(segment));
  table->find_blocks();
  return table;
}

std::int64_t ItemTable::n_bytes() const {
  std::int64_t bytes = std::int64_t(blocks_.size() * sizeof(Block) + parts_.size() * sizeof(Part));
  for (const Part& part : parts_) {
    bytes += part.segment->n_bytes() + (part.dead == nullptr ? 0 : std::int64_t(part.dead->size() * 8));
  }
  for (const auto& chunk : positions_) bytes += chunk == nullptr ? 0 : kChunkRows * std::int64_t(sizeof(std::uint32_t));
  return bytes;
}

}  // namespace gpurec::cpu
