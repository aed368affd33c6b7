// Kernels `quantise_query` and `quantise_tile`, plain C++.
#include "quantise.hpp"

namespace gpurec::cpu {

QueryCodes quantise_query_serial(const float* q, std::int64_t d, std::int8_t* codes) {
  return quantise_query(q, d, false, codes);
}

QueryCodes quantise_query_in_words(const float* q, std::int64_t d, std::int8_t* codes) {
  return quantise_query(q, d, true, codes);
}

void quantise_tile_i8_serial(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<ByteCodes, PlainSteps>(x, n_items, d, codes, scale, error);
}

void quantise_tile_i4_serial(const float* x, int n_items, std::int64_t d, std::uint8_t* codes, float* scale,
                             float* error) {
  quantise_tile<HalfByteCodes, PlainSteps>(x, n_items, d, codes, scale, error);
}

}  // namespace gpurec::cpu
