// Cosines and sines of rotary positions, near enough to round correctly to any format.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/fp/format.hpp"
#include "core/model/files/config.hpp"

namespace lamp {

/// cos and sin of position f_j for the positions 0 .. rows - 1 and j < d/2: 256 bits each, kept as
/// high + low, two binary64 numbers; low is rounded to odd, so that high + low lies on the same
/// side of every number of 54 bits as the real number does.
class RopeTable {
 public:
  RopeTable();
  ~RopeTable();
  RopeTable(const RopeTable&) = delete;
  RopeTable& operator=(const RopeTable&) = delete;

  /// Makes it the table of these frequencies, with at least so many positions; what is there
  /// already stays. About a microsecond a pair. Pre: d is even, rows <= 2^24.
  void assign(const Rope& rope, std::size_t d, std::size_t rows);
  /// The cosines and sines of a position, d/2 each, rounded RNE to `format`. Pre: position < rows,
  /// format.p <= 53.
  void round(std::size_t position, const FloatFormat& format, std::span<double> cosines,
             std::span<double> sines) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lamp
