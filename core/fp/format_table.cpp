#include "core/fp/format_table.hpp"

#include <limits>

namespace lamp {

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
