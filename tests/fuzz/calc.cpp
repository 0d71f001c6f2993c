// Lines of `lamp calc`: experiments/calc, and below it every format, rounding, operation and order
// of accumulation, in small.
#include "experiments/calc/calc.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "core/model/files/strict_json.hpp"
#include "experiments/config/number_systems.hpp"
#include "tests/fuzz/config_values.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using experiments::CalcAnswer;
using nlohmann::json;

constexpr std::array operations{"round", "add",  "sub",     "mul",       "div",    "fma",
                                "sqrt",  "exp",  "exp2",    "log",       "tanh",   "erf",
                                "rsqrt", "gelu", "silu",    "relu",      "encode", "decode",
                                "dot",   "gemm", "softmax", "layernorm", "select", "reciprocal"};

constexpr std::array exact_operations{"round", "add",    "sub",    "mul", "div", "fma",
                                      "sqrt",  "encode", "decode", "dot", "gemm"};

/// Whether the answer has the same bits in every backend: not that of functions with p > 24, which
/// only the second implementation rounds correctly (calc.md), nor what is made of them.
bool is_same_everywhere(const json& request) {
  const auto op = request.at("op").get<std::string>();
  if (std::find(exact_operations.begin(), exact_operations.end(), op) != exact_operations.end())
    return true;
  if (!request.contains("format")) return false;
  const Result<FloatFormat> format = experiments::parse_format_json(request.at("format"));
  return format && format->p <= 24;
}

/// The answer of another backend.
CalcAnswer with_backend(json request, const char* backend) {
  request["backend"] = backend;
  return experiments::calc_line(request.dump());
}

void check_backends(const json& request, const CalcAnswer& answer) {
  const CalcAnswer scalar = with_backend(request, "scalar");
  law(scalar.json == answer.json, "the scalar backend gives the same bits");
  if (!is_same_everywhere(request)) return;
  const CalcAnswer mpfr = with_backend(request, "mpfr");
  if (mpfr.json != answer.json)
    std::fprintf(stderr, "mpfr: %s\nfast: %s\n", mpfr.json.c_str(), answer.json.c_str());
  law(mpfr.json == answer.json, "the second implementation gives the same bits");
}

bool check_line(std::string_view line) {
  const CalcAnswer answer = experiments::calc_line(line);
  const Result<json> said = parse_strict_json(answer.json, "answer");
  law(said.ok() && said->is_object() && answer.json.find('\n') == std::string::npos,
      "an answer is one JSON object on a line");
  law(said->contains("error") == !answer.ok, "an answer is an error or is none");
  if (!answer.ok) return law_of_message(said->at("error").get<std::string>()), false;
  const Result<json> request = parse_strict_json(line, "line");
  law(request.ok(), "what is answered is JSON");
  if (!request->contains("backend")) check_backends(*request, answer);
  return true;
}

bool run(std::string_view bytes) {
  bool accepted = false;
  for (const std::string_view line : lines_of(bytes))
    if (check_line(line)) accepted = true;
  return accepted;
}

// The mutations that know the language: an operation, a key's value, a number. A seed is a README
// with many lines; what comes of it is one.

json number(Random& random) {
  constexpr std::array words{"0x1.8p+1",
                             "-0x0p+0",
                             "nan",
                             "inf",
                             "-inf",
                             "0x1p-1074",
                             "0x1.fffffep+127",
                             "0x1p-149",
                             "0x1.0000000000001p+0",
                             "0x1p+1023",
                             "0x1.01p+0",
                             "-0x1.8p-26"};
  if (random() % 2 == 0) return one_of(words, random);
  return static_cast<double>(random() % 4096) / 64 - 16;
}

json numbers(Random& random) {
  json list = json::array();
  for (std::size_t left = random() % 6; left > 0; --left) list.push_back(number(random));
  return list;
}

/// A value of a key of [arithmetic.NAME], or of one that only calc has.
json value_of(const std::string& key, Random& random) {
  if (key == "op") return one_of(operations, random);
  if (key == "backend") return random() % 2 == 0 ? "scalar" : "avx2";
  if (key == "seed" || key == "row_length" || key == "random_bits") return random() % 40;
  if (key == "eps" || key == "tau" || key == "rate" || key == "c") return number(random);
  if (key == "function")
    return one_of(std::array{"softmax", "rmsnorm", "layernorm", "gelu_tanh", "silu", "linear"},
                  random);
  if (key == "W" || ((key == "a" || key == "b") && random() % 4 == 0))
    return json::array({numbers(random), numbers(random)});
  for (const std::string prefix : {"arithmetic.a.", "lamp.scores."}) {
    if (experiments::find_field(prefix + key).field == nullptr) continue;
    json value =
        json::parse(value_of_key(prefix + key, random), nullptr, false);  // not all TOML is JSON
    if (!value.is_discarded()) return value;
    return json{{"p", 1 + random() % 60}, {"emin", -20}, {"emax", 1 + random() % 200}};
  }
  return numbers(random);
}

void change(json& object, Random& random) {
  if (!object.is_object() || object.empty()) return;
  auto at = object.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(random() % object.size()));
  if (at->is_object() && random() % 4 != 0) return change(*at, random);
  if (at->is_array() && !at->empty() && random() % 2 == 0) {
    json& element = (*at)[random() % at->size()];
    element = number(random);
  } else {
    *at = value_of(at.key(), random);
  }
}

void add(json& object, Random& random) {
  constexpr std::array keys{"rounding", "random_bits", "seed",   "order",   "via",     "product",
                            "operands", "format",      "engine", "variant", "mask",    "solver",
                            "norm",     "weights",     "c",      "part",    "backend", "preset"};
  const std::string key = one_of(keys, random);
  const auto arith = object.find("arith");
  json& into = arith != object.end() && arith->is_object() && random() % 4 != 0 ? *arith : object;
  if (into.is_object()) into[key] = value_of(key, random);
}

std::string mutate(std::string_view bytes, Random& random) {
  std::vector<std::string_view> lines = lines_of(bytes);
  std::erase_if(lines, [](std::string_view line) { return !line.starts_with('{'); });
  json request = lines.empty() ? json() : json::parse(one_of(lines, random), nullptr, false);
  if (request.is_discarded() || !request.is_object())
    request = {{"op", "add"}, {"a", {1}}, {"b", {2}}, {"format", "ps7"}};
  for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
    if (random() % 4 == 0)
      add(request, random);
    else
      change(request, random);
  }
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

const Listed listed({.name = "calc", .run = run, .mutate = mutate});

}  // namespace
}  // namespace lamp::fuzz
