#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/stochastic.hpp"
#include "core/fp/encoding.hpp"
#include "core/fp/number_system.hpp"
#include "core/fp/stochastic.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/number_system.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/operations.hpp"

namespace lamp::experiments::calc {
namespace {

std::string hex(double x) { return to_hex_float(x); }

/// Binary64 numbers are written alike by every backend; others have a leading 1.
std::string hex(const mpfr::Real& x) {
  const double nearest = x.to_double();
  return mpfr::Real(nearest) == x ? to_hex_float(nearest) : x.hex();
}

template <class T>
Answer answer(const std::vector<T>& values) {
  Answer list = Answer::array();
  for (const T& value : values) list.push_back(hex(value));
  return list;
}

/// Format, mode and draws of an elementwise operation.
struct RoundingOf {
  FloatFormat format;
  Rounding mode;
  int random_bits;
  DrawStream draws;

  RoundingOf(CalcRequest& request, bool any_format)
      : format(request.format(any_format)),
        mode(request.rounding()),
        random_bits(request.random_bits()),
        draws(request.draws()) {}
  [[nodiscard]] Draw draw(std::size_t element) const {
    return draw_at(draws, static_cast<std::uint32_t>(element), 0, 0, DrawFor::sum, random_bits);
  }
};

/// operation(x.., format, mode, draw) on the elements of the operands named; T is double, or Real:
/// any format, operands of any length.
template <class T, class Operation, std::size_t... index>
Answer elementwise_of(CalcRequest& request, const std::array<const char*, sizeof...(index)>& names,
                      const Operation& operation, std::index_sequence<index...>) {
  std::array<std::vector<T>, sizeof...(index)> x;
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] =
        i == 0 ? request.numbers<T>(names[0]) : request.numbers<T>(names[i], x[0].size(), names[0]);
  const RoundingOf to(request, std::is_same_v<T, mpfr::Real>);
  if (request.failed()) return {};
  std::vector<T> y;
  y.reserve(x[0].size());
  for (std::size_t i = 0; i < x[0].size(); ++i)
    y.push_back(operation(x[index][i]..., to.format, to.mode, to.draw(i)));
  return {{"y", answer(y)}};
}

/// The first implementation beside the second.
template <std::size_t count, class First, class Second>
Answer elementwise(CalcRequest& request, const std::array<const char*, count>& names, First first,
                   Second second) {
  constexpr std::make_index_sequence<count> indices;
  return request.backend().mpfr ? elementwise_of<mpfr::Real>(request, names, second, indices)
                                : elementwise_of<double>(request, names, first, indices);
}

using mpfr::Real;

Answer unary(CalcRequest& request, const char* operand,
             double (*first)(double, const FloatFormat&, Rounding, Draw),
             Real (*second)(const Real&, const FloatFormat&, Rounding, Draw)) {
  return elementwise(request, std::array{operand}, first, second);
}

Answer binary(CalcRequest& request,
              double (*first)(double, double, const FloatFormat&, Rounding, Draw),
              Real (*second)(const Real&, const Real&, const FloatFormat&, Rounding, Draw)) {
  return elementwise(request, std::array{"a", "b"}, first, second);
}

Answer ternary(CalcRequest& request,
               double (*first)(double, double, double, const FloatFormat&, Rounding, Draw),
               Real (*second)(const Real&, const Real&, const Real&, const FloatFormat&, Rounding,
                              Draw)) {
  return elementwise(request, std::array{"a", "b", "c"}, first, second);
}

Answer function_of(CalcRequest& request, const char* operand, Function f) {
  const CalcBackend backend = request.backend();
  if (backend.mpfr) {
    const auto of_real = [f](const Real& x, const FloatFormat& format, Rounding mode, Draw draw) {
      return mpfr::evaluate(f, x, format, mode, draw);
    };
    return elementwise_of<Real>(request, std::array{operand}, of_real,
                                std::make_index_sequence<1>());
  }
  std::vector<double> x = request.numbers(operand);
  const RoundingOf to(request, false);
  if (request.failed()) return {};
  const bool random = to.mode == Rounding::sr || to.mode == Rounding::sre;
  if (!random && backend.fast != Backend::scalar) {
    evaluate(f, x, x, to.format, to.mode);
  } else {
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = random ? evaluate(f, x[i], to.format, to.mode, to.draw(i))
                    : evaluate(f, x[i], to.format, to.mode);
  }
  return {{"y", answer(x)}};
}

}  // namespace

