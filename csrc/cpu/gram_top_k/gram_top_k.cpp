// Row by row: sums with all rows that share a column, then the best of those rows.
#include "gram_top_k/gram_top_k.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "gram_top_k/coded_rows.hpp"
#include "gram_top_k/exact_rows.hpp"
#include "threads.hpp"

namespace gpurec::cpu {
namespace {

constexpr std::int64_t kRowsAtOnce = 16;  // that a thread takes; few, as rows may be of very different lengths
// Sums of codes are looked for in an array of all rows, so that a row must meet one entry for so many rows at least. In a
// small table, whose float64 sums lie in a near cache, what is saved on products must also pay for scoring k survivors.
constexpr std::int64_t kRowsPerEntry = 12, kSmallTable = std::int64_t(1) << 16, kEntriesPerSurvivor = 1024;

bool codes_pay(const GramCall& call, std::int64_t a) {
  if (call.code_use == CodeUse::always) return true;
  const std::int64_t n_met = entries_met(call, a);
  if (n_met * kRowsPerEntry < call.x.n_rows) return false;
  return call.x.n_rows > kSmallTable || n_met / kEntriesPerSurvivor >= call.k;
}

template <class Sums>
GramStats top_k_of_rows(const GramCall& call, const CodedColumns* codes) {
  std::atomic<std::int64_t> next{0}, coded{0}, uncertain{0}, dense{0};
  const std::thread::id caller = std::this_thread::get_id();
  parallel_for(call.n_threads, std::min<std::int64_t>(call.n_threads, call.n_asked), [&](std::int64_t) {
    std::optional<ExactRows<Sums>> exact;
    std::optional<CodedRows> by_codes;
    BestKeys best(call.k, call.x.n_rows);
    std::int64_t n_coded = 0, n_uncertain = 0;
    for (std::int64_t i; (i = next.fetch_add(kRowsAtOnce)) < call.n_asked;) {
      if (std::this_thread::get_id() == caller && call.is_interrupted()) next.store(call.n_asked);
      for (const std::int64_t end = std::min(call.n_asked, i + kRowsAtOnce); i < end; ++i) {
        const std::int64_t a = call.asked[i];
        bool is_done = false;
        if (codes != nullptr && codes_pay(call, a)) {
          if (!by_codes) by_codes.emplace(call, *codes);
          is_done = by_codes->search(i, a, std::min(call.k, call.x.n_rows), best);
          ++(is_done ? n_coded : n_uncertain);
        }
        if (!is_done) {
          if (!exact) exact.emplace(call);
          exact->search(i, a, best);
        }
        best.write(call.k, call.out, i, call.kernels);
      }
    }
    coded += n_coded;
    uncertain += n_uncertain;
    dense += exact ? exact->n_dense() : 0;
  });
  return {coded, uncertain, dense};
}

}  // namespace

GramStats gram_top_k(const GramCall& call) {
  const GramScoring& how = call.how;
  if (how.form == GramForm::pearson) return top_k_of_rows<CorrelationSums>(call, nullptr);
  if (how.form == GramForm::sets) return top_k_of_rows<Counts>(call, nullptr);
  std::unique_ptr<const CodedColumns> codes;
  bool is_coded = call.code_use != CodeUse::never && how.min_overlap == 1 && how.shrinkage == 0.0;
  if (is_coded && call.code_use == CodeUse::where_they_pay) {
    const auto pays = [&](std::int64_t a) { return codes_pay(call, a); };
    is_coded = std::any_of(call.asked, call.asked + call.n_asked, pays);
  }
  if (is_coded) {
    codes = std::make_unique<const CodedColumns>(call.x, how.left, how.right, call.tile_rows);
    if (!codes->is_valid) codes = nullptr;
  }
  if (call.columns.is_binary) return top_k_of_rows<Counts>(call, codes.get());
  if (call.columns.has_zeros || how.min_overlap > 1 || how.shrinkage > 0.0) {
    return top_k_of_rows<CountedProductSums>(call, codes.get());
  }
  return top_k_of_rows<ProductSums>(call, codes.get());
}

}  // namespace gpurec::cpu
