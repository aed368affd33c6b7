// Kernel of op `sgd`: all visits of an epoch; the contract is gpurec/sgd.hpp.
#pragma once
#include "gpurec/sgd.hpp"

namespace gpurec::cpu {

// Returns the sum of squared errors, each taken before the update that it causes.
using SgdEpoch = double (*)(const RatingsView& ratings, const FactorTable& users, const FactorTable& items,
                            const SgdRates& rates);

#define GPUREC_DECLARE_SGD(isa)                                                                          \
  double sgd_epoch_f32_##isa(const RatingsView& ratings, const FactorTable& users, const FactorTable& items, \
                             const SgdRates& rates)
GPUREC_DECLARE_SGD(serial);
GPUREC_DECLARE_SGD(avx2);
GPUREC_DECLARE_SGD(avx512);
#undef GPUREC_DECLARE_SGD

}  // namespace gpurec::cpu
