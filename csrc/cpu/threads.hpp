// One pool of threads for the process, made when first needed and made anew in a forked child.
#pragma once
#include <cstdint>
#include <functional>

namespace gpurec::cpu {

// Calls fn(task) for every task in 0..n_tasks-1, the caller's thread included, on at most n_threads threads.
// Returns when all are done; rethrows the first exception. Several threads may call at once.
void parallel_for(int n_threads, std::int64_t n_tasks, const std::function<void(std::int64_t)>& fn);

}  // namespace gpurec::cpu
