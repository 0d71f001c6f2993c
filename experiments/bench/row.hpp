// A measurement of `lamp bench` as data: what runs, how much work it is, and what bounds its time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/names.hpp"

namespace lamp::experiments::bench {

/// Vector instructions: all, and those among them that fewer ports do, multiplications (fused or
/// not) and divisions (square roots too). Loads and stores do not count.
struct Operations {
  double all = 0.0, multiplications = 0.0, divisions = 0.0;

  friend constexpr Operations operator+(Operations x, const Operations& y) {
    return {x.all + y.all, x.multiplications + y.multiplications, x.divisions + y.divisions};
  }
  friend constexpr Operations operator*(double n, const Operations& x) {
    return {n * x.all, n * x.multiplications, n * x.divisions};
  }
};

/// What a unit of work takes at least, in the best way that we know: the operations of a vector of
/// lanes of `lane_bits` bits, for as many units as it has lanes; bytes of each unit that are read
/// or written, by a copy's count. Zero operations: no bound is known.
struct Bound {
  Operations operations{};
  int lane_bits = 32;
  double bytes = 0.0;
};

/// Prepared work. Exactly one of `run` and `seconds` is set; the latter says itself how long it
/// took.
struct Work {
  double units = 1.0;  // of one call
  std::function<void()> run{};
  std::function<double()> seconds{};
  std::string detail{};  // shape, and how it is evaluated
};

/// `machine`: what the others are measured against.
enum class Group : std::uint8_t { machine, gemm, elementwise, selection, functions, model };

inline constexpr std::array<NamedValue<Group>, 6> group_names{{{"machine", Group::machine},
                                                               {"gemm", Group::gemm},
                                                               {"elementwise", Group::elementwise},
                                                               {"selection", Group::selection},
                                                               {"functions", Group::functions},
                                                               {"model", Group::model}}};
static_assert(names_all(group_names));

/// Which clock measures: the processor time of this thread, which others at work do not stretch;
/// the time that passes, where several threads work; Work::seconds, a few calls a repetition.
enum class Clock : std::uint8_t { processor, elapsed, own };

/// A row of a group's table. `prepare` is called once, before the first measurement.
struct Row {
  Group group;
  std::string name;
  std::string target;  // "avx512", "avx2", "scalar"; of a library its own name for what it uses
  Bound bound;
  std::function<Work()> prepare;
  Clock clock = Clock::processor;
  std::size_t calls = 0;  // of a repetition; 0: as many as the time asked for holds
};

/// "gemm/ps7 via binary32 avx512": what --filter looks at.
inline std::string key_of(const Row& row) {
  return std::string(name_in(group_names, row.group)) + "/" + row.name + " " + row.target;
}

// The rows of each group, one function a file. `targets` are instruction sets of this machine, the
// widest first.
std::vector<Row> machine_rows(const std::vector<std::string>& targets);
std::vector<Row> gemm_rows(const std::vector<std::string>& targets);
std::vector<Row> elementwise_rows(const std::string& target);
std::vector<Row> selection_rows(const std::string& target);
std::vector<Row> function_rows(const std::string& target);

// What reports read of the machine's rows, by name.
inline constexpr std::string_view any_operation = "vector operations, any ports";
inline constexpr std::string_view multiplication = "fused multiply-adds, independent";
inline constexpr std::string_view division_32 = "divisions, binary32";
inline constexpr std::string_view division_64 = "divisions, binary64";
inline constexpr std::string_view copy_near = "memcpy, 384 KiB";
inline constexpr std::string_view copy_far = "memcpy, 64 MiB";
inline constexpr std::string_view sgemm = "SGEMM, 256 x 768 x 768";
inline constexpr std::string_view mpfr_gemm = "ps7 via binary32 on MPFR";
inline constexpr std::string_view mpfr_step = "mpfr_fma, 24 bits";

}  // namespace lamp::experiments::bench
