#include "core/fp/format_table.hpp"

#include <array>
#include <limits>

namespace lamp {

std::string_view code_kind_name(CodeKind kind) {
  static constexpr std::array<std::string_view, 6> names{"zero",     "subnormal", "normal",
                                                         "infinity", "nan",       "unused"};
  return names[static_cast<std::size_t>(kind)];
}

FormatTable format_table(const FloatFormat& format) {
  FormatTable table{.name = format_name(format),
                    .format = format,
                    .u = unit_roundoff(format),
                    .xmin = xmin(format),
                    .xmax = xmax(format),
                    .xmins = std::nullopt,
                    .bits = code_bits(format),
                    .counts = code_counts(format),
                    .values = {}};
  if (format.subnormals) table.xmins = xmins(format);
  if (table.bits > listed_bits) return table;
  for (std::uint64_t code = 0; code >> table.bits == 0; ++code) {
    const Result<double> value = decode(code, format);
    table.values.push_back({.code = code,
                            .kind = code_kind(code, format),
                            .value = value ? *value : std::numeric_limits<double>::quiet_NaN()});
  }
  return table;
}

}  // namespace lamp
