// What kernels are told, as the host packs it: structs of 8-byte fields only, so that no compiler pads them.
// backends/cuda/params.py mirrors them for Python; tests/rules/test_device_params.py holds the two together.
// All pointers are device addresses, but `Items::rows`, which may lie in pinned host memory.
#pragma once
#include "gpurec/portable_std.hpp"

namespace gpurec::cuda {

constexpr std::uint32_t kNoRow = 0xffffffffu;  // a position without an item
constexpr int kTileBits = 6;                   // a tile of 64 items has a word of permits
constexpr int kMostDenied = 4;                 // lists of denied rows a query

// Bytes of shared memory that blocks take at most; kernels' comments say who takes which, and their sizes are held to it.
constexpr int kFinishBytes = 17472;       // a block that finishes queries
constexpr int kExactBytes = 1104;         // a block of the exact path
constexpr int kGemvBytes = 784;           // a scan of eight queries, beside what finishes them and their rows
constexpr int kMmaBytes = 26640;          // a scan of many queries,
constexpr int kMmaBytesOfQuery = 304;     // and each of a block's
constexpr int kMmaBytesOfSample = 16640;  // values of a sample, beside what a narrow scan takes
constexpr int kScoreTileBytes = 37632;    // a block of whole matrices
constexpr int kQuantiseBytes = 64;        // a block that makes codes

// Items of one index; position p is item p % 64 of tile p / 64. What lies past the last item is zero.
struct Items {
  const float* rows;            // (n_tiles * 64, row_stride) prepared, zero past d
  const std::int8_t* codes;     // (n_tiles * 64, code_stride) -127..127, zero past d; null: none
  const float* norms;           // (n_tiles * 64) as bounds.hpp stores them
  const float* scales;          // (n_tiles) of the codes; 0: this tile has none
  const float* errors;          // (n_tiles) upper bound of |x - scale * codes|
  const float* smallest;        // (n_tiles) stored norms of a tile lie in [smallest, largest]
  const float* largest;         // (n_tiles)
  const std::uint32_t* row_of;  // (n_tiles * 64) public row, kNoRow: none
  const std::uint32_t* position_of;  // (n_rows) position of a public row, kNoRow: none
  const std::uint64_t* permits;      // (n_tiles) bit j: item j may be returned
  std::int64_t n_tiles;
  std::int64_t n_rows;       // public rows
  std::int64_t d;            // components
  std::int64_t row_stride;   // d rounded up to 4
  std::int64_t code_stride;  // d rounded up to 64
  std::int64_t euclidean;    // 1: scores are negative squared distances, 0: dots
};

// Prepared queries.
struct Queries {
  float* rows;            // (n_queries, row_stride) prepared, zero past d
  std::int8_t* codes;     // (n_queries rounded up to 128, code_stride), zero past d; null: none
  double* squares;        // (n_queries) dot64(q, q)
  double* lengths;        // (n_queries) upper bound of |scale * codes|
  double* errors;         // (n_queries) upper bound of |q - scale * codes|
  float* scales;          // (n_queries) 0: this query has no codes
  float* taus;            // (n_queries) scores below it are of no use to the scan
  std::uint32_t* status;  // (n_queries) 0: fine; kQueryNotFinite, kRowOutOfRange
  std::int64_t n_queries;
  const float* source;    // (n_queries, source_stride) raw: what `prepare_queries` makes the rest of
  std::int64_t source_stride;
  std::int64_t metric;    // gpurec::Metric
  std::int64_t appended;  // 1: the last component of a prepared row is 1, the source has those before it; else 0
};

enum QueryStatus : std::uint32_t { kQueryFine = 0, kQueryNotFinite = 1, kRowOutOfRange = 2 };

// Sets of public rows, one a query: set s is rows[indptr[s]] .. rows[indptr[s + 1]]; query i uses set which[i], or i.
struct Sets {
  const std::int64_t* indptr;  // null: there are no sets
  const std::int64_t* rows;    // in any order, repeated or not; -1 is nobody
  const std::int64_t* which;   // null: set i
  std::uint32_t* unsorted;     // (n_sets) not 0: the rows of this set may not ascend; null: all ascend
};

// One search: the same for every kernel that takes part in it.
struct SearchParams {
  Items items;
  Queries queries;
  Sets deny[kMostDenied];
  std::int64_t n_deny;
  Sets allow;  // queries with a set of their own are answered by the exact path alone

