// Registers what tests and benchmarks ask of the kernels of the integer scans.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../../cpu/dispatch.hpp"
#include "../arrays.hpp"
#include "../compute.hpp"
#include "../seconds.hpp"
#include "gpurec/codes.hpp"

namespace gpurec::bindings {
namespace {

struct alignas(64) RowOfSums {
  std::int32_t sums[kTileItems];
};

struct alignas(64) RowOfScores {
  float scores[kTileItems];
};

// A tile and the queries that it is multiplied with.
class TileI8 {
 public:
  // queries of shape (n, 4 n_groups), start (n,), codes (n_groups, kTileItems, 4)
  TileI8(const Array<std::int8_t>& queries, const Array<std::int32_t>& start, const Array<std::uint8_t>& codes)
      : start_(start.data()), n_queries_(int(start.size())), codes_(codes.data()), n_groups_(codes.shape(0)) {
    require(codes.ndim() == 3 && codes.shape(1) == kTileItems && codes.shape(2) == kGroup,
            "codes of shape (n_groups, 64, 4)");
    require(n_groups_ >= 1 && n_groups_ <= kMostGroups, "at least a group, and few enough for a dot in int32");
    require(queries.ndim() == 2 && queries.shape(1) == n_groups_ * kGroup, "queries as wide as the codes");
    require(start.ndim() == 1 && start.size() == queries.shape(0), "a start for each query");
    for (int m = 0; m < n_queries_; ++m) queries_.push_back(queries.data() + m * n_groups_ * kGroup);
    near.resize(queries_.size());
    hits.resize(queries_.size());
    rows.resize(queries_.size());
  }

  int scan(ScanTileI8 kernel, const std::uint8_t* next) {
    return kernel(queries_.data(), start_, n_queries_, codes_, n_groups_, near.data(), hits.data(), rows.data()->sums,
                  next);
  }

  const std::uint8_t* codes() const { return codes_; }

  std::vector<std::int32_t> near;
  std::vector<std::uint64_t> hits;
  std::vector<RowOfSums> rows;

