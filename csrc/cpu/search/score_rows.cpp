// The search over rows as they lie, for few queries: they are read once, as by a product that keeps no scores, and
// whether they are finite is seen on the way. For more than a handful of queries panels are made in the cache,
// scanned and forgotten.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <vector>

#include "gpurec/bounds.hpp"
#include "score.hpp"
#include "candidates/candidates.hpp"
#include "search/permits.hpp"
#include "search/score_top_k.hpp"
#include "table/aligned.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

// Raw rows; what a metric wants them prepared for is made row by row and forgotten.
class Rows final : public ItemSource {
 public:
  Rows(MatrixView<const float> rows, Metric metric, const Kernels& kernels)
      : rows_(rows), metric_(metric), kernels_(kernels) {}
  std::int64_t d() const override { return rows_.cols; }
  Metric metric() const override { return metric_ == Metric::euclidean ? Metric::euclidean : Metric::dot; }
  std::int64_t row_at(std::uint32_t position) const override { return position; }
  void rows_at(const std::uint32_t* positions, std::int64_t n, std::uint32_t* rows) const override {
    std::copy_n(positions, n, rows);
  }
  double norm_at(std::uint32_t position) const override {
    std::vector<float> room(static_cast<std::size_t>(d()));
    const float* const x = items(position, 1, room.data()).data;
    return norm_upper(kernels_.dot64(x, x, d()), d());
  }
  const TileBounds* tile_at(std::uint32_t) const override { return nullptr; }
  void copy_item(std::uint32_t position, float* out) const override {
    const float* const x = items(position, 1, out).data;
    if (x != out) std::copy_n(x, d(), out);
  }

  const MatrixView<const float>& raw() const { return rows_; }

  // Rows first, first + 1, ... as the metric wants them: in place, or in `room` for n of them.
  MatrixView<const float> items(std::int64_t first, std::int64_t n, float* room) const {
    if (metric_ == Metric::dot || metric_ == Metric::euclidean) return {rows_.row(first), n, d(), rows_.row_stride};
    std::vector<double> work(static_cast<std::size_t>(d()));
    for (std::int64_t i = 0; i < n; ++i) prepare_row(rows_.row(first + i), d(), metric_, room + i * d(), work.data());
    return {room, n, d(), d()};
  }

  // Whether all values of n raw rows are finite, where the largest of their prepared rows' squares is known. Squares add
  // up to a finite sum only where their row is finite; those of huge rows do not, and prepared rows say nothing.
  bool are_finite(std::int64_t first, std::int64_t n, float largest_square) const {
    if (GPUREC_PLANTED(rows_not_looked_through)) return true;
    const bool as_given = metric_ == Metric::dot || metric_ == Metric::euclidean;
    if (as_given && largest_square <= std::numeric_limits<float>::max()) return true;
    return first_invalid_row({rows_.row(first), n, d(), rows_.row_stride}, 1) == n;
  }

 private:
  MatrixView<const float> rows_;
  Metric metric_;
  const Kernels& kernels_;
};

// Packing pays from this many queries on.
constexpr std::size_t kQueriesWorthPacking = 3;

