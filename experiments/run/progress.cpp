#include "experiments/run/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "experiments/config/value.hpp"
#include "experiments/run/bar.hpp"

namespace lamp::experiments {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double line_interval = 10.0, bar_interval = 0.1;  // seconds

double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

/// "12.3 cells/s", "1 min 05 s a cell".
std::string speed_text(double cells_per_second) {
  if (cells_per_second < 1.0) return duration_text(1.0 / cells_per_second) + " a cell";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f cells/s", cells_per_second);
  return text.data();
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = std::lround(seconds);
  std::array<char, 48> text{};
  if (whole >= 3600) {
    std::snprintf(text.data(), text.size(), "%ld h %02ld min", whole / 3600, whole % 3600 / 60);
  } else if (whole >= 60) {
    std::snprintf(text.data(), text.size(), "%ld min %02ld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%ld s", whole);
  }
  return text.data();
}

Progress::Progress(bool quiet)
    : style_(quiet ? Style::quiet : (isatty(STDERR_FILENO) != 0 ? Style::bar : Style::lines)),
      start_(Clock::now()),
      printed_(start_) {}

Progress::~Progress() { end_bar(); }

void Progress::end_bar() const {
  if (style_ == Style::bar && done_ > resumed_) std::fputc('\n', stderr);
}

void Progress::extend(std::size_t total, std::size_t done) {
  const std::lock_guard lock(mutex_);
  total_ += total, resumed_ += done, done_ += done;
  if (style_ != Style::quiet && done > 0)
    std::fprintf(stderr, "lamp run: %zu of %zu cells are there already\n", resumed_, total_);
}

void Progress::note(const std::string& words) {
  const std::lock_guard lock(mutex_);
  if (style_ == Style::quiet) return;
  end_bar();
  std::fprintf(stderr, "lamp run: %s\n", words.c_str());
}

void Progress::warn(const std::string& words) {
  const std::lock_guard lock(mutex_);
  end_bar();
  std::fprintf(stderr, "lamp run: %s\n", one_line(words).c_str());
}

void Progress::step(const std::string& where) {
  const std::lock_guard lock(mutex_);
  ++done_;
  if (style_ == Style::quiet) return;
  const bool last = done_ == total_;
  const double interval = style_ == Style::bar ? bar_interval : line_interval;
  if (last || seconds_since(printed_) >= interval) print(where, last), printed_ = Clock::now();
}

void Progress::print(const std::string& where, bool last) {
  const double elapsed = std::max(seconds_since(start_), 1e-9);
  const double rate = static_cast<double>(done_ - resumed_) / elapsed;
  const std::string time =
      last ? "took " + duration_text(elapsed)
           : duration_text(static_cast<double>(total_ - done_) / rate) + " left";
  const std::string speed = speed_text(rate);
  const double percent = 100.0 * static_cast<double>(done_) / static_cast<double>(total_);
  if (style_ == Style::bar) {
    const std::string cells = std::to_string(done_) + "/" + std::to_string(total_) + " cells";
    draw_over(bar_line(percent / 100.0, {cells, time, speed}, one_line(where), terminal_columns()));
  } else {
    std::fprintf(stderr, "lamp run: %zu of %zu cells (%.0f %%), %s, %s; %s\n", done_, total_,
                 percent, speed.c_str(), time.c_str(), where.c_str());
  }
  std::fflush(stderr);
}

}  // namespace lamp::experiments
