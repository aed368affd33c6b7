// Scan values and positions of items that may be answers, side by side. Room is never initialised: lists hold up to
// twice k entries and are made anew by every search.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace gpurec::cpu {

class ScanList {
 public:
  std::int64_t size() const { return size_; }
  std::int64_t room() const { return room_; }
  float* values() { return values_; }
  std::uint32_t* positions() { return positions_; }
  const float* values() const { return values_; }
  const std::uint32_t* positions() const { return positions_; }

  // Entries up to `size` <= room() have been written; those beyond are forgotten.
  void set_size(std::int64_t size) { size_ = size; }

  // Room for that many entries; those there are stay.
  void reserve(std::int64_t room) {
    if (room <= room_) return;
    constexpr std::size_t kEntry = sizeof(float) + sizeof(std::uint32_t);
    std::unique_ptr<unsigned char[]> memory(new unsigned char[std::size_t(room) * kEntry]);
    auto* const values = reinterpret_cast<float*>(memory.get());
    auto* const positions = reinterpret_cast<std::uint32_t*>(values + room);
    std::copy_n(values_, size_, values);
    std::copy_n(positions_, size_, positions);
    memory_ = std::move(memory);
    values_ = values;
    positions_ = positions;
    room_ = room;
  }

  void append(const ScanList& other) {
    reserve(size_ + other.size_);
    std::copy_n(other.values_, other.size_, values_ + size_);
    std::copy_n(other.positions_, other.size_, positions_ + size_);
    size_ += other.size_;
  }

  // Leaves the entries that reach `value`; the others wait behind them, in order too.
  void set_aside_below(float value) {
    constexpr std::int64_t kFew = 256;
    std::pair<float, std::uint32_t> few[kFew];
    std::vector<std::pair<float, std::uint32_t>> many(std::size_t(size_ > kFew ? size_ : 0));
    auto* const aside = size_ > kFew ? many.data() : few;
    std::int64_t kept = 0;
    for (std::int64_t i = 0; i < size_; ++i) {  // no branch: which way an entry goes nobody could predict
      const float at = values_[i];
      const std::uint32_t position = positions_[i];
      values_[kept] = at;
      positions_[kept] = position;
      aside[n_aside_] = {at, position};
      kept += at >= value;
      n_aside_ += !(at >= value);
    }
    size_ = kept;
    for (std::int64_t i = 0; i < n_aside_; ++i) {
      std::tie(values_[size_ + i], positions_[size_ + i]) = aside[i];
    }
  }
  std::int64_t n_aside() const { return n_aside_; }

  // Those that wait take the place of the entries before them.
  void take_up_aside() {
    const std::int64_t size = std::exchange(size_, std::exchange(n_aside_, 0));
    std::copy_n(values_ + size, size_, values_);
    std::copy_n(positions_ + size, size_, positions_);
  }

  // The order in which items lie. It mostly is: only lists of several threads or segments are not.
  void sort_by_position() {
    if (std::is_sorted(positions_, positions_ + size_)) return;
    std::vector<std::pair<std::uint32_t, float>> entries(static_cast<std::size_t>(size_));
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = {positions_[i], values_[i]};
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i < entries.size(); ++i) std::tie(positions_[i], values_[i]) = entries[i];
  }

 private:
  std::unique_ptr<unsigned char[]> memory_;  // of both
  float* values_ = nullptr;
  std::uint32_t* positions_ = nullptr;
  std::int64_t size_ = 0;
  std::int64_t n_aside_ = 0;  // entries behind the others
  std::int64_t room_ = 0;
};

}  // namespace gpurec::cpu
