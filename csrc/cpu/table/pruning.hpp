// What a search of a table may leave out, each of which can be switched off; answers are the same whatever is chosen.
#pragma once

namespace gpurec::cpu {

struct Pruning {
  enum class Directions { never, where_steep, always };

  bool head = true;   // blocks of the largest norms come first
  bool norms = true;  // a block is skipped where its norms rule it out
  Directions directions = Directions::where_steep;  // items are looked at in a few leading directions first
};

}  // namespace gpurec::cpu
