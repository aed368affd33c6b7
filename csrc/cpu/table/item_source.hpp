// What a search asks of the items behind positions; asked for the few that come near an answer, never in a hot loop.
#pragma once
#include <cstdint>

#include "gpurec/bounds.hpp"
#include "gpurec/views.hpp"

namespace gpurec::cpu {

class ItemSource {
 public:
  virtual ~ItemSource() = default;
  virtual std::int64_t d() const = 0;
  virtual Metric metric() const = 0;
  virtual std::int64_t row_at(std::uint32_t position) const = 0;
  // The same for n positions: one call where a list is long.
  virtual void rows_at(const std::uint32_t* positions, std::int64_t n, std::uint32_t* rows) const = 0;
  virtual double norm_at(std::uint32_t position) const = 0;  // an upper bound
  virtual const TileBounds* tile_at(std::uint32_t position) const = 0;  // null without codes
  virtual void copy_item(std::uint32_t position, float* out) const = 0;
  // Where the item lies, or `room` with its copy.
  virtual const float* item_at(std::uint32_t position, float* room) const {
    copy_item(position, room);
    return room;
  }
  virtual void prefetch_item(std::uint32_t) const {}
};

}  // namespace gpurec::cpu
