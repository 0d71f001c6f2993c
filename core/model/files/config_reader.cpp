#include "core/model/files/config_reader.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/contract.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {

using nlohmann::json;

const json* ConfigReader::find(std::string_view key) const {
  const auto found = document_.find(key);
  return found == document_.end() ? nullptr : &*found;
}

bool ConfigReader::has_value(std::string_view key) const {
  const json* value = find(key);
  return value != nullptr && !value->is_null();
}

void ConfigReader::complain(std::string_view key, const std::string& what, std::string_view legal) {
  if (complaint_.empty())
    complaint_ = file_ + ": " + std::string(key) + " " + what + "; legal: " + std::string(legal);
}

std::size_t ConfigReader::shape(std::string_view name) {
  const auto key = std::find_if(shape_keys.begin(), shape_keys.end(),
                                [&](const ShapeKey& k) { return k.name == name; });
  expects(key != shape_keys.end(), "ConfigReader: a key of shape_keys");
  return integer(name, 1, key->most);
}

std::size_t ConfigReader::shape(std::string_view name, std::size_t fallback,
                                std::string_view alias) {
  const json *own = find(name), *other = alias.empty() ? nullptr : find(alias);
  if (own == nullptr && other == nullptr) return fallback;
  if (own == nullptr) {
    const auto key = std::find_if(shape_keys.begin(), shape_keys.end(),
                                  [&](const ShapeKey& k) { return k.name == name; });
    return integer(alias, 1, key->most);
  }
  if (other != nullptr && *other != *own)
    complain(alias, "is " + shown(*other), "what " + std::string(name) + " is, " + shown(*own));
  return shape(name);
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
  const json* value = find(key);
  if (value == nullptr) return fallback;
  const double number = value->is_number() ? value->get<double>() : 0.0;
  if (!(number > 0.0 && number <= 1.0))
    return complain(key, "is " + shown(*value), "a number above 0, at most 1"), fallback;
  return number;
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
