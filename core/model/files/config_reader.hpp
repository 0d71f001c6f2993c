// The keys of one config.json, as a network's file reads them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/model/files/config.hpp"

namespace lamp {

/// Every getter returns the value, or remembers the first complaint and returns its fallback.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& document, std::string file)
      : document_(document), file_(std::move(file)) {}

  /// The required integer of shape_keys with this name, from 1 to its limit.
  std::size_t shape(std::string_view name);
  /// The same with a default, and another name that some files have instead (or besides: then with
  /// the same value).
  std::size_t shape(std::string_view name, std::size_t fallback, std::string_view alias = {});
  /// The same under the key of another family.
  std::size_t shape_called(std::string_view key, std::string_view name, std::size_t fallback);
  std::uint64_t integer(std::string_view key, std::uint64_t least, std::uint64_t most);
  bool boolean(std::string_view key, bool fallback);
  /// A number above 0 and at most 1.
  double fraction(std::string_view key, double fallback);
  /// A number above 0 and at most `most`.
  double positive(std::string_view key, double fallback, double most);
  std::string string(std::string_view key, std::string_view fallback, std::string_view legal);
  /// Whether the key is there and not null.
  [[nodiscard]] bool has_value(std::string_view key) const;
  /// Whether the key is there and null: what says "none" where an absent key has a default.
  [[nodiscard]] bool is_null(std::string_view key) const;
  /// The first of a list of integers, or the one that stands in its place; nothing where it is
  /// none or not below `end`.
  [[nodiscard]] std::optional<std::uint64_t> first_integer(std::string_view key, std::uint64_t end);
  /// The keys of an object; nothing where there is none. Then adopt() what it complained of.
  std::optional<ConfigReader> object(std::string_view key);
  void adopt(const ConfigReader& inner);

  /// "KEY WHAT; legal: LEGAL".
  void complain(std::string_view key, const std::string& what, std::string_view legal);
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;

  const nlohmann::json& document_;
  std::string file_;
  std::string complaint_;
  std::string outer_{};  // "KEY." of the object that it reads
};

}  // namespace lamp
