#include "experiments/python/bindings/parallel.hpp"

#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "core/base/team.hpp"

namespace lamp::python {

namespace nb = nanobind;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds patience(50);

/// Throws the exception of a signal's handler. Of the thread that Python calls, without the GIL.
void look_for_signals() {
  const nb::gil_scoped_acquire locked;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

}  // namespace

void in_blocks(std::size_t count, std::size_t block, std::size_t threads, double macs,
               const std::function<void(std::size_t, std::size_t)>& work) {
  if (count == 0) return;
  const nb::gil_scoped_release unlocked;
  if (count <= block) return work(0, count);
  const std::size_t blocks = (count + block - 1) / block,
                    members = macs < Team::worth_sharing ? 1 : std::min(threads, blocks);
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<std::size_t> next{0};
  std::atomic<bool> ended{false};
  const auto take_blocks = [&](std::size_t) {
    Clock::time_point looked = Clock::now();
    while (!ended) {
      const std::size_t b = next++;
      if (b >= blocks) return;
      try {
        work(b * block, std::min(count, (b + 1) * block));
        if (std::this_thread::get_id() != caller || Clock::now() - looked < patience) continue;
        looked = Clock::now();
        look_for_signals();
      } catch (...) {
        ended = true;
        throw;
      }
    }
  };
  std::optional<Team> team;
  try {
    if (members > 1) team.emplace(members);
  } catch (const std::system_error&) {  // threads are refused: the caller has the same bits alone
  }
  if (!team) return take_blocks(0);
  team->each(members, take_blocks);
}

void while_looking_for_signals(const std::function<void(const StopRequest&)>& work) {
  const nb::gil_scoped_release unlocked;
  StopRequest stop{0};
  std::exception_ptr thrown, interrupted;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread worker([&] {
    try {
      work(stop);
    } catch (...) {
      thrown = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  });
  for (std::unique_lock lock(mutex); !changed.wait_for(lock, patience, [&] { return done; });) {
    lock.unlock();
    if (!interrupted) try {
        look_for_signals();
      } catch (...) {
        interrupted = std::current_exception();
        stop = SIGINT;
      }
    lock.lock();
  }
  worker.join();
  if (interrupted) std::rethrow_exception(interrupted);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace lamp::python
