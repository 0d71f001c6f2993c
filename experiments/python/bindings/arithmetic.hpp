// An arithmetic that Python has described, with the words it used.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <nlohmann/json.hpp>

#include "core/arith/spec.hpp"

namespace lamp::python {

struct Emulation {
  /// Keys of [arithmetic.NAME] of a config, and seed. Throws Failure with the text of `lamp calc`.
  explicit Emulation(nanobind::dict given);

  nlohmann::json keys;
  Arithmetic arithmetic;

  /// Throws Failure where the order has no sums of n terms.
  void check_terms(std::size_t n) const;
};

}  // namespace lamp::python
