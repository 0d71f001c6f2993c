// lamp calc: random requests over operation, format, rounding, order, via and product; every
// backend of this machine answers in the same words as MPFR's.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/fp/format.hpp"
#include "experiments/calc/calc.hpp"
#include "experiments/calc/hex_float.hpp"
#include "tests/core/arith/orders.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using namespace lamp::experiments;
using nlohmann::json;

namespace {

json format_json(const FloatFormat& f) {
  json object{{"p", f.p}, {"emin", f.emin}, {"emax", f.emax}, {"top_codes_lost", f.top_codes_lost}};
  object["subnormals"] = f.subnormals, object["infinities"] = f.infinities, object["nan"] = f.nan;
  object["signed_zero"] = f.signed_zero, object["unsigned"] = f.is_unsigned,
  object["zero"] = f.zero;
  object["overflow"] = f.overflow == Overflow::infinity  ? "inf"
                       : f.overflow == Overflow::largest ? "max"
                                                         : "nan";
  return object;
}

/// Requests of every operation that has more than one implementation.
class Requests {
 public:
  explicit Requests(std::uint32_t seed) : random_(seed) {}

  json next(std::size_t number) {
    static const std::vector<std::string> operations{
        "round", "add", "sub",  "mul",  "div",     "fma",        "sqrt",  "exp",
        "exp2",  "log", "tanh", "erf",  "rsqrt",   "reciprocal", "gelu",  "silu",
        "relu",  "dot", "dot",  "gemm", "softmax", "layernorm",  "select"};
    static const std::vector<std::string> functions{"exp",   "exp2",       "log",  "tanh", "erf",
                                                    "rsqrt", "reciprocal", "gelu", "silu", "relu"};
    const std::string& op = operations[number % operations.size()];
    json line{{"op", op}};
    const std::size_t n = random_.below(8) == 0 ? random_.below(3) : 4 + random_.below(20);
    if (op == "dot" || op == "gemm" || op == "softmax" || op == "layernorm")
      return sum(line, op, n);
    if (op == "select") return select(line, std::max<std::size_t>(n, 1));
    const bool function = std::find(functions.begin(), functions.end(), op) != functions.end();
    if (op == "gelu") line["variant"] = random_.below(2) == 0 ? "tanh" : "erf";
    const bool x = op == "round" || op == "gelu" || op == "silu" || op == "relu";
    line[x ? "x" : "a"] = list(n);
    if (op == "add" || op == "sub" || op == "mul" || op == "div" || op == "fma")
      line["b"] = list(n);
    if (op == "fma") line["c"] = list(n);
    line["format"] = format(function ? 24 : 53);
    round_by(line, true);
    return line;
  }

 private:
  template <std::size_t size, class T>
  const T& one_of(const std::array<T, size>& list) {
    return list[random_.below(static_cast<std::uint32_t>(size))];
  }

  /// Functions of formats beyond 24 bits are correctly rounded by mpfr only.
  json format(int widest) {
    static const std::array<std::string, 14> names{
        "binary16", "binary32", "binary64", "bfloat16", "tf32",  "e4m3fn", "e2m1fn",
        "e4m3fnuz", "e8m0fnu",  "ps7",      "ps2",      "e5m10", "ue4m3",  "ps23"};
    for (;;) {
      const std::uint32_t kind = random_.below(6);
      if (kind < 3) {
        const std::string& name = one_of(names);
        if (parse_format(name)->p <= widest) return name;
        continue;
      }
      const FloatFormat& f = kind < 5 ? one_of(test::small_formats) : one_of(test::large_formats);
      if (f.p <= widest) return format_json(f);
    }
  }

  void round_by(json& object, bool seed_too) {
    static const std::array<std::string, 8> modes{"RNE", "RNA", "RTZ", "RTP",
                                                  "RTN", "RTO", "SR",  "SRE"};
    if (random_.below(4) == 0) return;
    object["rounding"] = one_of(modes);
    if (random_.below(2) == 0) object["random_bits"] = random_.between(1, 32);
    if (seed_too && random_.below(2) == 0) object["seed"] = random_.word();
  }