// The largest of a tile's sums of squares. Bits of floats without a sign are in the order of the floats, with
// infinity and then NaN above all.
float largest_of(const float (&squares)[kTileItems]) {
  std::int32_t largest = 0;
  for (int j = 0; j < kTileItems; ++j) {
    std::int32_t bits;
    std::memcpy(&bits, squares + j, sizeof bits);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  float value;
  std::memcpy(&value, &largest, sizeof value);
  return value;
}

// One thread's share of the rows, against all queries.
class Share {
 public:
  // Query i of the share has the filters of query first_query + i.
  Share(const Rows& rows, MatrixView<const float> queries, std::int64_t first_query, std::int64_t k,
        const FiltersView& filters, const Kernels& kernels)
      : rows_(rows),
        first_query_(first_query),
        filters_(filters),
        filtered_(filters.mask != nullptr || filters.allow != nullptr || !filters.deny.empty()),
        kernels_(kernels),
        room_(kTileItems * rows.d()),
        panels_(kTileItems * rows.d()),
        starts_(kTileItems) {
    for (std::int64_t i = 0; i < queries.rows; ++i) {
      queries_.push_back(queries.row(i));
      candidates_.emplace_back(rows, rows.raw().rows, kernels, Precision::fp32, queries.row(i), k);
      denied_.emplace_back(filters, first_query + i);
    }
    reject_.resize(queries_.size());
  }

  std::vector<Candidates>& candidates() { return candidates_; }

  // False where a row is not finite; what was scanned until then is of no use.
  bool scan(std::int64_t first, std::int64_t end) {
    const bool pack = queries_.size() >= kQueriesWorthPacking || rows_.metric() == Metric::euclidean;
    for (std::int64_t at = first; at < end; at += kTileItems) {
      const int n_items = int(std::min<std::int64_t>(kTileItems, end - at));
      tile_ = rows_.items(at, n_items, room_.data());
      if (!(pack ? scan_packed(at, n_items) : scan_as_they_lie(at, n_items))) return false;
    }
    return true;
  }

 private:
  bool scan_as_they_lie(std::int64_t at, int n_items) {
    float scores[kTileItems];
    float squares[kTileItems];
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      kernels_.scan_rows(queries_[q], tile_.data, tile_.row_stride, n_items, tile_.cols, scores, squares);
      const float square = largest_of(squares);
      if (!rows_.are_finite(at, n_items, square)) return false;
      const double largest = norm_upper_float32(square, tile_.cols);
      const Candidates& c = candidates_[q];
      const bool valid = c.bound().valid(largest);
      std::uint64_t hits = 0;
      const float reject = c.reject_at(c.bound().slack(largest));
      for (std::int64_t j = valid ? kernels_.find_above(scores, 0, n_items, reject) : n_items; j < n_items;
           j = kernels_.find_above(scores, j + 1, n_items, reject)) {
        hits |= std::uint64_t(1) << j;
      }
      offer(q, at, n_items, scores, hits, valid, largest);
    }
    return true;
  }

  bool scan_packed(std::int64_t at, int n_items) {
    const float square = pack(n_items);
    if (!rows_.are_finite(at, n_items, square)) return false;
    const double largest = norm_upper_float32(square, tile_.cols);
    for (std::size_t q = 0; q < queries_.size(); q += kTileQueries) {
      const int n_queries = int(std::min<std::size_t>(kTileQueries, queries_.size() - q));
      bool valid = true;
      for (int m = 0; m < n_queries; ++m) {
        const Candidates& c = candidates_[q + std::size_t(m)];
        valid = valid && c.bound().valid(largest);
        reject_[q + std::size_t(m)] = c.reject_at(c.bound().slack(largest));
      }
      alignas(64) float scores[kTileQueries * kTileItems];
      std::uint64_t hits[kTileQueries];
      if (valid) {
        kernels_.scan_tile(queries_.data() + q, n_queries, panels_.data(), tile_.cols, starts_.data(),
                           reject_.data() + q, scores, hits, nullptr, 0);
      }
      for (int m = 0; m < n_queries; ++m) {
        offer(q + std::size_t(m), at, n_items, scores + m * kTileItems, hits[m], valid, largest);
      }
    }
    return true;
  }

  // What the tile's scores, or where they are not valid the canonical ones, mean for a query.
  void offer(std::size_t query, std::int64_t at, int n_items, const float* scores, std::uint64_t hits, bool valid,
             double largest) {
    Candidates& c = candidates_[query];
    c.stats().items_scanned += n_items;
    const std::uint64_t live = n_items == kTileItems ? ~std::uint64_t(0) : (std::uint64_t(1) << n_items) - 1;
    const std::uint64_t bits = permitted(query, at, valid ? hits & live : live);
    if (bits == 0) return;
    if (valid) {
      c.offer(scores, std::uint32_t(at), bits, c.bound().slack(largest));
      return;
    }
    ++c.stats().canonical_fallbacks;
    for (std::uint64_t left = bits; left != 0; left &= left - 1) {
      const int j = __builtin_ctzll(left);
      c.offer_exact(at + j, c.score(tile_.row(j)));
    }
  }

  // Panels of the tile, what their accumulators start from, and the largest sum of squares.
  float pack(int n_items) {
    float squares[kTileItems];
    const std::int64_t d = tile_.cols;
    for (int p = 0; p < kTilePanels; ++p) {
      const int n_rows = std::clamp(n_items - p * kPanelItems, 0, kPanelItems);
      kernels_.pack_panel(tile_.row(n_rows > 0 ? p * kPanelItems : 0), tile_.row_stride, n_rows, d,
                          panels_.data() + p * kPanelItems * d, squares + p * kPanelItems);
    }
    if (rows_.metric() == Metric::euclidean) {
      for (int j = 0; j < n_items; ++j) {
        const float* x = tile_.row(j);
        starts_.data()[j] = scan_start(kernels_.dot64(x, x, d));
      }
    }
    return largest_of(squares);
  }

  std::uint64_t permitted(std::size_t index, std::int64_t at, std::uint64_t bits) const {
    const std::int64_t query = first_query_ + std::int64_t(index);
    for (std::uint64_t left = filtered_ ? bits : 0; left != 0; left &= left - 1) {
      const std::int64_t row = at + __builtin_ctzll(left);
      const bool allowed = filters_.allow == nullptr || std::binary_search(filters_.allow->begin(query),
                                                                           filters_.allow->end(query), row);
      const bool asked = filters_.mask != nullptr || denied_[index].may_hold(row);
      if (!allowed || (asked && !permits(filters_, query, row))) bits &= ~(left & -left);
    }
    return bits;
  }

  const Rows& rows_;
  std::int64_t first_query_;
  const FiltersView& filters_;
  bool filtered_;
  const Kernels& kernels_;
  AlignedFloats room_;
  AlignedFloats panels_;
  AlignedFloats starts_;
  MatrixView<const float> tile_;  // the items that are scanned
  std::vector<const float*> queries_;
  std::vector<float> reject_;
  std::vector<Candidates> candidates_;
  std::vector<DeniedClasses> denied_;
};

