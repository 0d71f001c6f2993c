// Formats, codes, and roundings and functions to one format.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/arith/stochastic.hpp"
#include "core/fp/elementary.hpp"
#include "core/fp/encoding.hpp"
#include "core/fp/format.hpp"
#include "core/fp/number_system.hpp"
#include "core/fp/stochastic.hpp"
#include "core/fp/vector_rounding.hpp"
#include "experiments/calc/request.hpp"
#include "experiments/python/bindings/arrays.hpp"
#include "experiments/python/bindings/errors.hpp"
#include "experiments/python/bindings/json.hpp"
#include "experiments/python/bindings/module.hpp"

namespace lamp::python {

namespace nb = nanobind;
using experiments::CalcRequest;
using nlohmann::json;

namespace {

/// Where a function of the request fails, its text is the exception's.
void throw_problem(const CalcRequest& request) {
  if (request.failed()) fail(request.problem());
}

FloatFormat format_of(nb::handle value) {
  const json object{{"format", json_of(value)}};
  CalcRequest request(object);
  const FloatFormat format = request.format();
  throw_problem(request);
  return format;
}

/// What the elements of an array are rounded to.
struct Destination {
  NumberSystem system;
  Rounding mode;
  int random_bits;
  DrawStream draws;

  /// Keys format, rounding, random_bits, seed, as a line of `lamp calc`.
  explicit Destination(nb::dict keys) : system(lamp::binary64) {
    const json object = json_of(keys);
    CalcRequest request(object);
    system = request.number_system();
    mode = request.rounding();
    random_bits = request.random_bits();
    draws = request.draws();
    const bool rows = system.float_format() == nullptr;
    if (rows && (mode != Rounding::rne))
      request.fail({"rounding: rows of a ", kind_of(system),
                    " are rounded RNE; legal: rounding \"RNE\" or none"});
    throw_problem(request);
  }

