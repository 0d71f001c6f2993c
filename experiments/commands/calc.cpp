// lamp calc: which operations there are, and what each of them calls.
#include "experiments/calc.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "core/arith/scalar.hpp"
#include "core/fp/elementary.hpp"
#include "core/lamp/selection.hpp"
#include "core/model/sites.hpp"
#include "core/model/strict_json.hpp"
#include "core/model/text.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"
#include "experiments/calc_request.hpp"
#include "experiments/config_value.hpp"
#include "experiments/hex_float.hpp"

namespace lamp::experiments {
namespace {

using nlohmann::json;

json answer(std::span<const double> values) {
  json list = json::array();
  for (const double value : values) list.push_back(to_hex_float(value));
  return list;
}

// Elementwise operations: the first implementation beside the second.

using Unary = double (*)(double, const FloatFormat&, Rounding);
using Binary = double (*)(double, double, const FloatFormat&, Rounding);
using Ternary = double (*)(double, double, double, const FloatFormat&, Rounding);

template <Unary first, Unary second>
json unary(CalcRequest& request, const char* operand) {
  std::vector<double> a = request.numbers(operand);
  const FloatFormat format = request.format();
  const Rounding mode = request.rounding();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  for (double& x : a) x = (engine.mpfr ? second : first)(x, format, mode);
  return {{"y", answer(a)}};
}

json round_(CalcRequest& request) { return unary<lamp::round, mpfr::round>(request, "x"); }
json sqrt_(CalcRequest& request) { return unary<lamp::sqrt, mpfr::sqrt>(request, "a"); }

template <Binary first, Binary second>
json binary(CalcRequest& request) {
  std::vector<double> a = request.numbers("a");
  const std::vector<double> b = request.numbers("b", a.size(), "a");
  const FloatFormat format = request.format();
  const Rounding mode = request.rounding();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = (engine.mpfr ? second : first)(a[i], b[i], format, mode);
  return {{"y", answer(a)}};
}

json fma_(CalcRequest& request) {
  std::vector<double> a = request.numbers("a");
  const std::vector<double> b = request.numbers("b", a.size(), "a"), c = request.numbers("c", a.size(), "a");
  const FloatFormat format = request.format();
  const Rounding mode = request.rounding();
  const Ternary operation = request.engine().mpfr ? static_cast<Ternary>(mpfr::fma) : static_cast<Ternary>(lamp::fma);
  if (request.failed()) return {};
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = operation(a[i], b[i], c[i], format, mode);
  return {{"y", answer(a)}};
}

json function_of(CalcRequest& request, const char* operand, Function f) {
  std::vector<double> a = request.numbers(operand);
  const FloatFormat format = request.format();
  const Rounding mode = request.rounding();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  if (engine.mpfr || engine.backend == Backend::scalar)
    for (double& x : a) x = engine.mpfr ? mpfr::evaluate(f, x, format, mode) : evaluate(f, x, format, mode);
  else
    evaluate(f, a, a, format, mode);
  return {{"y", answer(a)}};
}

json exp_(CalcRequest& request) { return function_of(request, "a", Function::exp); }
json rsqrt_(CalcRequest& request) { return function_of(request, "a", Function::rsqrt); }

json gelu_(CalcRequest& request) {
  static constexpr std::array<std::pair<std::string_view, Function>, 2> variants{
      {{"tanh", Function::gelu_tanh}, {"erf", Function::gelu_erf}}};
  const Function variant = request.choice<Function>("variant", variants, std::nullopt);
  return function_of(request, "x", variant);
}

// Sums.

MatrixView<const double> view(std::span<const double> values, std::size_t rows, std::size_t cols) {
  return {values.data(), rows, cols, cols};
}

json dot_(CalcRequest& request) {
  const std::vector<double> a = request.numbers("a"), b = request.numbers("b", a.size(), "a");
  const double c = request.number("c").value_or(0.0);
  const Arithmetic arithmetic = request.arithmetic();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  double y = 0.0;
  if (engine.mpfr)
    y = mpfr::dot(arithmetic, a, b, c);
  else if (engine.backend == Backend::automatic || c != 0.0 || std::signbit(c))
    y = dot(arithmetic, a, b, c);
  else  // the kernels start from +0
    gemm(arithmetic, view(a, 1, a.size()), view(b, b.size(), 1), MatrixView<double>(&y, 1, 1, 1), Shape::full, engine.backend);
  return {{"y", to_hex_float(y)}};
}

json gemm_(CalcRequest& request) {
  const Matrix<double> a = request.matrix("a"), b = request.matrix("b");
  if (!request.failed() && a.cols() != b.rows() && a.rows() != 0)
    request.fail({"b has ", std::to_string(b.rows()), " rows, a ", std::to_string(a.cols()), " columns; legal: a (m, k), b (k, n)"});
  const Arithmetic arithmetic = request.arithmetic();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  Matrix<double> y(a.rows(), b.cols());
  if (a.rows() != 0 && engine.mpfr) mpfr::gemm(arithmetic, a.view(), b.view(), y.view());
  if (a.rows() != 0 && !engine.mpfr) gemm(arithmetic, a.view(), b.view(), y.view(), Shape::full, engine.backend);
  json rows = json::array();
  for (std::size_t i = 0; i < y.rows(); ++i) rows.push_back(answer(y.row(i)));
  return {{"y", rows}};
}

// Sites and selection.

/// softmax of y as the engine computes it.
std::vector<double> softmax_by(const CalcRequest::Engine& engine, const Arithmetic& arithmetic, std::span<const double> y) {
  std::vector<double> z(y.size());
  if (engine.mpfr)
    softmax_row(mpfr::MpfrArithmetic(arithmetic.mac), arithmetic.order, y, z);
  else if (engine.backend == Backend::scalar)
    softmax_row(GeneralArithmetic(arithmetic.mac), arithmetic.order, y, z);
  else
    softmax_of_row(arithmetic, y, z);
  return z;
}

std::vector<double> row_of_scores(CalcRequest& request) {
  std::vector<double> y = request.numbers("y");
  if (y.empty()) request.fail({"y is empty; legal: at least one number"});
  return y;
}

json softmax_(CalcRequest& request) {
  const std::vector<double> y = row_of_scores(request);
  const Arithmetic arithmetic = request.arithmetic();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  return {{"z", answer(softmax_by(engine, arithmetic, y))}};
}

json layer_norm_(CalcRequest& request) {
  std::vector<double> x = request.numbers("x");
  const std::vector<double> gamma = request.numbers("gamma", x.size(), "x"), beta = request.numbers("beta", x.size(), "x");
  const std::optional<double> eps = request.number("eps");
  if (x.empty()) request.fail({"x is empty; legal: at least one number"});
  if (!eps) request.fail({"eps is missing; legal: a number"});
  const Arithmetic arithmetic = request.arithmetic();
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};
  const auto compute = [&](const auto& fl) { layer_norm_row(fl, fl, arithmetic.order, x, gamma, beta, *eps, x); };
  engine.mpfr ? compute(mpfr::MpfrArithmetic(arithmetic.mac)) : compute(GeneralArithmetic(arithmetic.mac));
  return {{"y", answer(x)}};
}

SelectionSpec selection_spec(CalcRequest& request) {
  static constexpr std::array<std::pair<std::string_view, ErrorWeights>, 3> weights{
      {{"absolute", ErrorWeights::absolute}, {"relative", ErrorWeights::relative}, {"dot", ErrorWeights::dot}}};
  static constexpr std::array<std::pair<std::string_view, Norm>, 2> norms{
      {{"componentwise", Norm::componentwise}, {"normwise1", Norm::normwise1}}};
  static constexpr std::array<std::pair<std::string_view, Solver>, 2> solvers{{{"greedy", Solver::greedy}, {"exact", Solver::exact}}};
  static constexpr std::array<std::pair<std::string_view, Mask>, 2> masks{{{"exclude", Mask::exclude}, {"as-zero", Mask::as_zero}}};
  SelectionSpec spec;
  spec.weights = request.choice<ErrorWeights>("weights", weights, ErrorWeights::absolute);
  spec.norm = request.choice<Norm>("norm", norms, Norm::componentwise);
  spec.solver = request.choice<Solver>("solver", solvers, Solver::greedy);
  spec.mask = request.choice<Mask>("mask", masks, Mask::exclude);
  spec.tau = request.number("tau");
  spec.rate = request.number("rate");
  if (const std::string problem = check(spec); !problem.empty()) request.fail({problem});
  return spec;
}

json select_(CalcRequest& request) {
  enum class Site { softmax };
  static constexpr std::array<std::pair<std::string_view, Site>, 1> functions{{{"softmax", Site::softmax}}};
  request.choice<Site>("function", functions, std::nullopt);
  const std::vector<double> y = row_of_scores(request);
  const SelectionSpec spec = selection_spec(request);
  std::vector<double> w;
  if (spec.weights == ErrorWeights::dot)
    w = request.numbers("w", y.size(), "y");
  else if (request.has("w"))
    request.fail({"w is given; legal: with weights \"dot\" only"});
  if (std::any_of(w.begin(), w.end(), [](double x) { return x < 0.0; })) request.fail({"w: legal are numbers >= 0"});
  const std::size_t row_length = request.count("row_length").value_or(y.size());
  if (row_length < y.size()) request.fail({"row_length is ", std::to_string(row_length), "; legal: at least the length of y"});
  const CalcRequest::Engine engine = request.engine();
  if (request.failed()) return {};

  const std::vector<double> z = softmax_by(engine, fused(binary64), y);
  const SoftmaxRow row{.z = z, .y = y, .w = w, .row_length = row_length};
  std::vector<std::uint8_t> marks(y.size());
  SelectionScratch scratch;
  select_softmax(spec, row, marks, scratch);
  json selected = json::array();
  for (std::size_t j = 0; j < marks.size(); ++j)
    if (marks[j] != 0) selected.push_back(j);
  return {{"selected", selected}, {"cost", to_hex_float(cost_softmax(spec, row, marks))}};
}

struct Operation {
  std::string_view name;
  json (*compute)(CalcRequest&);
  std::array<std::string_view, 10> keys;  // besides op and backend
};

constexpr std::array operations{
    Operation{"round", round_, {"x", "format", "rounding"}},
    Operation{"add", binary<lamp::add, mpfr::add>, {"a", "b", "format", "rounding"}},
    Operation{"sub", binary<lamp::sub, mpfr::sub>, {"a", "b", "format", "rounding"}},
    Operation{"mul", binary<lamp::mul, mpfr::mul>, {"a", "b", "format", "rounding"}},
    Operation{"div", binary<lamp::div, mpfr::div>, {"a", "b", "format", "rounding"}},
    Operation{"fma", fma_, {"a", "b", "c", "format", "rounding"}},
    Operation{"sqrt", sqrt_, {"a", "format", "rounding"}},
    Operation{"exp", exp_, {"a", "format", "rounding"}},
    Operation{"rsqrt", rsqrt_, {"a", "format", "rounding"}},
    Operation{"dot", dot_, {"a", "b", "c", "arith"}},
    Operation{"gemm", gemm_, {"a", "b", "arith"}},
    Operation{"softmax", softmax_, {"y", "arith"}},
    Operation{"layernorm", layer_norm_, {"x", "gamma", "beta", "eps", "arith"}},
    Operation{"gelu", gelu_, {"x", "variant", "format", "rounding"}},
    Operation{"select", select_, {"function", "y", "w", "weights", "norm", "solver", "mask", "row_length", "tau", "rate"}},
};

/// Refuses keys that the operation does not read.
void check_keys(CalcRequest& request, const json& object, const Operation& operation) {
  std::vector<std::string> legal{"op", "backend"};
  for (const std::string_view key : operation.keys)
    if (!key.empty()) legal.emplace_back(key);
  for (const auto& [key, value] : object.items()) {
    if (std::find(legal.begin(), legal.end(), key) != legal.end()) continue;
    if (const std::string near = nearest(key, legal); near.empty())
      request.fail({"unknown key ", in_quotes(key), " of ", operation.name, "; legal: ", join(legal)});
    else
      request.fail({"unknown key ", in_quotes(key), " of ", operation.name, "; did you mean ", near, "? legal: ", join(legal)});
  }
}

/// "-0" as "-0.0" outside of strings: nlohmann-json would read it as the integer 0 and lose the sign.
std::string keep_negative_zeros(std::string_view line) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    out += line[i];
    if (in_string && line[i] == '\\' && i + 1 < line.size()) {
      out += line[++i];
    } else if (line[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && line[i] == '0' && i > 0 && line[i - 1] == '-' && (i < 2 || (line[i - 2] != 'e' && line[i - 2] != 'E'))) {
      const char next = i + 1 < line.size() ? line[i + 1] : ' ';
      if (next != '.' && next != 'e' && next != 'E' && !(next >= '0' && next <= '9')) out += ".0";
    }
  }
  return out;
}

