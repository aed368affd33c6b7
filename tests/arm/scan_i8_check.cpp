// Checks every ISA of the processor that this is built for against the serial kernels: the int8 scan's three, and the
// float32 tile. Built for 64-bit Arm and run in emulation by `.ci/full arm`, since Python is not at hand there.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "dispatch.hpp"

namespace {

using namespace gpurec;
using cpu::Kernels;

std::mt19937 random_bits(7);

int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }
float size(int spread) { return std::ldexp(float(between(0, 1 << 24)) * 0x1p-24f, between(-spread, spread)); }

struct alignas(64) Row {
  std::int32_t sums[kTileItems];
};

struct Found {
  explicit Found(int n) : near(std::size_t(n)), hits(std::size_t(n)), rows(std::size_t(n)) {}
  std::vector<std::int32_t> near;
  std::vector<std::uint64_t> hits;
  std::vector<Row> rows;
};

// Codes of one of three kinds: any, extremes, zeros.
int code(int kind) { return kind == 0 ? between(-127, 127) : kind == 1 ? (between(0, 1) != 0 ? 127 : -127) : 0; }

bool same_tile(const Kernels& ours, const Kernels& serial, int n_queries, std::int64_t n_groups) {
  const int kind = between(0, 2);
  std::vector<std::uint8_t> codes(std::size_t(n_groups * kTileItems * kGroup));
  for (auto& c : codes) c = std::uint8_t(code(kind) + 128);
  std::vector<std::int8_t> values(std::size_t(n_queries * n_groups * kGroup));
  for (auto& v : values) v = std::int8_t(code(kind));
  std::vector<const std::int8_t*> queries;
  std::vector<std::int32_t> start;
  const int most = 1 << between(10, 30);
  for (int m = 0; m < n_queries; ++m) {
    const std::int8_t* const q = values.data() + m * n_groups * kGroup;
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < n_groups * kGroup; ++i) sum += q[i];
    queries.push_back(q);
    start.push_back(std::int32_t(std::uint32_t(-128 * sum) + std::uint32_t(between(-most, most / 64))));
  }
  Found a(n_queries), b(n_queries);
  const int n = serial.scan_tile_i8(queries.data(), start.data(), n_queries, codes.data(), n_groups, a.near.data(),
                                    a.hits.data(), a.rows.data()->sums, nullptr);
  const int found = ours.scan_tile_i8(queries.data(), start.data(), n_queries, codes.data(), n_groups, b.near.data(),
                                      b.hits.data(), b.rows.data()->sums, n % 2 != 0 ? codes.data() : nullptr);
  if (found != n) return false;
  for (int r = 0; r < n; ++r) {
    const auto at = std::size_t(r);
    if (a.near[at] != b.near[at] || a.hits[at] != b.hits[at]) return false;
    if (std::memcmp(a.rows[at].sums, b.rows[at].sums, sizeof(Row)) != 0) return false;
  }
  return true;
}

bool same_starts(const Kernels& ours, const Kernels& serial, int n) {
  const int spread = between(1, 40);
  const auto sizes = [&] {
    std::vector<float> values;
    for (int m = 0; m < n; ++m) values.push_back(size(spread));
    return values;
  };
  std::vector<float> below = sizes();
  const std::vector<float> length = sizes(), error = sizes(), inverse = sizes();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {-kInfinity, kInfinity, std::nanf(""), 0.0f, -0.0f, 3e38f, -3e38f, 1e-45f};
  std::vector<std::int32_t> offset, a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(n));
  for (auto& value : below) {
    if (between(0, 1) != 0) value = -value;
    if (between(0, 4) == 0) value = special[between(0, 7)];
    offset.push_back(between(-(1 << 30), 1 << 30));
  }
  const StartTermsI8 terms = {below.data(), length.data(), error.data(), inverse.data(), offset.data()};
  const TileTermsI8 tile = {size(spread), size(spread), size(spread), between(0, 1) != 0 ? size(spread) : -0.0f};
  serial.start_values_i8(terms, n, tile, a.data());
  ours.start_values_i8(terms, n, tile, b.data());
  return a == b;
}

bool same_scores(const Kernels& ours, const Kernels& serial) {
  Row row;
  for (auto& sum : row.sums) sum = std::int32_t(random_bits());
  float a[kTileItems], b[kTileItems];
  const auto add = std::int32_t(random_bits());
  const float scale = size(30), shift = between(0, 1) != 0 ? size(60) : 0.0f;
  serial.scores_of_sums(row.sums, add, scale, shift, a);
  ours.scores_of_sums(row.sums, add, scale, shift, b);
  return std::memcmp(a, b, sizeof(a)) == 0;
}

// Sums of small integers are exact in any order.
bool same_floats(const Kernels& ours, const Kernels& serial, int n_queries, std::int64_t d) {
  std::vector<float> panels(std::size_t(kTileItems * d)), values(std::size_t(n_queries * d)), start(kTileItems);
  for (auto& x : panels) x = float(between(-50, 50));
  for (auto& x : values) x = float(between(-50, 50));
  for (auto& x : start) x = float(between(-50, 50));
  std::vector<const float*> queries;
  std::vector<float> reject;
  for (int m = 0; m < n_queries; ++m) {
    queries.push_back(values.data() + m * d);
    reject.push_back(float(between(-1000, 1000)));
  }
  alignas(64) float a[kTileQueries * kTileItems], b[kTileQueries * kTileItems];
  std::uint64_t a_hits[kTileQueries], b_hits[kTileQueries];
  serial.scan_tile(queries.data(), n_queries, panels.data(), d, start.data(), reject.data(), a, a_hits, nullptr, 0);
  ours.scan_tile(queries.data(), n_queries, panels.data(), d, start.data(), reject.data(), b, b_hits, nullptr, 0);
  const auto n = std::size_t(n_queries);
  return std::memcmp(a, b, n * kTileItems * sizeof(float)) == 0 && std::memcmp(a_hits, b_hits, n * 8) == 0;
}

int n_failed = 0;

void check(bool holds, const char* isa, const char* what, int round) {
  if (holds || ++n_failed > 20) return;
  std::printf("%s differs from serial in %s, round %d\n", isa, what, round);
}

}  // namespace

int main() {
  const Kernels& serial = cpu::kernels("serial");
  std::string isas;
  for (const Kernels& ours : cpu::all_kernels()) {
    if (!ours.supported() || &ours == &serial) continue;
    isas += std::string(" ") + ours.isa;
    for (int round = 0; round < 300; ++round) {
      const int n_queries = round % 40 == 0 ? 128 : between(1, 14);
      check(same_tile(ours, serial, n_queries, between(1, 40)), ours.isa, "scan_tile_i8", round);
      check(same_starts(ours, serial, between(1, 40)), ours.isa, "start_values_i8", round);
      check(same_scores(ours, serial), ours.isa, "scores_of_sums", round);
      check(same_floats(ours, serial, between(1, kTileQueries), between(1, 70)), ours.isa, "scan_tile", round);
    }
    check(same_tile(ours, serial, 3, kMostGroups), ours.isa, "scan_tile_i8 of the widest items", 0);
  }
  if (isas.empty()) std::printf("no ISA but serial can run here\n");
  std::printf("%d differences;%s\n", n_failed, isas.c_str());
  return n_failed == 0 && !isas.empty() ? 0 : 1;
}
