// What a reference mpfr:N will cost: operations counted from the shapes, each timed on numbers of N
// bits.
#pragma once

#include <cstddef>

#include "core/arith/spec.hpp"
#include "core/model/networks/network.hpp"

namespace lamp::experiments {

/// Seconds on one thread of a site in unlimited(N): rows first .. first + rows - 1 of a sequence,
/// in one layer and head where it has them.
class UnlimitedCost {
 public:
  /// Times the operations: milliseconds, or one call of each where that takes longer.
  UnlimitedCost(const Arithmetic& arithmetic, Activation activation);
  [[nodiscard]] double mac() const { return mac_; }
  [[nodiscard]] double site(const SiteRow& row, const ModelConfig& model, std::size_t first,
                            std::size_t rows) const;

 private:
  double mac_ = 0.0, operation_ = 0.0, exp_ = 0.0, activation_ = 0.0;
};

/// Bytes of the values that a pass over `length` tokens holds at once in unlimited(N).
double unlimited_bytes(const Arithmetic& arithmetic, const ModelConfig& model, std::size_t length);

}  // namespace lamp::experiments
