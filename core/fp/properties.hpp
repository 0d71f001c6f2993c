// A number system written as an object, {key = value, ..}, before it has a type: what configs and
// requests read and write.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/fp/format.hpp"

namespace lamp {

/// A format may be given by name, as a string.
using PropertyValue =
    std::variant<bool, std::int64_t, double, std::string, FloatFormat, std::vector<double>>;

struct Property {
  std::string key;
  PropertyValue value;
};

using Properties = std::vector<Property>;

}  // namespace lamp
