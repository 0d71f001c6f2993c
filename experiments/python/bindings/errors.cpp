#include "experiments/python/bindings/errors.hpp"

#include <nanobind/nanobind.h>

namespace lamp::python {
namespace {

PyObject* exception_of(ExitCode code) {
  switch (code) {
    case ExitCode::usage:
    case ExitCode::bad_data:
    case ExitCode::check_failed:
      return PyExc_ValueError;
    case ExitCode::missing_input:
      return PyExc_FileNotFoundError;
    case ExitCode::out_of_memory:
      return PyExc_MemoryError;
    case ExitCode::permission:
      return PyExc_PermissionError;
    case ExitCode::io:
    case ExitCode::cannot_create:
    case ExitCode::partial:
      return PyExc_OSError;
    case ExitCode::internal:
    case ExitCode::done:
      return PyExc_RuntimeError;
  }
  return PyExc_RuntimeError;
}

}  // namespace

void register_exceptions() {
  nanobind::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Failure& failure) {
      PyErr_SetString(exception_of(failure.code()), failure.what());
    }
  });
}

}  // namespace lamp::python
