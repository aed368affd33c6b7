// Room in which threads solve rows of op `als`.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "gpurec/als.hpp"
#include "table/aligned.hpp"

namespace gpurec::cpu {

inline std::int64_t als_padded_to(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// Rooms for threads, one for each that works at a time.
class AlsRooms {
 public:
  AlsRooms(std::int64_t d_padded, std::int64_t longest, std::int64_t rows = 0)
      : d_(d_padded), longest_(als_padded_to(longest, kAlsPadding)), rows_(rows) {}

  struct Room {
    AlsScratch scratch;
    AlignedFloats memory;
    AlignedFloats extra;
    AlignedFloats solutions;  // of the rows of a task, d_padded each
  };

  std::unique_ptr<Room> take() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Room> room = std::move(free_.back());
        free_.pop_back();
        return room;
      }
    }
    auto room = std::make_unique<Room>();
    const std::int64_t chunk = std::min(als_chunk(d_), longest_), apart = d_ + kAlsPadding;
    const std::int64_t said = std::max(longest_, chunk) + kAlsPadding;
    room->memory = AlignedFloats(3 * chunk * d_ + d_ * apart + 8 * apart + 2 * said);
    room->extra = AlignedFloats(longest_);
    room->solutions = AlignedFloats(rows_ * d_);
    float* at = room->memory.data();
    const auto next = [&](std::int64_t n) {
      float* const here = at;
      at += n;
      return here;
    };
    room->scratch.rows = next(chunk * d_);
    room->scratch.part = next(chunk * d_);
    room->scratch.left = next(chunk * d_);
    room->scratch.matrix = next(d_ * apart);
    room->scratch.vectors = next(8 * apart);
    room->scratch.said = next(said);
    room->scratch.scores = next(said);
    return room;
  }

  void give_back(std::unique_ptr<Room> room) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(room));
  }

 private:
  std::int64_t d_, longest_, rows_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Room>> free_;
};

}  // namespace gpurec::cpu
