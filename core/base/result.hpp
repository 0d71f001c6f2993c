// The world failing: a value or one error line. A programmer's error is contract.hpp's business.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "core/base/contract.hpp"

namespace lamp {

/// Exit codes of the command line; an Error carries the one its command should end with.
enum class ExitCode : int {
  done = 0,
  check_failed = 1,
  usage = 2,
  bad_data = 65,  // bad config, model or data
  missing_input = 66,
  internal = 70,
  out_of_memory = 71,
  cannot_create = 73,  // output, or a folder of another experiment
  io = 74,
  partial = 75,  // partial and resumable, locked, or other shards pending
  permission = 77,
};

/// One line: what, where (file:line:column or byte offset), the legal range, what to do.
struct Error {
  ExitCode code = ExitCode::internal;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return expects(ok(), "Result::value of an error"), std::get<0>(state_); }
  const T& value() const& {
    return expects(ok(), "Result::value of an error"), std::get<0>(state_);
  }
  T&& value() && {
    return expects(ok(), "Result::value of an error"), std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const {
    return expects(!ok(), "Result::error of a value"), std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit on purpose
  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const {
    return expects(!ok_, "Result::error of a value"), error_;
  }

 private:
  Error error_{};
  bool ok_ = true;
};

}  // namespace lamp
