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
  float* values() { return values_.get(); }
  std::uint32_t* positions() { return positions_.get(); }
  const float* values() const { return values_.get(); }
  const std::uint32_t* positions() const { return positions_.get(); }

  // Entries up to `size` <= room() have been written; those beyond are forgotten.
  void set_size(std::int64_t size) { size_ = size; }

  // Room for that many entries; those there are stay.
  void reserve(std::int64_t room) {
    if (room <= room_) return;
    std::unique_ptr<float[]> values(new float[std::size_t(room)]);
    std::unique_ptr<std::uint32_t[]> positions(new std::uint32_t[std::size_t(room)]);
    std::copy_n(values_.get(), size_, values.get());
    std::copy_n(positions_.get(), size_, positions.get());
    values_ = std::move(values);
    positions_ = std::move(positions);
    room_ = room;
  }

  void append(const ScanList& other) {
    reserve(size_ + other.size_);
    std::copy_n(other.values_.get(), other.size_, values_.get() + size_);
    std::copy_n(other.positions_.get(), other.size_, positions_.get() + size_);
    size_ += other.size_;
  }

  // Leaves the entries that reach `value`; the others wait behind them, in order too.
  void set_aside_below(float value) {
    std::vector<float> values(static_cast<std::size_t>(size_));
    std::vector<std::uint32_t> positions(values.size());
    std::int64_t kept = 0;
    for (std::int64_t i = 0; i < size_; ++i) {  // no branch: which way an entry goes nobody could predict
      const float at = values_[i];
      const std::uint32_t position = positions_[i];
      values_[kept] = values[std::size_t(n_aside_)] = at;
      positions_[kept] = positions[std::size_t(n_aside_)] = position;
      kept += at >= value;
      n_aside_ += !(at >= value);
    }
    size_ = kept;
    std::copy_n(values.data(), n_aside_, values_.get() + size_);
    std::copy_n(positions.data(), n_aside_, positions_.get() + size_);
  }
  std::int64_t n_aside() const { return n_aside_; }

  // Those that wait take the place of the entries before them.
  void take_up_aside() {
    const std::int64_t size = std::exchange(size_, std::exchange(n_aside_, 0));
    std::copy_n(values_.get() + size, size_, values_.get());
    std::copy_n(positions_.get() + size, size_, positions_.get());
  }

  // The order in which items lie. It mostly is: only lists of several threads or segments are not.
  void sort_by_position() {
    if (std::is_sorted(positions_.get(), positions_.get() + size_)) return;
    std::vector<std::pair<std::uint32_t, float>> entries(static_cast<std::size_t>(size_));
    for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = {positions_[i], values_[i]};
    std::sort(entries.begin(), entries.end());
    for (std::size_t i = 0; i < entries.size(); ++i) std::tie(positions_[i], values_[i]) = entries[i];
  }

 private:
  std::unique_ptr<float[]> values_;
  std::unique_ptr<std::uint32_t[]> positions_;
  std::int64_t size_ = 0;
  std::int64_t n_aside_ = 0;  // entries behind the others
  std::int64_t room_ = 0;
};

}  // namespace gpurec::cpu
