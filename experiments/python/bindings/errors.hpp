// The world failing, as Python exceptions with the command line's text.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "core/base/result.hpp"

namespace lamp::python {

/// An Error on its way to Python (register_exceptions): bad data and usage are a ValueError, a
/// missing file a FileNotFoundError, want of memory a MemoryError, files an OSError.
class Failure final : public std::exception {
 public:
  explicit Failure(Error error) : error_(std::move(error)) {}
  [[nodiscard]] const char* what() const noexcept override { return error_.message.c_str(); }
  [[nodiscard]] ExitCode code() const { return error_.code; }

 private:
  Error error_;
};

[[noreturn]] inline void fail(std::string message) {
  throw Failure({ExitCode::bad_data, std::move(message)});
}

/// The value, or the error thrown.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw Failure(result.error());
  return std::move(result).value();
}

void register_exceptions();

}  // namespace lamp::python
