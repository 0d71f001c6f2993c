// Progress of a run on standard error: a bar with rate and time left on a terminal, a plain line
// now and then elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>

namespace lamp::experiments {

class Progress {
 public:
  enum class Style { quiet, lines, bar };

  /// `quiet` prints nothing.
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// More work than was known, part of it found done.
  void extend(std::size_t total, std::size_t done);
  /// A line of its own.
  void note(const std::string& words);
  /// The same, also where no progress is wanted.
  void warn(const std::string& words);
  /// One more step is done; `where` names what is being worked on. Thread-safe.
  void step(const std::string& where);

 private:
  void print(const std::string& where, bool last);
  void end_bar() const;

  std::mutex mutex_;
  std::size_t total_ = 0, resumed_ = 0, done_ = 0;
  Style style_;
  std::chrono::steady_clock::time_point start_, printed_;
};

/// "1 h 02 min", "3 min 20 s", "12 s".
std::string duration_text(double seconds);

}  // namespace lamp::experiments
