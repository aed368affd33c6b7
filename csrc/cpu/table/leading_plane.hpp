// A second, small copy of a segment's items: int8 codes of their components in a few leading directions, for a scan
// that tells which items need a closer look. docs/design/0011-pruning.md says why it is exact.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "dispatch.hpp"
#include "gpurec/bounds.hpp"
#include "gpurec/codes.hpp"
#include "gpurec/views.hpp"
#include "table/pruning.hpp"

namespace gpurec::cpu {

constexpr std::int64_t kMostDirections = 31;

struct ItemSegment;

struct LeadingPlane {
  std::int64_t d = 0;                 // components of an item
  std::int64_t m = 0;                 // directions; an item has m + 1 codes, the last one of what these leave out
  const float* directions = nullptr;  // (m, d), nearly orthonormal
  double defect = 0.0;                // eta of bounds.hpp
  const std::uint8_t* codes = nullptr;  // (n_tiles, tile_bytes), as in ItemSegment
  const float* scales = nullptr;        // (n_tiles); 0 for a tile without codes
  const float* errors = nullptr;        // (n_tiles), upper bounds
  const float* norms = nullptr;         // (n_tiles), upper bounds of the items' norms before and after
  std::vector<TileBounds> tiles;
  std::shared_ptr<const void> owner;

  std::int64_t n_codes() const { return m + 1; }
  std::int64_t n_groups() const { return (n_codes() + kGroup - 1) / kGroup; }
  std::int64_t tile_bytes() const { return n_groups() * kGroup * kTileItems; }
  const std::uint8_t* codes_of(std::int64_t position) const { return codes + position / kTileItems * tile_bytes(); }
  std::int64_t n_bytes(std::int64_t n_tiles) const {
    return n_tiles * (tile_bytes() + std::int64_t(3 * sizeof(float) + sizeof(TileBounds))) + m * d * std::int64_t(sizeof(float));
  }

  // The components of x in the leading directions and, last, the length of what they leave out: m + 1 floats. `norm` is
  // an upper bound of |x|; `room` holds d doubles.
  void rotate(const float* x, double norm, const Kernels& kernels, float* out, double* room) const;

  // Fills `defect` and, from the norms of the segment's own tiles, `tiles`. False where the directions are of no use.
  bool complete(const std::vector<TileBounds>& of_items);
};

// A query in leading directions.
struct LeadingQuery {
  std::vector<std::int8_t> codes;
  QueryCodes query_codes;
  Int8Bound bound;

  // False where it cannot be told in codes.
  bool make(const LeadingPlane& plane, Metric metric, const float* query, const Kernels& kernels);
};

// The plane of a segment that has codes; null where there should be none.
std::shared_ptr<const LeadingPlane> leading_plane(const ItemSegment& segment, Pruning::Directions wanted,
                                                  const Kernels& kernels, int n_threads);

// The same for directions that are given, any (m, d), whether they lead or not.
std::shared_ptr<const LeadingPlane> leading_plane_of(const ItemSegment& segment, MatrixView<const float> directions,
                                                     const Kernels& kernels, int n_threads);

}  // namespace gpurec::cpu
