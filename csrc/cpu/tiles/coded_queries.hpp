// The queries that scan a block together in integers: their codes, and what start values are made of (StartTermsI8).
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/scan_i4.hpp"
#include "search/scan_blocks.hpp"

namespace gpurec::cpu {

struct CodedQueries {
  std::vector<Progress*> members;
  std::vector<const std::int8_t*> codes;
  std::vector<float> below, length, error, inverse_scale;
  std::vector<std::int32_t> offset;
  std::vector<std::int32_t> start, weights;  // of the tile that is scanned

  void clear() {
    members.clear();
    codes.clear();
    if (!GPUREC_PLANTED(int8_threshold_stale)) below.clear();
    length.clear();
    error.clear();
    inverse_scale.clear();
    offset.clear();
  }

  // `zero` is what item codes are offset by.
  void add(Progress& p, std::int32_t zero) {
    const Int8Bound& bound = p.candidates.int8_bound();
    members.push_back(&p);
    codes.push_back(p.codes.data());
    below.push_back(below_of(members.size() - 1));
    length.push_back(bound.length());
    error.push_back(bound.error_per_norm());
    inverse_scale.push_back(1.0f / bound.scale());
    offset.push_back(-zero * p.query_codes.sum);
  }

  int size() const { return int(members.size()); }

  // The start values for a tile of such bounds.
  const std::int32_t* start_at(const TileBounds& bounds, const Kernels& kernels) {
    start.resize(members.size());
    const StartTermsI8 terms = {below.data(), length.data(), error.data(), inverse_scale.data(), offset.data()};
    const TileTermsI8 of_tile = {bounds.error, float(bounds.largest), 1.0f / bounds.scale,
                                 members[0]->candidates.int8_bound().start_shift(bounds)};
    kernels.start_values_i8(terms, size(), of_tile, start.data());
    return start.data();
  }

  // The weights of the shares that items of a tile of 4-bit codes have in an error; `start_at` was asked for a tile
  // without errors. Where there is no such weight every item comes near.
  const std::int32_t* weights_at(const TileBounds& bounds) {
    weights.resize(members.size());
    for (std::size_t m = 0; m < members.size(); ++m) {
      weights[m] = weight_of_share(length[m], inverse_scale[m], bounds.error, 1.0f / bounds.scale);
      if (weights[m] <= kMostWeight) continue;
      weights[m] = 0;
      start[m] = offset[m] + (1 << 30);
    }
    return weights.data();
  }

  // What query m rejects, now that its threshold rose.
  float below_of(std::size_t m) const {
    const Candidates& c = members[m]->candidates;
    return c.int8_bound().below(c.tau());
  }
};

}  // namespace gpurec::cpu
