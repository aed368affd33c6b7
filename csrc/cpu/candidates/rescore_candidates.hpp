// Canonical scores of what a group of queries has left, panel by panel: a panel that several queries ask for is
// read once, and the panels come in the order in which they lie.
#pragma once
#include <cstdint>
#include <vector>

#include "candidates/candidates.hpp"
#include "table/item_table.hpp"

namespace gpurec::cpu {

void rescore_candidates(const ItemTable& table, const Kernels& kernels, const std::vector<Candidates*>& group);

}  // namespace gpurec::cpu
