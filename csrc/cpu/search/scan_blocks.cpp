#include "search/scan_blocks.hpp"

#include "search/block_scan.hpp"
#include "tiles/bf16_tiles.hpp"
#include "tiles/float32_tiles.hpp"
#include "tiles/int4_tiles.hpp"
#include "tiles/int8_tiles.hpp"
#include "tiles/leading_tiles.hpp"

namespace gpurec::cpu {

void scan_blocks(const ItemTable& table, const FiltersView& filters, const Kernels& kernels, Precision precision,
                 const std::vector<Progress*>& group, Blocks blocks) {
  const ScanInput input = {table, filters, kernels, blocks.every, blocks.score_at_once};
  if (precision == Precision::leading) {
    BlockScan<LeadingTiles>(input).scan(group, blocks);
  } else if (precision == Precision::int4) {
    BlockScan<Int4Tiles>(input).scan(group, blocks);
  } else if (precision == Precision::int8) {
    BlockScan<Int8Tiles>(input).scan(group, blocks);
  } else if (precision == Precision::bf16) {
    BlockScan<Bf16Tiles>(input).scan(group, blocks);
  } else {
    BlockScan<Float32Tiles>(input).scan(group, blocks);
  }
}

}  // namespace gpurec::cpu
