// Numbers of `lamp calc` as text: C hex floats in, C hex floats out.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace lamp::experiments {

/// "0x1.8p+1" (the exponent may be left out), "inf", "infinity", "nan", each with an optional sign,
/// in either case: the whole text. The number must be a binary64 number: nothing is rounded here.
Result<double> parse_hex_float(std::string_view text);

/// As C's %a writes it: "0x1.8p+1", "-0x0p+0", "inf", "-inf"; every NaN is "nan".
std::string to_hex_float(double x);

}  // namespace lamp::experiments
