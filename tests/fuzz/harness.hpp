// What a file of this folder is: a function of bytes that somebody else wrote, in a list under the
// file's name. drivers/ run it: libfuzzer.cpp with inputs that it invents, replay.cpp with files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::fuzz {

/// SplitMix64, which compiles in less time than <random>.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t x = state_ += 0x9E3779B97F4A7C15U;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return x ^ x >> 31;
  }

 private:
  std::uint64_t state_;
};

struct Harness {
  std::string_view name;
  /// Hands the bytes to a reader of the program and checks what law() says of its answer; whether
  /// the reader accepted them.
  bool (*run)(std::string_view bytes);
  /// Another input of the same language; none: bytes change, and nothing knows what they mean.
  std::string (*mutate)(std::string_view bytes, Random& random) = nullptr;
};

/// Those that are linked.
std::vector<Harness>& harnesses();

struct Listed {
  explicit Listed(const Harness& harness) { harnesses().push_back(harness); }
};

/// What must hold whatever the input is: else the process ends, and the input is a finding.
void law(bool holds, const char* what);

/// A law of every error: it says something, in a few lines of a terminal, however long the input
/// is. What a terminal must not see is escaped where a command prints it (one_line).
void law_of_message(std::string_view message);
/// Of those that are escaped where they are made: one line of UTF-8 without control characters.
void law_of_line(std::string_view message);

/// Counts what befell a child process that read a file of results (core/record/apart): libHDF5 may
/// crash there. The error obeys the law of messages.
void count_death(const Error& error);
/// What was counted, one line each: "stat::NAME: COUNT".
std::string counts();

/// The path of a file of this process with these bytes, in a folder of its own that goes with it.
std::filesystem::path file_with(std::string_view bytes, const std::string& name);
/// Its folder.
std::filesystem::path scratch();

/// The parts of an input that stands for several files, cut at lines "====".
std::vector<std::string_view> parts_of(std::string_view bytes);
/// Lines without their ends.
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace lamp::fuzz
