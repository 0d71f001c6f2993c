#include "experiments/python/bindings/json.hpp"

#include <cstdint>
#include <string>

#include "experiments/python/bindings/errors.hpp"

namespace lamp::python {

namespace nb = nanobind;
using nlohmann::json;

namespace {

/// A str as UTF-8; Python's error where it has none.
std::string text_of(nb::handle value) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(value.ptr(), &size);
  if (text == nullptr) throw nb::python_error();
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

json json_of(nb::handle value) {
  PyObject* const object = value.ptr();
  if (value.is_none()) return nullptr;
  if (PyBool_Check(object)) return nb::cast<bool>(value);
  if (PyFloat_Check(object)) return PyFloat_AsDouble(object);  // numpy.float64 is one
  if (PyUnicode_Check(object)) return text_of(value);
  if (nb::hasattr(value, "config")) return json_of(value.attr("config"));
  if (PyIndex_Check(object) != 0) {  // int, and integers of numpy
    const nb::object integer = nb::steal(PyNumber_Index(object));
    if (!integer.is_valid()) throw nb::python_error();
    int overflow = 0;
    const std::int64_t number = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    if (overflow == 0 && number >= 0) return static_cast<std::uint64_t>(number);  // as JSON is read
    if (overflow == 0) return number;
    const double nearest = PyLong_AsDouble(integer.ptr());
    if (PyErr_Occurred() != nullptr) throw nb::python_error();
    return nearest;
  }
  if (PyList_Check(object) || PyTuple_Check(object)) {
    json list = json::array();
    for (const nb::handle item : value) list.push_back(json_of(item));
    return list;
  }
  if (PyDict_Check(object)) {
    json table = json::object();
    for (const auto& [key, item] : nb::borrow<nb::dict>(value)) {
      if (!PyUnicode_Check(key.ptr())) fail("a key of a dict is no str; legal: the config's keys");
      table[text_of(key)] = json_of(item);
    }
    return table;
  }
  if (PyNumber_Check(object) != 0) {  // numpy.float32
    const double number = PyFloat_AsDouble(object);
    if (PyErr_Occurred() == nullptr) return number;
    PyErr_Clear();
  }
  fail(std::string(nb::inst_name(value).c_str()) +
       " is no value of a config; legal: bool, int, float, str, list, dict, lamp.Format, "
       "lamp.Arithmetic");
}

nb::object object_of(const json& value) {
  if (value.is_boolean()) return nb::bool_(value.get<bool>());
  if (value.is_number_integer()) return nb::int_(value.get<std::int64_t>());
  if (value.is_number()) return nb::float_(value.get<double>());
  if (value.is_string()) return nb::str(value.get_ref<const std::string&>().c_str());
  if (value.is_array()) {
    nb::list list;
    for (const json& item : value) list.append(object_of(item));
    return list;
  }
  if (value.is_object()) {
    nb::dict table;
    for (const auto& [key, item] : value.items()) table[key.c_str()] = object_of(item);
    return table;
  }
  return nb::none();
}

}  // namespace lamp::python
