// A loop whose iterations are done side by side.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace lamp {

/// Calls work(worker, i) for i = 0, 1, .. below n, each i once, by one thread a worker (the
/// caller's is the first), until it returns false; the calls that are under way end. What a call
/// throws is thrown here after that, as is std::system_error where a thread cannot be made.
template <class Worker, class Work>
void side_by_side(std::span<Worker> workers, std::size_t n, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto stopping_all = [&](const auto& f) {
    try {
      f();
    } catch (...) {
      const std::lock_guard lock(mutex);
      thrown = std::current_exception();
      next = n;
    }
  };
  const auto loop = [&](Worker& worker) {
    for (std::size_t i = next++; i < n; i = next++)
      if (!work(worker, i)) next = n;
  };
  {
    std::vector<std::jthread> threads;
    stopping_all([&] {
      for (std::size_t w = 1; w < std::min(workers.size(), n); ++w)
        threads.emplace_back([&, w] { stopping_all([&] { loop(workers[w]); }); });
      loop(workers[0]);
    });
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace lamp
