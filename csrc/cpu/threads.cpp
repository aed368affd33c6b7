#include "threads.hpp"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "fpenv.hpp"

namespace gpurec::cpu {
namespace {

struct Job {
  const std::function<void(std::int64_t)>& fn;
  std::int64_t n_tasks;
  int helpers_wanted;                  // under Pool::mutex_
  std::atomic<int> helpers_inside{0};  // changed under Pool::mutex_
  std::atomic<std::int64_t> next{0};
  std::mutex error_mutex{};
  std::exception_ptr error{};

  void work() {
    for (std::int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < n_tasks;) {
      try {
        fn(task);
      } catch (...) {
        std::lock_guard<std::mutex> lock(error_mutex);
        if (!error) error = std::current_exception();
        next.store(n_tasks, std::memory_order_relaxed);
      }
    }
  }
};

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

class Pool {
 public:
  void run(int n_threads, std::int64_t n_tasks, const std::function<void(std::int64_t)>& fn) {
    const int helpers = int(std::min<std::int64_t>(n_threads, n_tasks)) - 1;
    Job job{fn, n_tasks, helpers};
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (int(workers_.size()) < helpers) workers_.emplace_back([this] { serve(); });
      jobs_.push_back(&job);
      posted_.fetch_add(1, std::memory_order_release);
    }
    if (helpers == 1) {
      arrived_.notify_one();
    } else {
      arrived_.notify_all();
    }
    job.work();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (auto at = jobs_.begin(); at != jobs_.end(); ++at) {
        if (*at == &job) {
          jobs_.erase(at);
          break;
        }
      }
    }
    for (int i = 0; i < kSpins && job.helpers_inside.load(std::memory_order_acquire) != 0; ++i) relax();
    if (job.helpers_inside.load(std::memory_order_acquire) != 0) {
      std::unique_lock<std::mutex> lock(mutex_);
      left_.wait(lock, [&] { return job.helpers_inside.load(std::memory_order_acquire) == 0; });
    }
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  // A worker spins this often for new work before it sleeps, and whoever waits for workers for their end, about a
  // third of a millisecond: a wake-up costs more than a small search.
  static constexpr int kSpins = 8000;

  void serve() {
    FpEnvGuard guard;
    for (;;) {
      const std::uint64_t seen = posted_.load(std::memory_order_acquire);
      std::unique_lock<std::mutex> lock(mutex_);
      Job* job = take();
      if (job == nullptr) {
        lock.unlock();
        for (int i = 0; i < kSpins && posted_.load(std::memory_order_acquire) == seen; ++i) relax();
        lock.lock();
        arrived_.wait(lock, [&] { return (job = take()) != nullptr; });
      }
      lock.unlock();
      job->work();
      lock.lock();
      if (job->helpers_inside.fetch_sub(1, std::memory_order_release) == 1) left_.notify_all();
    }
  }

  Job* take() {
    for (Job* job : jobs_) {
      if (job->helpers_wanted > 0) {
        --job->helpers_wanted;
        job->helpers_inside.fetch_add(1, std::memory_order_relaxed);
        return job;
      }
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable left_;
  std::deque<Job*> jobs_;
  std::vector<std::thread> workers_;
  std::atomic<std::uint64_t> posted_{0};
};

// Never destroyed: its threads may outlive main. A forked child has none of them and takes a new pool.
std::atomic<Pool*> current_pool{nullptr};
std::once_flag fork_handler;

Pool& pool() {
  std::call_once(fork_handler, [] { pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); }); });
  Pool* now = current_pool.load(std::memory_order_acquire);
  if (now == nullptr) {
    Pool* fresh = new Pool;
    if (current_pool.compare_exchange_strong(now, fresh, std::memory_order_acq_rel)) {
      now = fresh;
    } else {
      delete fresh;
    }
  }
  return *now;
}

}  // namespace

void parallel_for(int n_threads, std::int64_t n_tasks, const std::function<void(std::int64_t)>& fn) {
  if (n_tasks <= 0) return;
  if (n_threads <= 1 || n_tasks == 1) {
    for (std::int64_t task = 0; task < n_tasks; ++task) fn(task);
    return;
  }
  pool().run(n_threads, n_tasks, fn);
}

}  // namespace gpurec::cpu
