// A callable of Python as an own rule, in this process.
#pragma once

#include <nanobind/nanobind.h>

#include "core/selection/rules/own.hpp"

namespace lamp::python {

class CallableRule final : public OwnRule {
 public:
  /// answer(question: bytes) -> bytes, as lamp/_rule.py has it.
  CallableRule(nanobind::object answer, bool reads_keys)
      : answer_(std::move(answer)), reads_keys_(reads_keys) {}
  /// Holds the GIL while Python is at work. What Python raises is thrown as it is.
  void mark(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected) override;

 private:
  nanobind::object answer_;
  bool reads_keys_;
};

}  // namespace lamp::python