  json mac(int widest) {
    json object{{"format", format(widest)}};
    if (random_.below(3) == 0) object["operands"] = format(53);
    if (random_.below(3) == 0) object["product"] = format(53);
    if (random_.below(3) == 0)
      object["via"] = random_.below(2) == 0 ? json("binary32") : format(widest);
    round_by(object, false);
    return object;
  }

  json arith(std::size_t terms, int widest) {
    json object = mac(widest);
    const std::vector<std::string> orders = test::order_texts(random_, terms);
    if (random_.below(4) != 0)
      object["order"] = orders[random_.below(static_cast<std::uint32_t>(orders.size()))];
    if (random_.below(3) == 0) object["block"] = mac(53);
    return object;
  }

  json list(std::size_t n) {
    json numbers = json::array();
    const std::uint32_t kind = random_.below(4);
    for (std::size_t i = 0; i < n; ++i) {
      double x = random_.with_exponent(-9, 9, random_.between(1, 24));
      if (kind == 1) x = random_.with_exponent(-30, 30);
      if (kind == 2)
        x = random_.below(3) == 0 ? one_of(test::special_values) : random_.with_exponent(-4, 4, 3);
      if (kind == 3) x = random_.bits64();
      numbers.push_back(to_hex_float(x));
    }
    return numbers;
  }

  json terms(const std::vector<double>& values) {
    json numbers = json::array();
    for (const double x : values) numbers.push_back(to_hex_float(x));
    return numbers;
  }

  json sum(json line, const std::string& op, std::size_t n) {
    if (random_.below(3) == 0) line["seed"] = random_.word();
    if (op == "dot") {
      const test::Operands o = test::operands(random_, one_of(std::to_array(test::all_terms)), n);
      line["a"] = terms(o.x), line["b"] = terms(o.y), line["arith"] = arith(n, 53);
      if (random_.below(3) == 0) line["c"] = list(1)[0];
    } else if (op == "gemm") {
      const std::size_t rows = 1 + random_.below(3), cols = 1 + random_.below(3);
      n = std::max<std::size_t>(n, 1);
      line["a"] = json::array(), line["b"] = json::array(), line["arith"] = arith(n, 53);
      for (std::size_t i = 0; i < rows; ++i) line["a"].push_back(list(n));
      for (std::size_t k = 0; k < n; ++k) line["b"].push_back(list(cols));
    } else {
      n = std::max<std::size_t>(n, 1);
      line[op == "softmax" ? "y" : "x"] = list(n), line["arith"] = arith(n, 24);
      if (op == "layernorm")
        line["gamma"] = list(n), line["beta"] = list(n), line["eps"] = random_.uniform();
    }
    return line;
  }

  json reals(std::size_t n, double least) {
    json values = json::array();
    for (std::size_t i = 0; i < n; ++i)
      values.push_back(to_hex_float(least + (4.0 - least) * random_.uniform()));
    return values;
  }

