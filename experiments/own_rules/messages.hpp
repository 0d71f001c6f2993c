// Rows for a rule of Python and its answers, as bytes: `_rule.py` of the module lamp is the other
// side, in a child of the program or in the process of the module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/selection/rules/own.hpp"

namespace lamp::experiments {

/// The bytes of numbers and texts, one after the other.
class Message {
 public:
  void put(std::int64_t x) { put_bytes(&x, sizeof x); }
  void put(double x) { put_bytes(&x, sizeof x); }
  void put(std::span<const double> x) { put_bytes(x.data(), x.size_bytes()); }
  void put(std::span<const std::uint8_t> x) { put_bytes(x.data(), x.size_bytes()); }
  /// After its length.
  void put_text(std::string_view text) {
    put(static_cast<std::int64_t>(text.size()));
    put_bytes(text.data(), text.size());
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void put_bytes(const void* from, std::size_t size) {
    bytes_.append(static_cast<const char*>(from), size);
  }
  std::string bytes_;
};

/// Adds rows and LAMP's sets of them; keys where they are wanted and there.
void put_rows(Message& message, const OwnRows& rows, std::span<const std::span<std::uint8_t>> lamps,
              bool keys);

/// Takes the marks of all rows, one byte each; false where these are not as many zeros and ones.
bool take_marks(std::string_view answer, std::span<const std::span<std::uint8_t>> selected);

/// "at scores, layer 0, head 1, row 5, sequence 0": row i of these.
std::string place_of(const OwnRows& rows, std::size_t i);

}  // namespace lamp::experiments
