#include "core/model/files/config_reader.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/contract.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {

using nlohmann::json;

namespace {

/// The largest legal value of an integer of shape_keys.
std::uint64_t limit_of(std::string_view name) {
  const auto key = std::find_if(shape_keys.begin(), shape_keys.end(),
                                [&](const ShapeKey& k) { return k.name == name; });
  expects(key != shape_keys.end(), "ConfigReader: a key of shape_keys");
  return key->most;
}

}  // namespace

const json* ConfigReader::find(std::string_view key) const {
  const auto found = document_.find(key);
  return found == document_.end() ? nullptr : &*found;
}

bool ConfigReader::has_value(std::string_view key) const {
  const json* value = find(key);
  return value != nullptr && !value->is_null();
}

bool ConfigReader::is_null(std::string_view key) const {
  const json* value = find(key);
  return value != nullptr && value->is_null();
}

void ConfigReader::complain(std::string_view key, const std::string& what, std::string_view legal) {
  if (complaint_.empty())
    complaint_ =
        file_ + ": " + outer_ + std::string(key) + " " + what + "; legal: " + std::string(legal);
}

std::size_t ConfigReader::shape(std::string_view name) { return integer(name, 1, limit_of(name)); }

std::size_t ConfigReader::shape(std::string_view name, std::size_t fallback,
                                std::string_view alias) {
  const json *own = find(name), *other = alias.empty() ? nullptr : find(alias);
  if (own == nullptr && other == nullptr) return fallback;
  if (own == nullptr) return integer(alias, 1, limit_of(name));
  if (other != nullptr && *other != *own)
    complain(alias, "is " + shown(*other), "what " + std::string(name) + " is, " + shown(*own));
  return shape(name);
}

std::size_t ConfigReader::shape_called(std::string_view key, std::string_view name,
                                       std::size_t fallback) {
  if (!has_value(key)) return fallback;
  return integer(key, 1, limit_of(name));
}

std::uint64_t ConfigReader::integer(std::string_view key, std::uint64_t least, std::uint64_t most) {
  const json* value = find(key);
  const std::string legal =
      "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  if (value == nullptr) return complain(key, "is missing", legal), least;
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
      value->get<std::uint64_t>() > most)
    return complain(key, "is " + shown(*value), legal), least;
  return value->get<std::uint64_t>();
}

bool ConfigReader::boolean(std::string_view key, bool fallback) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return complain(key, "is " + shown(*value), "true or false"), fallback;
  return value->get<bool>();
}

double ConfigReader::fraction(std::string_view key, double fallback) {
  return positive(key, fallback, 1.0);
}

double ConfigReader::positive(std::string_view key, double fallback, double most) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  const double number = value->is_number() ? value->get<double>() : 0.0;
  if (!(number > 0.0 && number <= most))
    return complain(key, "is " + shown(*value),
                    "a number above 0, at most " + json_text(json(most))),
           fallback;
  return number;
}

std::optional<std::uint64_t> ConfigReader::first_integer(std::string_view key, std::uint64_t end) {
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  const json& first = value->is_array() && !value->empty() ? value->front() : *value;
  if (!first.is_number_unsigned())
    return complain(key, "is " + shown(*value), "an integer, or a list of them"), std::nullopt;
  const auto id = first.get<std::uint64_t>();
  return id < end ? std::optional(id) : std::nullopt;
}

std::optional<ConfigReader> ConfigReader::object(std::string_view key) {
  const json* value = find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_object())
    return complain(key, "is " + shown(*value), "an object or null"), std::nullopt;
  ConfigReader inner(*value, file_);
  inner.outer_ = outer_ + std::string(key) + ".";
  return inner;
}

void ConfigReader::adopt(const ConfigReader& inner) {
  if (complaint_.empty()) complaint_ = inner.complaint_;
}

std::string ConfigReader::string(std::string_view key, std::string_view fallback,
                                 std::string_view legal) {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string())
    return complain(key, "is " + shown(*value), legal), std::string(fallback);
  return value->get<std::string>();
}

}  // namespace lamp
