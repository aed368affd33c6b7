// One version of a table of items: segments, and where each public row lies. Never changed; a change makes a new
// table that shares what stayed the same, so that searches of the old one go on undisturbed.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "table/item_segment.hpp"
#include "table/item_source.hpp"

namespace gpurec::cpu {

// Positions of all segments, one segment after another.
constexpr std::uint32_t kNowhere = 0xffffffffu;

class ItemTable final : public ItemSource {
 public:
  struct Part {
    std::shared_ptr<const ItemSegment> segment;
    std::uint32_t base;                                       // position of its first item in the table
    std::shared_ptr<const std::vector<std::uint64_t>> dead;   // a bit for each position; null where all live
    std::int64_t n_dead;
  };

  // A block of some part, in the order in which a search visits them: largest norm first, or in any.
  struct Block {
    std::uint32_t part;
    std::uint32_t first;  // position within the part
    double smallest;
    double largest;
  };

  // A table with codes can be scanned in int8 arithmetic too.
  ItemTable(std::int64_t d, Metric metric, bool with_codes, Pruning pruning = {})
      : d_(d), metric_(metric), with_codes_(with_codes), pruning_(pruning) {}

  std::int64_t d() const override { return d_; }
  Metric metric() const override { return metric_; }
  bool with_codes() const { return with_codes_; }
  const Pruning& pruning() const { return pruning_; }
  // Whether no block has a larger score in it than norms allow the one before: then a search may end early.
  bool norms_fall() const { return metric_ == Metric::dot && pruning_.head; }
  // The directions that queries are rotated to, those of the first segment that has some; null where none has.
  const LeadingPlane* leading() const {
    for (const Part& part : parts_) {
      if (part.segment->leading != nullptr) return part.segment->leading.get();
    }
    return nullptr;
  }
  std::int64_t n_rows() const { return n_rows_; }      // public rows ever given
  std::int64_t n_active() const { return n_active_; }  // those that a search can return
  const std::vector<Part>& parts() const { return parts_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  std::int64_t n_bytes() const;

  // Position of a public row in the table, kNowhere for one that was removed or never had an item.
  std::uint32_t position_of(std::int64_t row) const {
    const auto& chunk = positions_[std::size_t(row >> kChunkBits)];
    return chunk == nullptr ? kNowhere : (*chunk)[std::size_t(row & (kChunkRows - 1))];
  }

  const Part& part_of(std::uint32_t position) const {
    std::size_t i = parts_.size() - 1;
    while (parts_[i].base > position) --i;
    return parts_[i];
  }
  std::int64_t row_at(std::uint32_t position) const override {
    const Part& part = part_of(position);
    return part.segment->row_of[position - part.base];
  }
  void rows_at(const std::uint32_t* positions, std::int64_t n, std::uint32_t* rows) const override {
    for (std::int64_t i = 0; i < n;) {
      const Part& part = part_of(positions[i]);
      const std::uint32_t* const row_of = part.segment->row_of;
      const auto end = std::uint32_t(ItemSegment::padded(part.segment->n));  // a list's mostly lie in one part
      for (; i < n && positions[i] - part.base < end; ++i) rows[i] = row_of[positions[i] - part.base];
    }
  }
  double norm_at(std::uint32_t position) const override {
    const Part& part = part_of(position);
    return double(part.segment->norms[position - part.base]);
  }
  const TileBounds* tile_at(std::uint32_t position) const override {
    const Part& part = part_of(position);
    return with_codes_ ? &part.segment->tiles[(position - part.base) / kTileItems] : nullptr;
  }
  void copy_item(std::uint32_t position, float* out) const override {
    const Part& part = part_of(position);
    part.segment->copy_item(position - part.base, out);
  }

  const float* item_at(std::uint32_t position, float* room) const override {
    const Part& part = part_of(position);
    if (part.segment->by_rows()) return part.segment->row(position - part.base);
    part.segment->copy_item(position - part.base, room);
    return room;
  }
  void prefetch_item(std::uint32_t position) const override {
    const Part& part = part_of(position);
    part.segment->prefetch_item(position - part.base);
  }

  // The table with public rows 0..n_rows-1 and these items in it; a row that had an item gets the new one.
  // `rows` are prepared; row i belongs to public_rows[i], each at most once.
  std::shared_ptr<const ItemTable> with_items(MatrixView<const float> rows, const std::uint32_t* public_rows,
                                              std::int64_t n_rows, const Kernels& kernels, int n_threads) const;
  // The table without these public rows; those that have no item do not matter.
  std::shared_ptr<const ItemTable> without(const std::uint32_t* public_rows, std::int64_t n) const;
  // A table of the same public rows in which only these, distinct, have their items; without codes, which would take
  // longer to make than they save.
  std::shared_ptr<const ItemTable> restricted_to(const std::uint32_t* public_rows, std::int64_t n,
                                                 const Kernels& kernels, int n_threads) const;
  // The same table whose first segment is scanned in these directions, (m, d), whether they lead or not.
  std::shared_ptr<const ItemTable> with_directions(MatrixView<const float> directions, const Kernels& kernels,
                                                   int n_threads) const;
  // The same items in one segment without dead positions.
  std::shared_ptr<const ItemTable> compacted(const Kernels& kernels, int n_threads) const;
  // A table of one segment that was made elsewhere, a mapped file for example.
  static std::shared_ptr<const ItemTable> of_segment(std::shared_ptr<const ItemSegment> segment, std::int64_t n_rows,
                                                     Pruning pruning);

 private:
  static constexpr int kChunkBits = 10;
  static constexpr std::int64_t kChunkRows = std::int64_t(1) << kChunkBits;
  using Chunk = std::vector<std::uint32_t>;

  void grow(std::int64_t n_rows);
  void set_position(std::int64_t row, std::uint32_t position, std::vector<char>& owned);
  void kill(std::uint32_t position, std::vector<char>& owned);
  void add_segment(std::shared_ptr<const ItemSegment> segment);
  void merge_tail(const Kernels& kernels, int n_threads);
  void find_blocks();
  std::shared_ptr<const ItemSegment> merged(std::size_t first_part, const Kernels& kernels, int n_threads) const;

  std::int64_t d_;
  Metric metric_;
  bool with_codes_;
  Pruning pruning_;
  std::int64_t n_rows_ = 0;
  std::int64_t n_active_ = 0;
  std::vector<Part> parts_;
  std::vector<Block> blocks_;
  std::vector<std::shared_ptr<Chunk>> positions_;  // copied before it is written, unless made by this change
};

}  // namespace gpurec::cpu
