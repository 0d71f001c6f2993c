// Where a pass keeps what its sites give.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "core/model/networks/network.hpp"

namespace lamp {

/// Sites that are never needed at once share a buffer, where they have the same operation and
/// width; an activation takes the place of its input where nothing else reads it. The residual
/// stream and the logits have their own.
struct Buffers {
  /// The shape of a buffer: (rows, cols), or for a causal site a square, (rows, rows so far).
  struct Shape {
    std::size_t cols = 0;  // of all heads; 0: a square
    [[nodiscard]] bool square() const { return cols == 0; }
  };
  explicit Buffers(const ModelConfig& model);

  std::vector<Shape> shapes;
  std::array<std::size_t, sites.size()> of{};  // by Site: index of shapes
};

}  // namespace lamp
