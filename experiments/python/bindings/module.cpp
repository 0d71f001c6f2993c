#include "experiments/python/bindings/module.hpp"

#include "experiments/python/bindings/errors.hpp"

NB_MODULE(_core, module) {
  module.doc() = "Emulated arithmetic: the kernels of lamp on arrays. Use it through lamp.";
  lamp::python::register_exceptions();
  lamp::python::bind_formats(module);
  lamp::python::bind_arithmetic(module);
  lamp::python::bind_selection(module);
  lamp::python::bind_reveal(module);
  lamp::python::bind_model(module);
}