  // Samples: tiles sample_first, sample_first + sample_every, ... ; a value for each `group` items of a tile.
  float* samples;  // (n_queries, samples_per_query)
  std::int64_t sample_first;
  std::int64_t sample_every;
  std::int64_t n_sampled;          // tiles
  std::int64_t group;              // 64, 8 or 1
  std::int64_t samples_per_query;  // n_sampled * 64 / group
  std::int64_t rank;               // tau is the rank-th largest of a query's samples

  // Lists of the scan: (n_queries, capacity) entries, position << 32 | bits of the scan value.
  std::uint64_t* entries;
  std::uint32_t* counts;  // (n_queries) of what came near, which may be more than found room
  std::int64_t capacity;
  std::uint64_t* keys;  // (n_queries, capacity) scratch of `finish`

  // Answers.
  std::int64_t k;
  std::int64_t* out_rows;  // (n_queries, k)
  float* out_scores;       // (n_queries, k)

  // The exact path: query flagged[1 + f] of flagged[0] is split into n_units units, each with a buffer of keys.
  std::uint32_t* flagged;       // (1 + n_queries)
  std::uint64_t* unit_keys;     // (n_queries * n_units, unit_capacity)
  std::uint32_t* unit_counts;   // (n_queries * n_units)
  std::int64_t n_units;
  std::int64_t unit_capacity;   // at least k + 256, or all that a unit could meet
  std::uint64_t* merged_keys;   // (n_queries, n_units * unit_capacity) scratch of the merge

