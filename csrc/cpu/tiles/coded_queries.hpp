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
  std::vector<float> below, least_norm, length, error, inverse_scale;
  std::vector<std::int32_t> offset;
  std::vector<std::int32_t> start, weights;  // of the tile that is scanned

  void clear() {
    members.clear();
    codes.clear();
    if (!GPUREC_PLANTED(int8_threshold_stale)) below.clear();
    least_norm.clear();
    length.clear();
    error.clear();
    inverse_scale.clear();
    offset.clear();
  }

  // `zero` is what item codes are offset by.
  void add(Progress& p, std::int32_t zero) {
    add(p, p.candidates.int8_bound(), p.codes.data(), -zero * p.query_codes.sum);
  }

  // The same of other codes of the query, with their bound and what takes the offset back.
  void add(Progress& p, const Int8Bound& bound, const std::int8_t* of_query, std::int32_t offset_back) {
    members.push_back(&p);
    codes.push_back(of_query);
    below.push_back(p.candidates.int8_bound().below(p.candidates.tau()));
    least_norm.push_back(p.candidates.int8_bound().least_norm(p.candidates.tau()));
    length.push_back(bound.length());
    error.push_back(bound.error_per_norm());
    inverse_scale.push_back(1.0f / bound.scale());
    offset.push_back(offset_back);
  }

  // The last one is done.
  void drop_last() {
    members.pop_back();
    codes.pop_back();
    below.pop_back();
    least_norm.pop_back();
    length.pop_back();
    error.pop_back();
    inverse_scale.pop_back();
    offset.pop_back();
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

  // The same for tiles of one block and the only query there is, whose terms and a tile's take each other's places.
  const std::int32_t* start_of_one(const TileBounds* tiles, int n_tiles, const Kernels& kernels) {
    constexpr int kMost = int(kBlockItems / kTileItems);
    float shifts[kMost], norms[kMost], errors[kMost], inverse_scales[kMost];
    std::int32_t offsets[kMost];
    for (int t = 0; t < n_tiles; ++t) {
      shifts[t] = members[0]->candidates.int8_bound().start_shift(tiles[t]);
      norms[t] = float(tiles[t].largest);
      errors[t] = tiles[t].error;
      inverse_scales[t] = 1.0f / tiles[t].scale;
      offsets[t] = offset[0];
    }
    start.resize(kMost);
    const StartTermsI8 of_tiles = {shifts, norms, errors, inverse_scales, offsets};
    const TileTermsI8 of_query = {error[0], length[0], inverse_scale[0], below[0]};
    kernels.start_values_i8(of_tiles, n_tiles, of_query, start.data());
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
  void raise(std::size_t m, std::size_t of) {
    const Candidates& c = members[m]->candidates;
    below[of] = c.int8_bound().below(c.tau());
    least_norm[of] = c.int8_bound().least_norm(c.tau());
  }
};

}  // namespace gpurec::cpu