  json select(json line, std::size_t n) {
    static const std::array<std::string, 8> names{"softmax",  "rmsnorm", "layernorm", "gelu_tanh",
                                                  "gelu_erf", "silu",    "relu",      "linear"};
    const std::string function = one_of(names);
    const bool softmax = function == "softmax", norm = function.ends_with("norm"),
               activation = function.find("lu") != std::string::npos;
    line["function"] = function, line["y"] = reals(n, -4.0);
    if (softmax)  // z is computed in binary64: of y = 0 and -inf the exponentials are exact
      for (json& y : line["y"]) y = random_.below(4) == 0 ? "-inf" : "0x0p+0";
    line[random_.below(2) == 0 ? "tau" : "rate"] = random_.uniform();
    if (!activation) {
      line["norm"] = function != "linear" && random_.below(2) == 0 ? "componentwise" : "normwise1";
      line["solver"] = random_.below(2) == 0 ? "greedy" : "exact";
      if (function == "layernorm" && line["norm"] == "componentwise") line["solver"] = "greedy";
    }
    if (norm) line["eps"] = random_.below(2) == 0 ? 0.0 : 0.25;
    if (function == "linear") {
      line["W"] = json::array();
      for (std::uint32_t left = 1 + random_.below(3); left > 0; --left)
        line["W"].push_back(reals(n, -4.0));
    }
    const std::uint32_t weights = random_.below(softmax ? 2 : 3);
    if (weights == 1) line["weights"] = "dot", line["w"] = reals(n, 0.0);
    if (weights == 2) line["weights"] = "relative";
    if (weights == 2 && norm && random_.below(2) == 0) line["g"] = reals(n, -4.0);
    return line;
  }

  test::Random random_;
};

std::vector<std::string> backends() {
  std::vector<std::string> names{"auto", "scalar"};
  if (available(Backend::avx2)) names.emplace_back("avx2");
  if (available(Backend::avx512)) names.emplace_back("avx512");
  return names;
}

std::string answer_by(json line, const std::string& backend) {
  line["backend"] = backend;
  const CalcAnswer answer = calc_line(line.dump());
  INFO(line.dump() << " -> " << answer.json);
  REQUIRE(answer.ok);
  return answer.json;
}

}  // namespace

TEST_CASE("calc: every backend of this machine answers like MPFR", "[calc][law]") {
  Requests requests(11);
  const std::vector<std::string> names = backends();
  std::set<std::string> different;
  for (std::size_t i = 0; i < 6000; ++i) {
    const json line = requests.next(i);
    const std::string expected = answer_by(line, "mpfr");
    different.insert(expected);
    for (const std::string& backend : names) {
      INFO(line.dump() << " by " << backend);
      REQUIRE(answer_by(line, backend) == expected);
    }
  }
  CHECK(different.size() > 4500);  // the answers say something
}

TEST_CASE("calc: the comparison of backends sees each decision that differs", "[calc]") {
  struct Change {
    std::string what;
    void (*make)(json& line);
  };
  const std::vector<Change> changes{
      {"rounding",
       [](json& line) { (line.contains("arith") ? line["arith"] : line)["rounding"] = "RTO"; }},
      {"format",
       [](json& line) { (line.contains("arith") ? line["arith"] : line)["format"] = "e5m2"; }},
      {"order",
       [](json& line) {
         line.contains("arith") ? void(line["arith"]["order"] = "exact") : void();
       }},
      {"via",
       [](json& line) { line.contains("arith") ? void(line["arith"]["via"] = "e5m2") : void(); }},
      {"product",
       [](json& line) {
         line.contains("arith") ? void(line["arith"]["product"] = "e5m2") : void();
       }},
      {"operands",
       [](json& line) {
         line.contains("arith") ? void(line["arith"]["operands"] = "e5m2") : void();
       }},
      {"block",
       [](json& line) {
         if (line.contains("arith") && line["arith"].value("order", "").starts_with("blocked"))
           line["arith"]["block"] = {{"format", "ps1"}};
       }},
      {"seed", [](json& line) { line["seed"] = 12345; }},
      {"random_bits",
       [](json& line) { (line.contains("arith") ? line["arith"] : line)["random_bits"] = 2; }},
  };
  for (const Change& change : changes) {
    Requests requests(12);
    std::size_t seen = 0;
    for (std::size_t i = 0; i < 1600; ++i) {
      json line = requests.next(i);
      if (line["op"] == "select") continue;
      const std::string before = answer_by(line, "mpfr");
      change.make(line);
      seen += answer_by(line, "auto") != before ? 1 : 0;
    }
    INFO(change.what);
    CHECK(seen >= 5);
  }
}