  std::int64_t fused;       // 1: the last block of `sample` finds the threshold, that of `scan` finishes
  std::uint32_t* arrivals;  // (2) blocks that are done, zero before and after
  double threshold;         // scores below it are not asked for: -inf but in `search_above`
  std::uint64_t* counters;  // (n_queries, kCounters) what was done; null: nobody asks
};

// What `counters` counts.
enum Counter {
  kTilesScanned = 0,
  kTilesSkipped = 1,
  kCandidates = 2,
  kRescored = 3,
  kOverflows = 4,
  kSuppositionsRefuted = 5,
  kExactQueries = 6,
  kCompressions = 7,
  kDenied = 8,
  kCounters = 16,
};

// Rows made ready: `prepare_items`, `quantise_tiles`, `tile_norms`, `permit`, `gather_rows`, of which the last copies
// rows that are prepared.
struct TableParams {
  const float* source;               // (n, source_stride) raw rows
  std::int64_t source_stride;
  const std::uint32_t* source_rows;  // (n_tiles * 64) which source row lies at a position, kNoRow: none; null: the same
  std::int64_t n;                    // rows to make ready
  std::int64_t metric;               // gpurec::Metric
  float* rows;                       // what Items has, to be written
  std::int8_t* codes;
  double* squares;                   // (n) dot64(x, x) of prepared rows
  float* norms;
  float* scales;
  float* errors;
  float* smallest;
  float* largest;
  std::uint32_t* row_of;
  const std::uint8_t* mask;          // (n_rows) 0: may not be returned; null: all may
  std::uint64_t* permits;
  std::uint32_t* status;             // (n) as Queries::status
  std::int64_t n_tiles;
  std::int64_t first_tile;           // tiles before it are left alone
  std::int64_t n_rows;
  std::int64_t d;
  std::int64_t row_stride;
  std::int64_t code_stride;
};

// Whole matrices and pairs: `score_tile`, `score_pairs`. Rows are prepared.
struct ScoreParams {
  const float* a;       // (n_a, a_stride)
  const float* b;       // (n_b, b_stride)
  const double* a_squares;  // (n_a) for distances
  const double* b_squares;  // (n_b)
  std::int64_t n_a;
  std::int64_t n_b;
  std::int64_t d;
  std::int64_t a_stride;
  std::int64_t b_stride;
  std::int64_t euclidean;
  float* out;           // (n_a, out_stride); (n_a) for pairs
  std::int64_t out_stride;
};

// Given scores: `top_k_scores`. Its units, their merge and the answers are those of `search`, in which every query is
// flagged.
struct TopKParams {
  SearchParams search;
  const float* scores;      // (n_rows, row_stride)
  std::int64_t n_rows;
  std::int64_t n_columns;
  std::int64_t row_stride;
};

// Answers of several parts of a table, whose public rows are distinct: `merge_answers`.
struct MergeParams {
  const std::int64_t* rows;  // (n_parts, n_queries, k_part), -1: nobody
  const float* scores;
  std::int64_t n_parts;
  std::int64_t n_queries;
  std::int64_t k_part;
  std::int64_t k;
  std::int64_t* out_rows;  // (n_queries, k)
  float* out_scores;
};

// Half a sweep of alternating least squares: `als_rows`, `als_rows_f64`, `als_gradients`. Factors and solutions are in the
// eigenvectors of the Gram matrix, stride is d rounded up to 4.
struct AlsParams {
  const float* table;          // (n_columns, stride) factors of columns, zero past d
  const double* curvature;     // (d) unobserved weight times eigenvalue
  const std::int64_t* indptr;  // (n_rows + 1)
  const std::int32_t* columns;
  const float* weights;
  const float* pulls;          // weight times target
  const double* l2;            // (n_rows)
  const std::int64_t* order;   // (n_rows) which row is taken when, those with most entries first
  float* solutions;            // (n_rows, stride) the start, zero past d, where `started`; gets the solution
  double* losses;              // (n_rows)
  double* said;                // (n_entries) scratch where a row takes more than one block
  std::uint32_t* failed;       // (1 + n_rows) how many rows float32 does not suffice for, zero before, and which
  void* matrices;              // a matrix for each block of the grid; null: in shared memory
  double unobserved_weight;
  std::int64_t n_rows;
  std::int64_t d;
  std::int64_t stride;
  std::int64_t width;       // most components of a block, from a multiple of 4 to a multiple of 4
  std::int64_t block_size;  // components; d: the exact solution
  std::int64_t steps;
  std::int64_t chunk;       // entries that are staged at a time
  std::int64_t started;
};

// Gram matrix of rows: `als_gram`.
struct GramParams {
  const float* rows;  // (n, stride), stride a multiple of 4
  double* sums;       // (n_parts, tiles, 4, 4)
  std::int64_t n;
  std::int64_t stride;
  std::int64_t n_parts;
  std::int64_t chunk;  // rows that are staged at a time
};

// Rows times a square matrix: `als_rotate`.
struct RotateParams {
  const float* rows;       // (n, stride), stride a multiple of 4
  const double* matrix;    // (d, d)
  float* out;              // (n, out_stride), zero past d
  std::int64_t n;
  std::int64_t d;
  std::int64_t stride;
  std::int64_t out_stride;
  std::int64_t chunk;      // rows that are staged at a time
};

// An epoch of pairwise ranking: `bpr_draws`, then `bpr_round` for each round. A place is that of an item in the order of
// blocks: in each block first those that may be drawn, then by rows. Positives come as they are visited: by block of users,
// block of items, user, place.
struct RankingParams {
  float* users;   // (n_users, user_stride)
  float* items;   // (n_items, item_stride)
  float* biases;  // (n_items)
  const std::int32_t* users_of;    // (n_positives) user of each positive
  const std::int32_t* places;      // (n_positives) place of its item; -2^31 added: it is not visited
  const std::int32_t* item_of;     // (n_items) row at each place
  const std::int32_t* block_of;    // (n_items) block of each place
  const std::int64_t* first_place;  // (n_item_blocks + 1)
  const std::int64_t* n_drawable;   // (n_item_blocks)
  const std::int64_t* first_visit;  // (n_user_blocks, n_item_blocks + 1) first positive of each run
  const std::int64_t* keys;         // (n_users) in place of rows; null: rows
  const std::uint32_t* weights;     // (n_items) by rows; null, as the next two: all alike
  const std::uint64_t* before;      // (n_items) weights of the places of a block before each place
  const std::uint64_t* totals;      // (n_item_blocks) sums of those
  std::int32_t* negatives;  // (n_positives, n_draws) rows drawn; the first -1: nothing is left to draw
  double* shifts;           // (n_rounds, n_user_blocks) the loss of a task is its shift + log(fraction) + exponent log(2)
  double* fractions;        // (n_rounds, n_user_blocks)
  std::int64_t* counts;     // (n_rounds, n_user_blocks, 4) exponent, visits, pairs right, skipped
  std::int64_t draw_key;    // its 64 bits
  double rate;              // these five are float32
  double penalty;
  double bias_rate;
  double bias_penalty;
  double sharpness;
  std::int64_t n_positives;
  std::int64_t n_user_blocks;
  std::int64_t n_item_blocks;  // as many rounds
  std::int64_t n_negatives;
  std::int64_t n_draws;        // n_negatives times candidates for each
  std::int64_t d;
  std::int64_t user_stride;
  std::int64_t item_stride;
  std::int64_t softmax;
  std::int64_t unit;
  std::int64_t move_users;
  std::int64_t move_positives;
  std::int64_t move_negatives;
  std::int64_t round;
};

}  // namespace gpurec::cuda
