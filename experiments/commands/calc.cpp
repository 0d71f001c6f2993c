// lamp calc: which operations there are, and what each of them calls.
#include "experiments/calc/calc.hpp"

#include <algorithm>
#include <array>
#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"
#include "experiments/calc/operations.hpp"
#include "experiments/config/suggestions.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

using nlohmann::json;

struct Operation {
  std::string_view name;
  json (*compute)(CalcRequest&);
  std::array<std::string_view, 13> keys;  // besides op and backend
};

constexpr std::array operations{
    Operation{"round", calc::round, {"x", "format", "rounding", "random_bits", "seed"}},
    Operation{"add", calc::add, {"a", "b", "format", "rounding", "random_bits", "seed"}},
    Operation{"sub", calc::sub, {"a", "b", "format", "rounding", "random_bits", "seed"}},
    Operation{"mul", calc::mul, {"a", "b", "format", "rounding", "random_bits", "seed"}},
    Operation{"div", calc::div, {"a", "b", "format", "rounding", "random_bits", "seed"}},
    Operation{"fma", calc::fma, {"a", "b", "c", "format", "rounding", "random_bits", "seed"}},
    Operation{"sqrt", calc::sqrt, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"exp", calc::exp, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"exp2", calc::exp2, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"log", calc::log, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"tanh", calc::tanh, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"erf", calc::erf, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"rsqrt", calc::rsqrt, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"reciprocal", calc::reciprocal, {"a", "format", "rounding", "random_bits", "seed"}},
    Operation{"gelu", calc::gelu, {"x", "variant", "format", "rounding", "random_bits", "seed"}},
    Operation{"silu", calc::silu, {"x", "format", "rounding", "random_bits", "seed"}},
    Operation{"relu", calc::relu, {"x", "format", "rounding", "random_bits", "seed"}},
    Operation{"encode", calc::encode, {"x", "format"}},
    Operation{"decode", calc::decode, {"code", "format"}},
    Operation{"dot", calc::dot, {"a", "b", "c", "arith", "random_bits", "seed"}},
    Operation{"gemm", calc::gemm, {"a", "b", "arith", "random_bits", "seed"}},
    Operation{"softmax", calc::softmax, {"y", "arith", "random_bits", "seed"}},
    Operation{"layernorm",
              calc::layernorm,
              {"x", "gamma", "beta", "eps", "arith", "random_bits", "seed"}},
    Operation{"select",
              calc::select,
              {"function", "y", "g", "w", "W", "eps", "weights", "norm", "solver", "mask",
               "row_length", "tau", "rate"}},
};

/// Refuses keys that the operation does not read.
void check_keys(CalcRequest& request, const json& object, const Operation& operation) {
  std::vector<std::string> legal{"op", "backend"};
  for (const std::string_view key : operation.keys)
    if (!key.empty()) legal.emplace_back(key);
  for (const auto& [key, value] : object.items()) {
    if (std::find(legal.begin(), legal.end(), key) != legal.end()) continue;
    if (const std::string near = nearest(key, legal); near.empty())
      request.fail(
          {"unknown key ", in_quotes(key), " of ", operation.name, "; legal: ", join(legal)});
    else
      request.fail({"unknown key ", in_quotes(key), " of ", operation.name, "; did you mean ", near,
                    "? legal: ", join(legal)});
  }
}

/// "-0" as "-0.0" outside of strings: nlohmann-json would read it as the integer 0 and lose the
/// sign.
std::string keep_negative_zeros(std::string_view line) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    out += line[i];
    if (in_string && line[i] == '\\' && i + 1 < line.size()) {
      out += line[++i];
    } else if (line[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && line[i] == '0' && i > 0 && line[i - 1] == '-' &&
               (i < 2 || (line[i - 2] != 'e' && line[i - 2] != 'E'))) {
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
  if (!object->is_object())
    return bad(
        "a line is one JSON object, such as {\"op\": \"round\", \"x\": [1.5], \"format\": "
        "\"ps7\"}");
  CalcRequest request(*object);
  for (const Operation& operation : operations) {
    if (const auto op = object->find("op");
        op != object->end() && *op == std::string(operation.name)) {
      check_keys(request, *object, operation);
      json result = request.failed() ? json() : operation.compute(request);
      if (request.failed()) return bad(request.problem());
      return result;
    }
  }
  std::vector<std::string> legal;
  for (const Operation& operation : operations) legal.emplace_back(operation.name);
  const std::string* op =
      object->contains("op") ? object->at("op").get_ptr<const std::string*>() : nullptr;
  request.fail({"op is ", op == nullptr ? std::string("missing or no string") : in_quotes(*op),
                "; legal: ", join(legal)});
  return bad(request.problem());
}

}  // namespace

CalcAnswer calc_line(std::string_view line) {
  const Result<json> result = compute(line);
  if (!result) return {.json = json_text(json{{"error", result.error().message}}), .ok = false};
  return {.json = json_text(*result)};
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
