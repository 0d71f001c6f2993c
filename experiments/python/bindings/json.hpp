// What Python says of formats and arithmetics (strings, numbers, dicts, lists) as the JSON that
// configs and `lamp calc` are read from.
#pragma once

#include <nanobind/nanobind.h>

#include <nlohmann/json.hpp>

namespace lamp::python {

/// None, bool, int, float, str, list, tuple, dict; an object that has a `config` is what that says
/// (Format, Arithmetic). Throws Failure of anything else.
nlohmann::json json_of(nanobind::handle value);

/// The other way.
nanobind::object object_of(const nlohmann::json& value);

}  // namespace lamp::python
