// Formats and other number systems as a config or a line of `lamp calc` writes them: by name or as
// an object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "core/fp/format.hpp"
#include "core/fp/number_system.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

/// A format given by name, or as a table {p, emin, emax, subnormals, infinities, nan, signed_zero,
/// unsigned, zero, top_codes_lost, overflow}, or as a string that holds such a table: p, emin, emax
/// are required, the rest has IEEE's values. Any p and exponents that core/mpfr takes. The
/// problem's key is left to the caller.
std::optional<Problem> read_format(const Value& value, FloatFormat& format);

/// A number system: a float format as above, or another system by its name, by a table of its keys
/// or by a string that holds the table.
std::optional<Problem> read_number_system(const Value& value, std::optional<NumberSystem>& system);

/// A format as one word: its catalog name, or its table (which a string may hold).
std::string format_word(const FloatFormat& format);
/// A format as a config writes it: its catalog name in quotes, or its table.
std::string format_text(const FloatFormat& format);
/// Every property of a format, whatever its name: what identities are made of.
std::string format_identity(const FloatFormat& format);

/// The same of any number system.
std::string system_word(const NumberSystem& system);
std::string system_text(const NumberSystem& system);
std::string system_identity(const NumberSystem& system);

/// A format of a line of `lamp calc`: a name or an object.
Result<FloatFormat> parse_format_json(const nlohmann::json& format);
Result<NumberSystem> parse_number_system_json(const nlohmann::json& system);

}  // namespace lamp::experiments
