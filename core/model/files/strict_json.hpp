// JSON (RFC 8259). Read strictly: nlohmann-json accepts a key given twice, and keeps the last.
// Written whatever it holds: nlohmann-json throws at a text that is not UTF-8, as paths may be.
#pragma once

#include <cstddef>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace lamp {

/// The document in `text`. Syntax errors, a key given twice and nesting deeper than 32 are
/// bad_data: "name:line:column: ..".
Result<nlohmann::json> parse_strict_json(std::string_view text, std::string_view name);

/// JSON as a terminal may show it: DEL and C1 controls, which JSON allows in strings, escaped.
std::string json_without_controls(std::string_view json);

/// The value as text, with U+FFFD for bytes that are not UTF-8. indent: of its levels; -1: one
/// line.
template <class Json>
std::string json_text(const Json& value, int indent = -1) {
  return json_without_controls(value.dump(indent, ' ', false, Json::error_handler_t::replace));
}

/// A value in a message: its text, or what it is where that is long.
std::string shown(const nlohmann::json& value);

/// What nlohmann-json says about a syntax error, without its own prefix, in at most 200 bytes.
std::string json_complaint(const std::exception& error);

}  // namespace lamp
