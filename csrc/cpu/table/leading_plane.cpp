#include "table/leading_plane.hpp"

#include <algorithm>
#include <cmath>

#include "table/aligned.hpp"
#include "table/find_directions.hpp"
#include "table/item_segment.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kTilesPerTask = 64;

struct OwnedPlane {
  std::vector<float> directions;
  AlignedFloats codes;  // four to a float
  std::vector<float> scales, errors, norms;
};

}  // namespace

void LeadingPlane::rotate(const float* x, double norm, const Kernels& kernels, float* out, double* room) const {
  for (std::int64_t i = 0; i < d; ++i) room[i] = double(x[i]);
  for (std::int64_t j = 0; j < m; ++j) {
    const float* const direction = directions + j * d;
    out[j] = float(kernels.dot64(direction, x, d));
    const double y = double(out[j]);
    for (std::int64_t i = 0; i < d; ++i) room[i] -= y * double(direction[i]);
  }
  double squares = lane_sum(d, [=](std::int64_t i) { return room[i] * room[i]; });
  if (GPUREC_PLANTED(rotation_tail_subtracted)) {
    squares = double(norm) * double(norm);
    for (std::int64_t j = 0; j < m; ++j) squares -= double(out[j]) * double(out[j]);
    squares = std::fmax(squares, 0.0);
  }
  out[m] = round_up32(rotation_tail(squares, d, norm));
}

bool LeadingPlane::complete(const std::vector<TileBounds>& of_items) {
  double squares = 0.0;
  for (std::int64_t a = 0; a < m; ++a) {
    for (std::int64_t b = 0; b < m; ++b) {
      const double off = dot64(directions + a * d, directions + b * d, d) - (a == b ? 1.0 : 0.0);
      squares += off * off;
    }
  }
  defect = rotation_defect(squares, d, m);
  tiles.clear();
  for (std::size_t t = 0; t < of_items.size(); ++t) {
    tiles.push_back({scales[t], errors[t], of_items[t].smallest, std::max(of_items[t].largest, double(norms[t]))});
    if (GPUREC_PLANTED(rotation_codes_error_dropped)) tiles.back().error = 0.0f;
  }
  return defect <= kMostDefect;
}

bool LeadingQuery::make(const LeadingPlane& plane, Metric metric, const float* query, const Kernels& kernels) {
  std::vector<double> room(static_cast<std::size_t>(plane.d));
  std::vector<float> rotated(static_cast<std::size_t>(plane.n_codes()));
  const double squares = kernels.dot64(query, query, plane.d);
  const double norm = norm_upper(squares, plane.d);
  plane.rotate(query, norm, kernels, rotated.data(), room.data());
  codes.resize(std::size_t((plane.n_codes() + 2 * kGroup - 1) / (2 * kGroup) * (2 * kGroup)));
  query_codes = kernels.quantise_query(rotated.data(), plane.n_codes(), codes.data());
  if (query_codes.scale == 0.0f) return false;
  const double length = norm_upper(dot64(rotated.data(), rotated.data(), plane.n_codes()), plane.n_codes());
  const double error = query_codes.error + rotation_error(plane.defect, norm, length);
  bound = Int8Bound(metric, plane.d, squares, query_codes.scale, query_codes.length, next_up(error));
  return true;
}

std::shared_ptr<const LeadingPlane> leading_plane_of(const ItemSegment& segment, MatrixView<const float> directions,
                                                     const Kernels& kernels, int n_threads) {
  const std::int64_t d = segment.d, m = directions.rows, n_tiles = segment.n_tiles();
  if (m == 0 || m > kMostDirections || d >= std::int64_t(1) << 20) return nullptr;
  auto plane = std::make_shared<LeadingPlane>();
  auto owned = std::make_shared<OwnedPlane>();
  plane->d = d;
  plane->m = m;
  owned->codes = AlignedFloats(n_tiles * plane->tile_bytes() / std::int64_t(sizeof(float)));
  for (std::int64_t j = 0; j < m; ++j) {
    owned->directions.insert(owned->directions.end(), directions.row(j), directions.row(j) + d);
  }
  for (auto* const array : {&owned->scales, &owned->errors, &owned->norms}) array->resize(std::size_t(n_tiles));
  plane->directions = owned->directions.data();
  auto* const codes = reinterpret_cast<std::uint8_t*>(owned->codes.data());
  plane->codes = codes;
  plane->scales = owned->scales.data();
  plane->errors = owned->errors.data();
  plane->norms = owned->norms.data();
  plane->owner = owned;
  parallel_for(n_threads, (n_tiles + kTilesPerTask - 1) / kTilesPerTask, [&](std::int64_t task) {
    std::vector<double> room(static_cast<std::size_t>(d));
    std::vector<float> rotated(std::size_t(kTileItems * plane->n_codes()));
    for (std::int64_t t = task * kTilesPerTask; t < std::min(n_tiles, (task + 1) * kTilesPerTask); ++t) {
      const auto n_items = int(std::min<std::int64_t>(kTileItems, segment.n - t * kTileItems));
      float norm = 0.0f;
      for (int j = 0; j < n_items; ++j) {
        float* const y = rotated.data() + j * plane->n_codes();
        const std::int64_t at = t * kTileItems + j;
        plane->rotate(segment.row(at), double(segment.norms[at]), kernels, y, room.data());
        norm = std::fmax(norm, stored_norm(dot64(y, y, plane->n_codes()), plane->n_codes()));
      }
      kernels.quantise_tile_i8(rotated.data(), n_items, plane->n_codes(), codes + t * plane->tile_bytes(),
                               &owned->scales[std::size_t(t)], &owned->errors[std::size_t(t)]);
      owned->norms[std::size_t(t)] = norm;
    }
  });
  return plane->complete(segment.tiles) ? plane : nullptr;
}

std::shared_ptr<const LeadingPlane> leading_plane(const ItemSegment& segment, Pruning::Directions wanted,
                                                  const Kernels& kernels, int n_threads) {
  if (wanted == Pruning::Directions::never || !segment.by_rows() || segment.n == 0) return nullptr;
  const std::vector<float> directions =
      find_directions(segment, wanted == Pruning::Directions::always, kernels);
  const auto m = std::int64_t(directions.size()) / segment.d;
  return leading_plane_of(segment, {directions.data(), m, segment.d, segment.d}, kernels, n_threads);
}

}  // namespace gpurec::cpu
