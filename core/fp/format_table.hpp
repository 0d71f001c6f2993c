// Everything there is to say about one format: what `lamp formats` prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/fp/encoding.hpp"
#include "core/fp/format.hpp"

namespace lamp {

struct CodedValue {
  std::uint64_t code;
  CodeKind kind;
  double value;  // NaN also where the kind is unused
};

struct FormatTable {
  std::string name;  // format_name
  FloatFormat format;
  double u, xmin, xmax;
  std::optional<double> xmins;  // with subnormals
  int bits;                     // of a code
  CodeCounts counts;
  std::vector<CodedValue> values;  // every code ascending, of formats up to 8 bits; else empty
};

/// Formats of at most this many bits have their values listed.
inline constexpr int listed_bits = 8;

/// Pre: check_format(format).
FormatTable format_table(const FloatFormat& format);

}  // namespace lamp
