// The parts of lamp._core: one file a theme, each adds its classes and functions.
#pragma once

#include <nanobind/nanobind.h>

namespace lamp::python {

void bind_formats(nanobind::module_& module);
void bind_arithmetic(nanobind::module_& module);
void bind_selection(nanobind::module_& module);
void bind_reveal(nanobind::module_& module);
void bind_model(nanobind::module_& module);

}  // namespace lamp::python