Result<json> compute(std::string_view line) {
  const Result<json> object = parse_strict_json(keep_negative_zeros(line), "line");
  if (!object) return object.error();
  const auto bad = [](std::string what) { return Error{ExitCode::bad_data, std::move(what)}; };
  if (!object->is_object()) return bad("a line is one JSON object, such as {\"op\": \"round\", \"x\": [1.5], \"format\": \"ps7\"}");
  CalcRequest request(*object);
  for (const Operation& operation : operations) {
    if (const auto op = object->find("op"); op != object->end() && *op == std::string(operation.name)) {
      check_keys(request, *object, operation);
      json result = request.failed() ? json() : operation.compute(request);
      if (request.failed()) return bad(request.problem());
      return result;
    }
  }
  std::vector<std::string> legal;
  for (const Operation& operation : operations) legal.emplace_back(operation.name);
  const std::string* op = object->contains("op") ? object->at("op").get_ptr<const std::string*>() : nullptr;
  request.fail({"op is ", op == nullptr ? std::string("missing or no string") : in_quotes(*op), "; legal: ", join(legal)});
  return bad(request.problem());
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

CalcAnswer calc_line(std::string_view line) {
  const Result<json> result = compute(line);
  if (!result) return {.json = dump({{"error", result.error().message}}), .ok = false};
  return {.json = dump(*result)};
}

int calc_command(std::istream& in, std::ostream& out) {
  bool all_ok = true;
  for (std::string line; std::getline(in, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const CalcAnswer answer = calc_line(line);
    all_ok = all_ok && answer.ok;
    out << answer.json << '\n' << std::flush;
    if (!out) return static_cast<int>(ExitCode::io);
  }
  return static_cast<int>(all_ok ? ExitCode::done : ExitCode::bad_data);
}

}  // namespace lamp::experiments
