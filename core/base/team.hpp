// Threads that do the work of one pass together: row blocks of one matrix product after another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>

#include "core/base/contract.hpp"

namespace lamp {

/// The caller's thread and others, which wait for work in between. Used by one thread at a time.
class Team {
 public:
  /// Below about so many multiply-accumulates (some microseconds) to meet costs more than it saves.
  static constexpr double worth_sharing = 0x1p18;

  Team() : Team(1) {}
  /// size: with the caller's thread, at least 1. Throws std::system_error where a thread cannot be
  /// made.
  explicit Team(std::size_t size, double least_work = worth_sharing);
  ~Team();
  Team(Team&&) noexcept;
  Team& operator=(Team&&) noexcept;

  [[nodiscard]] std::size_t size() const { return size_; }
  /// How many members do `work` multiply-accumulates: all, or the caller alone.
  [[nodiscard]] std::size_t members_for(double work) const {
    return work < least_work_ ? 1 : size_;
  }

  /// Calls work(0), .., work(parts - 1), each once, on whichever threads are free; returns when all
  /// have ended. What one of them throws is thrown here then. Pre: parts <= size(); not called from
  /// `work`.
  template <class Work>
  void each(std::size_t parts, const Work& work) {
    expects(parts <= size_, "Team: no more parts than threads");
    if (parts <= 1) {
      if (parts == 1) work(std::size_t{0});
      return;
    }
    meet(parts, &work,
         [](const void* of, std::size_t part) { (*static_cast<const Work*>(of))(part); });
  }

 private:
  using Call = void (*)(const void* work, std::size_t part);
  void meet(std::size_t parts, const void* work, Call call);

  struct Others;
  std::size_t size_;
  double least_work_;
  std::unique_ptr<Others> others_;  // null where there are none
};

/// A division of rows 0 .. rows - 1 into blocks of about the same work: every row takes as much,
/// or, where `first` is set, row i takes first + i. No result depends on it.
struct RowBlocks {
  static constexpr std::size_t together = 8;  // rows that a kernel of products takes at once

  std::size_t rows = 0, parts = 1;
  std::optional<double> first{};

  /// The first row of a block; `rows` for part == parts.
  [[nodiscard]] std::size_t begin(std::size_t part) const {
    if (part == 0) return 0;
    if (part >= parts) return rows;
    const double share = static_cast<double>(part) / static_cast<double>(parts),
                 n = static_cast<double>(rows);
    double row = share * n;
    if (first) {  // r (2 f + r) = share n (2 f + n)
      const double f = *first - 0.5;
      row = std::sqrt(f * f + share * n * (2.0 * f + n)) - f;
    }
    const std::size_t step = rows >= together * parts ? together : 1;
    const long steps = std::lround(row / static_cast<double>(step));
    return std::min(rows, static_cast<std::size_t>(steps) * step);
  }
  [[nodiscard]] std::size_t count(std::size_t part) const { return begin(part + 1) - begin(part); }
};

}  // namespace lamp
