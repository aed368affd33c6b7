// Registers op `bpr` in the module gpurec._native._cpu.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "../cpu/dispatch.hpp"
#include "arrays.hpp"
#include "compute.hpp"
#include "gpurec/bpr.hpp"

namespace gpurec::bindings {
namespace {

// How long Python's signals may wait for a look.
constexpr std::chrono::milliseconds kSignalsEvery{100};

// What no draw or visit may leave.
void require_positives(const PositivesView& a, std::int64_t n_entries) {
  const char* const what = "positives that rise within 0..n_items-1 for each user";
  require(a.indptr[0] == 0 && a.indptr[a.n_users] == n_entries && std::is_sorted(a.indptr, a.indptr + a.n_users + 1),
          what);
  for (std::int64_t user = 0; user < a.n_users; ++user) {
    std::int64_t last = -1;
    for (std::int64_t e = a.indptr[user]; e < a.indptr[user + 1]; ++e) {
      require(a.items[e] > last && a.items[e] < a.n_items, what);
      last = a.items[e];
    }
  }
}

py::tuple bpr_epochs(const Array<std::int64_t>& indptr, const Array<std::int32_t>& items,
                     const std::optional<Array<bool>>& visited, const std::optional<Array<std::int64_t>>& keys,
                     Array<float>& user_factors, Array<float>& item_factors, Array<float>& item_biases,
                     const std::optional<Array<std::uint32_t>>& weights,
                     const std::optional<Array<std::int32_t>>& among, const std::string& loss, float sharpness, bool unit,
                     std::int64_t n_negatives, std::int64_t n_candidates, float learning_rate, float regularisation,
                     float bias_learning_rate, float bias_regularisation, bool move_users, bool move_positives,
                     bool move_negatives, std::uint64_t seed, std::uint64_t first_epoch, std::int64_t n_epochs,
                     std::int64_t n_blocks, const std::string& isa, int n_threads) {
  require(indptr.ndim() == 1 && indptr.size() >= 1 && items.ndim() == 1, "positives by users");
  require(user_factors.ndim() == 2 && item_factors.ndim() == 2, "factors of two dimensions");
  const std::int64_t n_users = indptr.size() - 1, n_items = item_factors.shape(0), d = user_factors.shape(1);
  require(item_biases.ndim() == 1 && item_biases.shape(0) == n_items, "item_biases of shape (n_items,)");
  require(n_users < (std::int64_t(1) << 31) && n_items < (std::int64_t(1) << 31), "fewer than 2^31 users and items");
  require(n_negatives >= 1 && n_candidates >= 1 && n_negatives <= 65536 && n_candidates <= 65536, "1 to 65536 draws");
  require(n_blocks >= 1 && n_blocks <= 65536 && n_epochs >= 0, "1 to 65536 blocks");
  require(loss == "bpr" || loss == "softmax", "a loss of bpr or softmax");
  require(!visited || (visited->ndim() == 1 && visited->size() == items.size()), "visited of each positive");
  require(!keys || (keys->ndim() == 1 && keys->size() == n_users), "a key for each user");
  require(!weights || (weights->ndim() == 1 && weights->size() == n_items), "a weight for each item");
  const bool items_move = move_positives || move_negatives;
  if (among) {
    require(among->ndim() == 1 && !items_move && items.size() < (std::int64_t(1) << 31) - n_items,
            "among where items stay, and places of 31 bits");
    for (std::int64_t i = 0; i < among->size(); ++i) {
      require(among->data()[i] > (i == 0 ? -1 : among->data()[i - 1]) && among->data()[i] < n_items,
              "among to rise within 0..n_items-1");
    }
  }
  const PositivesView positives{n_users, n_items, indptr.data(), items.data(),
                                visited ? reinterpret_cast<const std::uint8_t*>(visited->data()) : nullptr,
                                keys ? keys->data() : nullptr};
  // Read-only arrays serve for what does not move.
  const auto changed = [](Array<float>& a, bool moves) { return moves ? a.mutable_data() : const_cast<float*>(a.data()); };
  require(user_factors.shape(0) == n_users && item_factors.shape(1) == d, "factors of all users and items, of one width");
  const RankingFactors factors{{changed(user_factors, move_users), n_users, d, d},
                               {changed(item_factors, items_move), n_items, d, d},
                               changed(item_biases, items_move)};
  const NegativeDraws draws{n_negatives, n_candidates, weights ? weights->data() : nullptr,
                            among ? among->data() : nullptr, among ? among->size() : 0};
  const RankingAim aim{loss == "bpr" ? RankingLoss::bpr : RankingLoss::softmax, sharpness, unit};
  const RankingRates rates{learning_rate,      regularisation, bias_learning_rate, bias_regularisation,
                           move_users, move_positives, move_negatives};
  const cpu::Kernels& kernels = cpu::kernels(isa);
  auto looked = std::chrono::steady_clock::now();
  const auto between_rounds = [&] {
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < kSignalsEvery) return;
    looked = now;
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
  const RankingTotals totals = compute([&] {
    require_positives(positives, items.size());
    return cpu::bpr_epochs(positives, factors, aim, draws, rates, seed,
                           first_epoch, n_epochs, n_blocks, kernels, n_threads, between_rounds);
  });
  return py::make_tuple(totals.loss, totals.n_visits, totals.n_pairs_right, totals.n_skipped);
}

}  // namespace

void register_bpr(py::module_& m) {
  // Conversion would make a copy and change that instead of the caller's arrays.
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("bpr_epochs", &bpr_epochs, array("indptr"), array("items"), array("visited"), array("keys"),
        array("user_factors"), array("item_factors"), array("item_biases"), array("weights"), array("among"),
        py::kw_only(),
        py::arg("loss"), py::arg("sharpness"), py::arg("unit"), py::arg("n_negatives"), py::arg("n_candidates"), py::arg("learning_rate"),
        py::arg("regularisation"), py::arg("bias_learning_rate"), py::arg("bias_regularisation"),
        py::arg("move_users"), py::arg("move_positives"), py::arg("move_negatives"), py::arg("seed"),
        py::arg("first_epoch"), py::arg("n_epochs"), py::arg("n_blocks"), py::arg("isa"), py::arg("n_threads"));
}

}  // namespace gpurec::bindings