 private:
  std::vector<const std::int8_t*> queries_;
  const std::int32_t* start_;
  int n_queries_;
  const std::uint8_t* codes_;
  std::int64_t n_groups_;
};

template <class T>
Array<T> array_of(const std::vector<T>& values, int n) {
  Array<T> out(n);
  std::copy_n(values.data(), n, out.mutable_data());
  return out;
}

// (codes, scale, length, error, sum) of the kernel.
py::tuple quantise_query(const Array<float>& query, const std::string& isa) {
  const std::int64_t d = query.size();
  Array<std::int8_t> codes((d + 2 * kGroup - 1) / (2 * kGroup) * (2 * kGroup));
  const QueryCodes found = cpu::kernels(isa).quantise_query(query.data(), d, codes.mutable_data());
  return py::make_tuple(codes, found.scale, found.length, found.error, found.sum);
}

// (near, hits, sums) of the kernel.
py::tuple scan_tile_i8(const Array<std::int8_t>& queries, const Array<std::int32_t>& start,
                       const Array<std::uint8_t>& codes, bool ask, const std::string& isa) {
  TileI8 tile(queries, start, codes);
  const ScanTileI8 kernel = cpu::kernels(isa).scan_tile_i8;
  const int n = compute([&] { return tile.scan(kernel, ask ? tile.codes() : nullptr); });
  Array<std::int32_t> sums({n, kTileItems});
  for (int r = 0; r < n; ++r) std::copy_n(tile.rows[std::size_t(r)].sums, kTileItems, sums.mutable_data(r, 0));
  return py::make_tuple(array_of(tile.near, n), array_of(tile.hits, n), sums);
}

// Seconds of one of `n_calls` calls for the same tile.
double scan_tile_i8_seconds(const Array<std::int8_t>& queries, const Array<std::int32_t>& start,
                            const Array<std::uint8_t>& codes, std::int64_t n_calls, const std::string& isa) {
  TileI8 tile(queries, start, codes);
  const ScanTileI8 kernel = cpu::kernels(isa).scan_tile_i8;
  return compute([&] { return seconds_of_one(n_calls, [&] { tile.scan(kernel, nullptr); }); });
}

// The same of the float32 tile, without hits: panels of shape (kTilePanels, d, kPanelItems).
double scan_tile_f32_seconds(const Array<float>& queries, const Array<float>& panels, std::int64_t n_calls,
                             const std::string& isa) {
  const MatrixView<const float> q = matrix(queries, "queries of shape (n_queries, d)");
  require(panels.size() == kTileItems * q.cols, "a tile of panels as wide as the queries");
  std::vector<const float*> rows;
  for (std::int64_t m = 0; m < q.rows; ++m) rows.push_back(q.data + m * q.row_stride);
  const std::vector<float> start(kTileItems), reject(kTileQueries, std::numeric_limits<float>::infinity());
  std::vector<RowOfScores> scores(kTileQueries);
  std::uint64_t hits[kTileQueries];
  const ScanTile kernel = cpu::kernels(isa).scan_tile;
  const float* const items = panels.data();
  const auto scan = [&] {
    for (std::size_t m = 0; m < rows.size(); m += kTileQueries) {
      const int n = int(std::min<std::size_t>(kTileQueries, rows.size() - m));
      kernel(rows.data() + m, n, items, q.cols, start.data(), reject.data(), scores.data()->scores, hits, nullptr, 0);
    }
  };
  return compute([&] { return seconds_of_one(n_calls, scan); });
}

Array<std::int32_t> start_values_i8(const Array<float>& below, const Array<float>& length, const Array<float>& error,
                                    const Array<float>& inverse_scale, const Array<std::int32_t>& offset,
                                    float tile_error, float tile_norm, float tile_inverse_scale, float tile_shift,
                                    const std::string& isa) {
  const std::int64_t n = below.size();
  require(length.size() == n && error.size() == n && inverse_scale.size() == n && offset.size() == n,
          "arrays of one length");
  Array<std::int32_t> start(n);
  std::int32_t* const out = start.mutable_data();
  const StartTermsI8 queries = {below.data(), length.data(), error.data(), inverse_scale.data(), offset.data()};
  const TileTermsI8 tile = {tile_error, tile_norm, tile_inverse_scale, tile_shift};
  const StartValuesI8 kernel = cpu::kernels(isa).start_values_i8;
  compute([&] { kernel(queries, int(n), tile, out); });
  return start;
}

Array<float> scores_of_sums(const Array<std::int32_t>& sums, std::int32_t add, float scale, float shift,
                            const std::string& isa) {
  require(sums.size() == kTileItems, "the sums of a tile");
  RowOfSums row;
  std::copy_n(sums.data(), kTileItems, row.sums);
  std::vector<float> scores(kTileItems);
  const ScoresOfSums kernel = cpu::kernels(isa).scores_of_sums;
  compute([&] { kernel(row.sums, add, scale, shift, scores.data()); });
  return array_of(scores, kTileItems);
}

// (hits, sums) of kernel scan_i4: a word and a row a query, zeros where nothing comes near. queries of shape
// (n, 8 n_pairs), codes (n_pairs, kTileItems, 4), shares (kTileItems)
py::tuple scan_tile_i4(const Array<std::int8_t>& queries, const Array<std::int32_t>& start,
                       const Array<std::int32_t>& weights, const Array<std::uint8_t>& codes,
                       const Array<std::uint8_t>& shares, bool ask, const std::string& isa) {
  require(codes.ndim() == 3 && codes.shape(1) == kTileItems && codes.shape(2) == kGroup && codes.shape(0) >= 1,
          "codes of shape (n_pairs, 64, 4)");
  require(queries.ndim() == 2 && queries.shape(1) == codes.shape(0) * 2 * kGroup, "queries as wide as the codes");
  require(start.ndim() == 1 && start.size() == queries.shape(0), "a start for each query");
  require(weights.size() == start.size() && shares.size() == kTileItems, "a weight for each query, a share an item");
  std::vector<const std::int8_t*> rows;
  for (std::int64_t m = 0; m < queries.shape(0); ++m) rows.push_back(queries.data(m, 0));
  const auto n = std::int64_t(rows.size());
  Array<std::uint64_t> hits(n);
  std::uint64_t* const out = hits.mutable_data();
  std::vector<RowOfSums> found(rows.size());
  std::vector<std::uint8_t> tile(codes.data(), codes.data() + codes.size());
  tile.insert(tile.end(), shares.data(), shares.data() + kTileItems);
  const ScanTileI4 kernel = cpu::kernels(isa).scan_tile_i4;
  const bool any = compute([&] {
    return kernel(rows.data(), start.data(), weights.data(), int(n), tile.data(), codes.shape(0), out,
                  found.data()->sums, ask ? tile.data() : nullptr);
  });
  require(any == std::any_of(out, out + rows.size(), [](std::uint64_t bits) { return bits != 0; }), "to be told of hits");
  Array<std::int32_t> sums({n, std::int64_t(kTileItems)});
  for (std::int64_t m = 0; m < n; ++m) {
    for (int j = 0; j < kTileItems; ++j) {
      *sums.mutable_data(m, j) = out[m] == 0 ? 0 : found[std::size_t(m)].sums[j];
    }
  }
  return py::make_tuple(hits, sums);
}

// A tile of at most 64 items as kernel `quantise_tile_i8` or `quantise_tile_i4` tells it: (bytes, scale, error).
py::tuple quantise_tile(const Array<float>& items, bool in_half_bytes, const std::string& isa) {
  const MatrixView<const float> rows = matrix(items, "items of shape (n, d)");
  require(rows.rows >= 1 && rows.rows <= kTileItems, "at most a tile of items");
  const cpu::Kernels& kernels = cpu::kernels(isa);
  const QuantiseTile kernel = in_half_bytes ? kernels.quantise_tile_i4 : kernels.quantise_tile_i8;
  Array<std::uint8_t> bytes(in_half_bytes ? HalfByteCodes::n_bytes(rows.cols) : ByteCodes::n_bytes(rows.cols));
  float scale, error;
  compute([&] { kernel(rows.data, int(rows.rows), rows.cols, bytes.mutable_data(), &scale, &error); });
  return py::make_tuple(bytes, scale, error);
}

// Codes of half a byte of at most a tile of items, (64, d), with their scale, the unit of their errors and each item's
// share of it.
py::tuple half_byte_codes(const Array<float>& items, const std::string& isa) {
  const py::tuple found = quantise_tile(items, true, isa);
  const auto bytes = found[0].cast<Array<std::uint8_t>>();
  const std::int64_t d = items.shape(1);
  Array<int> out({std::int64_t(kTileItems), d});
  for (std::int64_t j = 0; j < kTileItems; ++j) {
    for (std::int64_t i = 0; i < d; ++i) *out.mutable_data(j, i) = HalfByteCodes::get(bytes.data(), j, i);
  }
  Array<std::uint8_t> shares(kTileItems);
  std::copy_n(bytes.data() + HalfByteCodes::n_code_bytes(d), kTileItems, shares.mutable_data());
  return py::make_tuple(out, found[1], found[2], shares);
}

}  // namespace

void register_tests_i8(py::module_& m) {
  m.def("scan_tile_i8", &scan_tile_i8);
  m.def("adds_in_words", [](const std::string& isa) { return cpu::kernels(isa).adds_in_words; });
  m.def("scan_tile_i8_seconds", &scan_tile_i8_seconds);
  m.def("scan_tile_f32_seconds", &scan_tile_f32_seconds);
  m.def("start_values_i8", &start_values_i8);
  m.def("scores_of_sums", &scores_of_sums);
  m.def("scan_tile_i4", &scan_tile_i4);
  m.def("weight_of_share", &weight_of_share);
  m.def("half_byte_codes", &half_byte_codes);
  m.def("quantise_tile", &quantise_tile);
  m.def("quantise_query", &quantise_query);
}

}  // namespace gpurec::bindings
