// How an epoch of op `bpr` is cut into tasks that share no row: items in blocks by chance, users in blocks by their rows.
#pragma once
#include <cstdint>
#include <vector>

#include "gpurec/bpr.hpp"

namespace gpurec::cpu {

// The finaliser of SplitMix64: from counters to numbers that look drawn.
// Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
inline std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;

enum class Purpose : std::uint64_t { blocks = 1, draws = 2 };

// The number that draws of a purpose in an epoch begin with.
inline std::uint64_t epoch_key(std::uint64_t seed, std::uint64_t epoch, Purpose purpose) {
  return mix64(mix64(seed + kGolden) + kGolden * (2 * epoch + std::uint64_t(purpose)));
}

// The part of 0..n-1 that a drawn number falls on.
inline std::uint64_t part_of(std::uint64_t drawn, std::uint64_t n) {
  return std::uint64_t((static_cast<unsigned __int128>(drawn) * n) >> 64);
}

// Users of a run of rows have about as many positives as those of any other.
std::vector<std::int64_t> user_blocks(const PositivesView& positives, std::int64_t n_blocks);

// Where the items of one epoch stand: block by block, in a block first those that may be drawn, then by their rows.
// Where items do not move there is one block, and others than those that may be drawn stand once for each positive after
// them, so that a user's epochs do not take time for every item.
struct ItemOrder {
  struct Place {
    std::int32_t place;
    std::int32_t block;
  };
  std::vector<std::int32_t> item_of;     // the row at each place
  std::vector<Place> place_of;           // (n_items,); empty where items do not move
  std::vector<std::int64_t> first;       // (n_blocks + 1,) the first place of each block
  std::vector<std::int64_t> n_drawable;  // (n_blocks,) items of each block that may be drawn
  // Weights of places before each place of its block; empty where all are drawn alike. And the sum of each block.
  std::vector<std::uint64_t> before;
  std::vector<std::uint64_t> total;

  void arrange_fixed(std::int64_t n_items, const NegativeDraws& draws, const PositivesView& positives);
  void arrange(std::int64_t n_items, std::int64_t n_blocks, const std::uint32_t* weights, std::uint64_t key);
  // Where the item of entry e of the positives stands.
  Place place(std::int64_t e, std::int32_t item) const;
  bool alike() const { return before.empty(); }
  std::uint64_t weight_at(std::int32_t place) const { return weights[item_of[std::size_t(place)]]; }

  const std::uint32_t* weights = nullptr;  // of items

 private:
  void add_up(std::int64_t n_blocks);
};

// Positives in the order of their visits: users as they come, of each those in one block of items together.
struct VisitOrder {
  static constexpr std::int32_t kNotVisited = std::int32_t(1u << 31);  // added to the place of a positive

  std::vector<std::int32_t> users, places;   // (n_positives,) in runs: block of users, block of items, user
  std::vector<std::int64_t> first;           // (n_user_blocks, n_item_blocks + 1) the first of each run

  // The runs of one block of users, whose positives stand where they do in the matrix.
  void arrange(const PositivesView& positives, std::int64_t first_user, std::int64_t end_user, std::int64_t block,
               std::int64_t n_item_blocks, const ItemOrder& items);
};

}  // namespace gpurec::cpu