Answer hex_list(std::span<const double> values) {
  return answer(std::vector<double>(values.begin(), values.end()));
}

namespace {

/// The row x in a system that is no float format; both implementations on binary64 numbers.
Answer rounded_row(CalcRequest& request) {
  const CalcBackend backend = request.backend();
  std::vector<double> x = request.numbers("x");
  const NumberSystem system = request.number_system();
  if (request.rounding() != Rounding::rne || request.has("random_bits") || request.has("seed"))
    request.fail({"rounding, random_bits, seed: rows of a ", kind_of(system),
                  " are rounded RNE; legal: rounding \"RNE\" or none of them"});
  if (request.failed()) return {};
  if (backend.mpfr)
    mpfr::round_row(system, x, x);
  else
    lamp::round_row(system, x, x);
  return {{"y", answer(x)}};
}

}  // namespace

Answer round(CalcRequest& request) {
  CalcRequest format = request;
  const bool single_numbers = format.number_system(true).float_format() != nullptr;
  if (!format.failed() && !single_numbers) return rounded_row(request);
  if (format.failed()) {  // said in the order of every operation: backend, x, format
    request.backend().mpfr ? void(request.numbers<mpfr::Real>("x")) : void(request.numbers("x"));
    request.number_system(true);
  }
  return unary(request, "x", lamp::round, mpfr::round);
}
Answer sqrt(CalcRequest& request) { return unary(request, "a", lamp::sqrt, mpfr::sqrt); }
Answer add(CalcRequest& request) { return binary(request, lamp::add, mpfr::add); }
Answer sub(CalcRequest& request) { return binary(request, lamp::sub, mpfr::sub); }
Answer mul(CalcRequest& request) { return binary(request, lamp::mul, mpfr::mul); }
Answer div(CalcRequest& request) { return binary(request, lamp::div, mpfr::div); }
Answer fma(CalcRequest& request) { return ternary(request, lamp::fma, mpfr::fma); }

Answer exp(CalcRequest& request) { return function_of(request, "a", Function::exp); }
Answer exp2(CalcRequest& request) { return function_of(request, "a", Function::exp2); }
Answer log(CalcRequest& request) { return function_of(request, "a", Function::log); }
Answer tanh(CalcRequest& request) { return function_of(request, "a", Function::tanh); }
Answer erf(CalcRequest& request) { return function_of(request, "a", Function::erf); }
Answer reciprocal(CalcRequest& request) { return function_of(request, "a", Function::reciprocal); }
Answer rsqrt(CalcRequest& request) { return function_of(request, "a", Function::rsqrt); }
Answer silu(CalcRequest& request) { return function_of(request, "x", Function::silu); }
Answer relu(CalcRequest& request) { return function_of(request, "x", Function::relu); }

Answer gelu(CalcRequest& request) {
  constexpr std::array<NamedValue<Function>, 2> variants{
      {{"tanh", Function::gelu_tanh}, {"erf", Function::gelu_erf}}};
  const Function variant = request.choice("variant", variants, std::nullopt);
  return function_of(request, "x", variant);
}

Answer encode(CalcRequest& request) {
  const std::vector<double> x = request.numbers("x");
  const FloatFormat format = request.format();
  static_cast<void>(request.backend());
  if (request.failed()) return {};
  Answer codes = Answer::array();
  for (const double number : x) {
    const Result<std::uint64_t> code = lamp::encode(number, format);
    if (!code) return request.fail({"x: ", code.error().message}), Answer();
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "0x%0*llx", (code_bits(format) + 3) / 4,
                  static_cast<unsigned long long>(*code));
    codes.push_back(text.data());
  }
  return {{"code", codes}};
}

Answer decode(CalcRequest& request) {
  const std::vector<std::uint64_t> codes = request.codes("code");
  const FloatFormat format = request.format();
  static_cast<void>(request.backend());
  if (request.failed()) return {};
  std::vector<double> x;
  for (const std::uint64_t code : codes) {
    const Result<double> number = lamp::decode(code, format);
    if (!number) return request.fail({"code: ", number.error().message}), Answer();
    x.push_back(*number);
  }
  return {{"x", answer(x)}};
}

}  // namespace lamp::experiments::calc