  [[nodiscard]] bool is_random() const { return is_stochastic(mode); }
  [[nodiscard]] bool rounds_rows() const { return system.float_format() == nullptr; }
  [[nodiscard]] const FloatFormat& format() const {
    if (rounds_rows())
      fail("format: a " + kind_of(system) + " rounds rows of numbers; legal here: a float format");
    return *system.float_format();
  }
  /// Every rounded number is a binary32 number.
  [[nodiscard]] bool fits_binary32() const {
    return !rounds_rows() && contains(binary32, *system.float_format());
  }
  [[nodiscard]] Draw draw(std::size_t element) const {
    return draw_at(draws, static_cast<std::uint32_t>(element), 0, 0, DrawFor::sum, random_bits);
  }
  void check_draws(std::size_t elements) const {
    if (is_random() && elements > std::size_t{1} << 32)
      fail("rounding: an array of " + std::to_string(elements) +
           " elements; legal with SR and SRE: at most 2^32, which have draws of their own");
  }
};

using Array = Elements;

void round_rows(const Destination& to, const Array& x, const Array& y, std::size_t length,
                std::size_t threads) {
  if (length == 0) return;
  for_each_row(std::array{x}, length, y, length, x.size() / length, threads, 16.0,
               [&](const auto& row, std::span<double> out, std::size_t) {
                 round_row(to.system, row[0], out);
               });
}

void round(const Destination& to, const In& x, const Out& y, std::size_t threads) {
  const Array from(x), into(y);
  if (to.rounds_rows())
    return round_rows(to, from, into, x.ndim() == 0 ? 1 : x.shape(x.ndim() - 1), threads);
  const FloatFormat& format = to.format();
  to.check_draws(from.size());
  const double work = to.is_random() ? 64.0 : 4.0;
  for_each_stretch(std::array{from}, into, threads, work,
                   [&](const auto& operands, std::span<double> out, std::size_t first) {
                     if (!to.is_random()) return round_values(operands[0], out, format, to.mode);
                     for (std::size_t i = 0; i < out.size(); ++i)
                       out[i] = lamp::round(operands[0][i], format, to.mode, to.draw(first + i));
                   });
}

void function_values(const Destination& to, const std::string& name, const In& x, const Out& y,
                     std::size_t threads) {
  const Function f = value_in(functions, name).value();
  const FloatFormat& format = to.format();
  to.check_draws(Array(x).size());
  for_each_stretch(std::array{Array(x)}, Array(y), threads, 64.0,
                   [&](const auto& operands, std::span<double> out, std::size_t first) {
                     if (!to.is_random()) return evaluate(f, operands[0], out, format, to.mode);
                     for (std::size_t i = 0; i < out.size(); ++i)
                       out[i] = evaluate(f, operands[0][i], format, to.mode, to.draw(first + i));
                   });
}

using Codes = nb::ndarray<std::uint64_t, nb::c_contig, nb::device::cpu>;

void encode_values(const FloatFormat& format, const In& x, const Codes& codes) {
  const Array from(x);
  in_blocks(from.size(), cached_elements, 1, 0.0, [&](std::size_t begin, std::size_t end) {
    std::array<double, cached_elements> buffer;
    const std::span<const double> numbers = from.read(begin, end - begin, buffer);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const Result<std::uint64_t> code = encode(numbers[i], format);
      if (!code) fail("x: " + code.error().message);
      codes.data()[begin + i] = *code;
    }
  });
}

void decode_codes(const FloatFormat& format, const Codes& codes, const Out& x) {
  const Array into(x);
  in_blocks(into.size(), cached_elements, 1, 0.0, [&](std::size_t begin, std::size_t end) {
    std::array<double, cached_elements> numbers;
    for (std::size_t i = begin; i < end; ++i) {
      const Result<double> number = decode(codes.data()[i], format);
      if (!number) fail("code: " + number.error().message);
      numbers[i - begin] = *number;
    }
    into.write(begin, std::span(numbers).first(end - begin));
  });
}

/// Every finite number, ascending; zero once.
std::vector<double> finite_values(const FloatFormat& format) {
  constexpr int most_bits = 20;
  if (code_bits(format) > most_bits)
    fail("values: " + format_name(format) + " has codes of " + std::to_string(code_bits(format)) +
         " bits; legal: at most " + std::to_string(most_bits));
  std::vector<double> values;
  for (std::uint64_t code = 0; code < std::uint64_t{1} << code_bits(format); ++code) {
    const CodeKind kind = code_kind(code, format);
    const bool finite =
        kind == CodeKind::zero || kind == CodeKind::subnormal || kind == CodeKind::normal;
    if (finite) values.push_back(*decode(code, format));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (double& value : values) value = value == 0.0 ? 0.0 : value;  // +0, not -0
  return values;
}

}  // namespace

void bind_formats(nb::module_& module) {
  nb::class_<FloatFormat>(module, "Format")
      .def("__init__",
           [](FloatFormat* self, nb::handle format) { new (self) FloatFormat(format_of(format)); })
      .def_ro("p", &FloatFormat::p)
      .def_ro("emin", &FloatFormat::emin)
      .def_ro("emax", &FloatFormat::emax)
      .def_ro("subnormals", &FloatFormat::subnormals)
      .def_ro("infinities", &FloatFormat::infinities)
      .def_ro("nan", &FloatFormat::nan)
      .def_ro("signed_zero", &FloatFormat::signed_zero)
      .def_ro("unsigned", &FloatFormat::is_unsigned)
      .def_ro("zero", &FloatFormat::zero)
      .def_ro("top_codes_lost", &FloatFormat::top_codes_lost)
      .def_prop_ro(
          "overflow",
          [](const FloatFormat& f) { return std::string(name_in(overflow_names, f.overflow)); })
      .def_prop_ro("u", &unit_roundoff)
      .def_prop_ro("xmin", &xmin)
      .def_prop_ro("xmins", [](const FloatFormat& f) { return f.subnormals ? xmins(f) : xmin(f); })
      .def_prop_ro("xmax", &xmax)
      .def_prop_ro("bits", &code_bits)
      .def_prop_ro("name", &format_name)
      .def_prop_ro("config", &format_name)
      .def("__eq__",
           [](const FloatFormat& f, nb::handle other) {
             return nb::isinstance<FloatFormat>(other) && f == nb::cast<const FloatFormat&>(other);
           })
      .def("__hash__",
           [](const FloatFormat& f) { return std::hash<std::string>()(format_name(f)); })
      .def("_values", [](const FloatFormat& f) { return finite_values(f); })
      .def("_encode", &encode_values)
      .def("_decode", &decode_codes);
  nb::class_<Destination>(module, "Destination")
      .def(nb::init<nb::dict>())
      .def_prop_ro("fits_binary32", &Destination::fits_binary32)
      .def("round", &round)
      .def("function", &function_values);
  nb::list names;
  for (const auto& [name, f] : functions) names.append(nb::str(name.data(), name.size()));
  module.attr("functions") = nb::tuple(names);
}

}  // namespace lamp::python