// Answers queries first..end-1; false where a row is not finite.
bool search(const Rows& rows, MatrixView<const float> queries, std::int64_t first, std::int64_t end, std::int64_t k,
            const FiltersView& filters, TopKView out, const Kernels& kernels, int n_threads, std::int64_t n_shares) {
  const std::int64_t n_rows = rows.raw().rows;
  const MatrixView<const float> asked = {queries.row(first), end - first, queries.cols, queries.row_stride};
  std::vector<Share> shares;
  for (std::int64_t s = 0; s < n_shares; ++s) shares.emplace_back(rows, asked, first, k, filters, kernels);
  std::atomic<bool> finite{true};
  parallel_for(n_threads, n_shares, [&](std::int64_t s) {
    if (!shares[std::size_t(s)].scan(n_rows * s / n_shares, n_rows * (s + 1) / n_shares)) finite = false;
  });
  if (!finite) return false;
  parallel_for(n_threads, asked.rows, [&](std::int64_t i) {
    Candidates& all = shares[0].candidates()[std::size_t(i)];
    for (std::size_t s = 1; s < shares.size(); ++s) all.take_all_of(shares[s].candidates()[std::size_t(i)]);
    all.settle();
    std::vector<float> room(static_cast<std::size_t>(rows.d()));
    for (std::int64_t e = 0; e < all.n_scanned(); ++e) {
      const float* const item = rows.items(all.positions()[e], 1, room.data()).data;
      all.score_entries(e, e + 1, item, all.positions()[e]);
    }
    all.settled();
    write_answer(all.answer(), k, out, first + i);
  });
  return true;
}

}  // namespace

bool score_top_k_of_rows(MatrixView<const float> rows, Metric metric, MatrixView<const float> queries, std::int64_t k,
                         const FiltersView& filters, TopKView out, const Kernels& kernels, int n_threads) {
  constexpr std::int64_t kRowsPerShare = 1 << 12;
  constexpr std::int64_t kMostQueries = 1024;  // that pass over a tile and leave it in the second-level cache
  const std::int64_t n_shares = std::clamp<std::int64_t>(rows.rows / kRowsPerShare, 1, n_threads);
  const std::int64_t size =
      std::min(kMostQueries, queries_in_memory(k, rows.rows, queries.rows, n_shares));
  const Rows source(rows, metric, kernels);
  for (std::int64_t first = 0; first < queries.rows; first += size) {
    const std::int64_t end = std::min(queries.rows, first + size);
    if (!search(source, queries, first, end, k, filters, out, kernels, n_threads, n_shares)) return false;
  }
  return true;
}

}  // namespace gpurec::cpu
