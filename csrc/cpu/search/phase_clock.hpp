// How long a thread was busy with each phase of a search. Where nobody asks the clock is never read.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>

#include "gpurec/score_top_k.hpp"

namespace gpurec::cpu {

class PhaseClock {
 public:
  explicit PhaseClock(bool is_read) : is_read_(is_read) {}

  // Ends the phase before.
  void begin(Phase phase) {
    if (!is_read_) return;
    stop();
    phase_ = phase;
    is_running_ = true;
  }

  void stop() {
    if (!is_read_) return;
    const auto now = std::chrono::steady_clock::now();
    if (is_running_) seconds_[std::size_t(phase_)] += std::chrono::duration<double>(now - since_).count();
    is_running_ = false;
    since_ = now;
  }

  void add_to(SearchReport& report) const {
    for (std::size_t phase = 0; phase < kPhases; ++phase) report.seconds[phase] += seconds_[phase];
  }

 private:
  bool is_read_;
  bool is_running_ = false;
  Phase phase_ = Phase::start;
  std::chrono::steady_clock::time_point since_;
  std::array<double, kPhases> seconds_{};
};

}  // namespace gpurec::cpu
