// What the children of own_rules run: the text of experiments/python/lamp/_rule.py, as it was when
// lamp was built.
#pragma once

#include <string_view>

namespace lamp::experiments {

extern const std::string_view driver;

}  // namespace lamp::experiments
