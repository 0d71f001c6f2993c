// lamp calc: known answers, bad lines, backends that agree, and the examples of its documentation.
#include "experiments/calc.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/arith/gemm.hpp"
#include "experiments/hex_float.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::same_bits;
using nlohmann::json;

namespace {

std::string answer(const std::string& line) { return calc_line(line).json; }

/// The one-element answer of an elementwise operation in `format`.
std::string one(const std::string& op, const std::string& operands, const std::string& format, const std::string& more = {}) {
  const json result = json::parse(answer(R"({"op":")" + op + R"(",)" + operands + R"(,"format":")" + format + '"' + more + '}'));
  INFO(op << " " << operands << " " << format << ": " << result.dump());
  REQUIRE(result.contains("y"));
  return result["y"][0];
}

std::string error(const std::string& line) {
  const CalcAnswer a = calc_line(line);
  INFO(line << " -> " << a.json);
  REQUIRE_FALSE(a.ok);
  const json parsed = json::parse(a.json);
  REQUIRE(parsed.size() == 1);
  return parsed["error"];
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("calc: hex floats are read whole and exactly, or refused", "[calc]") {
  const std::vector<std::pair<const char*, double>> good{{"0x1.8p+1", 3.0},
                                                         {"0X1.8P1", 3.0},
                                                         {"-0x0p+0", -0.0},
                                                         {"0x0", 0.0},
                                                         {"0x10", 16.0},
                                                         {"0x.8p0", 0.5},
                                                         {"0x8.p-3", 1.0},
                                                         {"+0x1p-1074", 0x1p-1074},
                                                         {"0x2p-1075", 0x1p-1074},
                                                         {"0x0.0000000000001p-1022", 0x1p-1074},
                                                         {"inf", HUGE_VAL},
                                                         {"-Infinity", -HUGE_VAL},
                                                         {"0x1.fffffffffffffp+1023", std::numeric_limits<double>::max()},
                                                         {"0x00000000000000000001.80000000000000000000p+1", 3.0},
                                                         {"0x100000000000000000000p-80", 1.0},
                                                         {"0x0p99999999999999999999", 0.0}};
  for (const auto& [text, value] : good) {
    INFO(text);
    const auto parsed = parse_hex_float(text);
    REQUIRE(parsed.ok());
    CHECK(same_bits(*parsed, value));
    CHECK_FALSE(same_bits(*parsed, test::off_by_one_bit(value)));
  }
  CHECK(std::isnan(*parse_hex_float("-NaN")));
  for (const char* bad : {"",
                          "1.5",
                          "0x",
                          "0x.",
                          "0xp1",
                          "0x1p",
                          "0x1p+",
                          "0x1.8p+1 ",
                          " 0x1p0",
                          "0x1.8.p0",
                          "0x1g",
                          "nan(1)",
                          "infin",
                          "--0x1",
                          "0x1p1x",
                          "0x1.00000000000001p+0",
                          "0x1p-1075",
                          "0x1p+1024",
                          "0x1.8p-1074",
                          "0x1p99999999999999999999",
                          "0x100000000000000000001p0"}) {
    INFO(bad);
    CHECK_FALSE(parse_hex_float(bad).ok());
  }
  test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const double x = random.bits64();
    REQUIRE(same_bits(*parse_hex_float(to_hex_float(x)), x));
  }
  for (const double x : test::special_values) CHECK(same_bits(*parse_hex_float(to_hex_float(x)), x));
  CHECK(to_hex_float(-0.0) == "-0x0p+0");
  CHECK(to_hex_float(3.0) == "0x1.8p+1");
  CHECK(to_hex_float(-std::numeric_limits<double>::quiet_NaN()) == "nan");
}

TEST_CASE("calc: known answers of the elementwise operations", "[calc]") {
  for (const std::string backend : {"auto", "scalar", "mpfr"}) {
    const std::string with = R"(,"backend":")" + backend + '"';
    INFO(backend);
    CHECK(one("round", R"("x":[0.1])", "binary32", with) == "0x1.99999ap-4");
    CHECK(one("round", R"("x":["nan"])", "binary32", with) == "nan");
    CHECK(one("add", R"("a":[1],"b":["0x1p-24"])", "binary32", with) == "0x1p+0");
    CHECK(one("add", R"("a":[1],"b":["0x1p-24"])", "binary32", R"(,"rounding":"RTP")" + with) == "0x1.000002p+0");
    CHECK(one("add", R"("a":[1],"b":[-1])", "binary32", R"(,"rounding":"RTN")" + with) == "-0x0p+0");
    CHECK(one("sub", R"("a":["inf"],"b":["inf"])", "binary32", with) == "nan");
    CHECK(one("sub", R"("a":["-0x0p+0"],"b":["0x0p+0"])", "binary32", with) == "-0x0p+0");
    CHECK(one("mul", R"("a":["0x1p-75"],"b":["0x1p-75"])", "binary32", with) == "0x0p+0");
    CHECK(one("mul", R"("a":[65504],"b":[2])", "binary16", with) == "inf");
    CHECK(one("div", R"("a":[1],"b":[3])", "binary32", with) == "0x1.555556p-2");
    CHECK(one("div", R"("a":[1],"b":[-0])", "binary32", with) == "-inf");  // JSON's -0 keeps its sign
    CHECK(one("div", R"("a":[1],"b":[-0.0])", "binary32", with) == "-inf");
    CHECK(one("fma", R"("a":["0x1.02p+0"],"b":[1.5],"c":["-0x1p-60"])", "ps7", with) == "0x1.82p+0");
    CHECK(one("sqrt", R"("a":[2])", "binary32", with) == "0x1.6a09e6p+0");
    CHECK(one("sqrt", R"("a":[-0])", "binary32", with) == "-0x0p+0");
    CHECK(one("exp", R"("a":[1])", "binary32", with) == "0x1.5bf0a8p+1");
    CHECK(one("exp", R"("a":["-inf"])", "binary32", with) == "0x0p+0");
    CHECK(one("rsqrt", R"("a":[4])", "bfloat16", with) == "0x1p-1");
    CHECK(one("rsqrt", R"("a":[-0])", "bfloat16", with) == "-inf");
    // 0.8411919906082767.. and 0.8413447460685429.. (Phi(1))
    CHECK(one("gelu", R"("x":[1],"variant":"tanh")", "binary32", with) == to_hex_float(static_cast<double>(0.8411919906082767F)));
    CHECK(one("gelu", R"("x":[1],"variant":"erf")", "binary32", with) == to_hex_float(static_cast<double>(0.8413447460685429F)));
    CHECK(one("gelu", R"("x":["-inf"],"variant":"erf")", "binary32", with) == "-0x0p+0");
  }
}

TEST_CASE("calc: operands are used as given", "[calc]") {
  // 1 + 2^-11 + 2^-20 - 2^-20 is a tie, which goes to 1; the first operand rounded to binary16 first would give 1 + 2^-10.
  CHECK(one("add", R"("a":["0x1.00201p+0"],"b":["-0x1p-20"])", "binary16") == "0x1p+0");
  CHECK(one("add", R"("a":["0x1.004p+0"],"b":["-0x1p-20"])", "binary16") == "0x1.004p+0");
  CHECK(answer(R"({"op":"dot","a":["0x1.01p+0"],"b":[256],"arith":{"format":"binary32"}})") == R"({"y":"0x1.01p+8"})");
  CHECK(answer(R"({"op":"dot","a":["0x1.01p+0"],"b":[256],"arith":{"format":"binary32","operands":"bfloat16"}})") == R"({"y":"0x1p+8"})");
}

TEST_CASE("calc: the examples of the documentation", "[calc]") {
  std::ifstream file(LAMP_SOURCE_DIR "/experiments/commands/calc.md");
  REQUIRE(file.good());
  std::string line, request;
  int examples = 0;
  while (std::getline(file, line)) {
    if (!line.starts_with("{\"")) continue;
    if (request.empty()) {
      request = line;
      continue;
    }
    INFO(request);
    CHECK(answer(request) == line);
    request.clear();
    ++examples;
  }
  CHECK(request.empty());
  CHECK(examples >= 8);
}

TEST_CASE("calc: sums, softmax and layer norm", "[calc]") {
  CHECK(answer(R"({"op":"dot","a":[],"b":[],"arith":{"format":"ps7"}})") == R"({"y":"0x0p+0"})");
  CHECK(answer(R"({"op":"dot","a":[1,1],"b":["0x1p-8","0x1p-8"],"c":1,"arith":{"format":"ps7"}})") == R"({"y":"0x1p+0"})");
  CHECK(answer(R"({"op":"gemm","a":[],"b":[],"arith":{"format":"ps7"}})") == R"({"y":[]})");
  CHECK(answer(R"({"op":"gemm","a":[[],[]],"b":[],"arith":{"format":"ps7"}})") == R"({"y":[[],[]]})");
  CHECK(answer(R"({"op":"softmax","y":[0,"nan"],"arith":{"format":"ps7"}})") == R"({"z":["nan","nan"]})");
  CHECK(answer(R"({"op":"softmax","y":[0,"inf"],"arith":{"format":"binary32"}})") == R"({"z":["nan","nan"]})");
  CHECK(answer(R"({"op":"softmax","y":[3],"arith":{"format":"e4m3"}})") == R"({"z":["0x1p+0"]})");
  // mean 2, variance 1, eps 3: (x - 2) / 2 gamma + beta
  CHECK(answer(R"({"op":"layernorm","x":[1,3],"gamma":[1,4],"beta":[0,1],"eps":3,"arith":{"format":"binary32"}})") ==
        R"({"y":["-0x1p-1","0x1.8p+1"]})");
}

TEST_CASE("calc: selection", "[calc]") {
  const std::string row = R"({"op":"select","function":"softmax","y":[0,0,"-0x1.62e42fefa39efp-1"])";
  const auto selected = [&](const std::string& more) { return json::parse(answer(row + more + '}'))["selected"].dump(); };
  CHECK(selected(R"(,"tau":1.1)") == "[0,1]");
  CHECK(selected(R"(,"tau":1.1,"solver":"exact")") == "[2]");
  CHECK(selected(R"(,"tau":2)") == "[]");
  CHECK(selected(R"(,"tau":0)") == "[0,1,2]");
  CHECK(selected(R"(,"tau":1.7,"mask":"as-zero","row_length":9)") == "[0]");
  CHECK(selected(R"(,"rate":0.5)") == "[0,1]");
  CHECK(selected(R"(,"tau":0.1,"weights":"relative")") == "[2]");
  CHECK(selected(R"(,"tau":0.1,"weights":"dot","w":[1,0,0])") == "[0]");
  CHECK(selected(R"(,"tau":0.5,"norm":"normwise1")") == "[0,1]");
  CHECK(answer(R"({"op":"select","function":"softmax","y":[0,"nan"],"tau":2})") == R"({"cost":"inf","selected":[0,1]})");
  CHECK(answer(R"({"op":"select","function":"softmax","y":[5],"tau":0})") == R"({"cost":"0x0p+0","selected":[]})");
}

TEST_CASE("calc: bad lines name the key and what is legal, and the others go on", "[calc]") {
  CHECK(mentions(error("{"), "not JSON"));
  CHECK(mentions(error("[1]"), "object"));
  CHECK(mentions(error(R"({"x":[1]})"), "op"));
  CHECK(mentions(error(R"({"op":"rond","x":[1],"format":"ps7"})"), "round"));
  CHECK(mentions(error(R"({"op":1,"x":[1]})"), "legal: round"));
  CHECK(mentions(error(R"({"op":"round","x":[1]})"), "format is missing"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","format":"ps8"})"), "twice"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"formt":"ps7"})"), "did you mean format"));
  CHECK(mentions(error(R"({"op":"round","x":1,"format":"ps7"})"), "x is"));
  CHECK(mentions(error(R"({"op":"round","x":["1.5"],"format":"ps7"})"), "hex float"));
  CHECK(mentions(error(R"({"op":"round","x":[true],"format":"ps7"})"), "no number"));
  CHECK(mentions(error(R"({"op":"round","x":["0x1.00000000000001p+0"],"format":"ps7"})"), "53"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"binary17"})"), "format"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":{"p":60,"emin":-126,"emax":127}})"), "p <= 53"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","rounding":"SR"})"), "RTO"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","backend":"cuda"})"), "\"mpfr\""));
  CHECK(mentions(error(R"({"op":"add","a":[1],"b":[1,2],"format":"ps7"})"), "b has 2 elements"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1],"arith":{"format":"ps7","oder":"sequential"}})"), "order"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1],"arith":{}})"), "format"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1]})"), "arith is missing"));
  CHECK(mentions(error(R"({"op":"gemm","a":[[1],[1,2]],"b":[[1]],"arith":{"format":"ps7"}})"), "row 1"));
  CHECK(mentions(error(R"({"op":"gemm","a":[[1,2]],"b":[[1]],"arith":{"format":"ps7"}})"), "b has 1 rows"));
  CHECK(mentions(error(R"({"op":"softmax","y":[],"arith":{"format":"ps7"}})"), "empty"));
  CHECK(mentions(error(R"({"op":"gelu","x":[1],"format":"ps7"})"), "\"tanh\", \"erf\""));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"rate":0.5})"), "exactly one"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1]})"), "tau"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":-1})"), "tau"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"w":[1]})"), "w is given"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"weights":"dot"})"), "w is missing"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"weights":"dot","w":[-1]})"), "w: legal"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1,2],"tau":1,"row_length":1})"), "row_length"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"mask":"as-zero","weights":"relative"})"), "as-zero"));
  CHECK(mentions(error("{\"op\":\"\xff\"}"), "not JSON"));

  std::istringstream in(
      "{\"op\":\"round\",\"x\":[1],\"format\":\"ps7\"}\n\n  \r\nnonsense\n{\"op\":\"round\",\"x\":[-0,\"-0\"],\"format\":\"ps7\"}\n"
      "{\"op\":\"round\",\"x\":[2e-0],\"format\":\"ps7\"}");
  std::ostringstream out;
  CHECK(calc_command(in, out) == 65);
  std::istringstream lines(out.str());
  std::vector<std::string> answers;
  for (std::string line; std::getline(lines, line);) answers.push_back(line);
  REQUIRE(answers.size() == 4);
  CHECK(answers[0] == R"({"y":["0x1p+0"]})");
  CHECK(mentions(answers[1], "error"));
  CHECK(mentions(answers[2], "error"));
  CHECK(answers[3] == R"({"y":["0x1p+1"]})");

  std::istringstream good("{\"op\":\"round\",\"x\":[],\"format\":\"ps7\"}\n");
  std::ostringstream empty;
  CHECK(calc_command(good, empty) == 0);
  CHECK(empty.str() == "{\"y\":[]}\n");
}

TEST_CASE("calc: every backend of this machine gives the same bits", "[calc][law]") {
  std::vector<std::string> backends{"scalar", "mpfr"};
  for (const auto& [name, backend] : {std::pair("avx2", Backend::avx2), std::pair("avx512", Backend::avx512)}) {
    if (available(backend))
      backends.emplace_back(name);
    else
      CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","backend":")" + std::string(name) + "\"}"), "legal here"));
  }
  test::Random random(7);
  const auto list = [&](std::size_t n, int low, int high) {
    json out = json::array();
    for (std::size_t i = 0; i < n; ++i) out.push_back(to_hex_float(random.with_exponent(low, high, random.between(1, 24))));
    return out;
  };
  const char* formats[] = {"ps7", "binary16", "bfloat16", "e4m3", "binary32", "ps2"};
  const char* modes[] = {"RNE", "RNA", "RTZ", "RTP", "RTN", "RTO"};
  for (int trial = 0; trial < 300; ++trial) {
    const char* format = formats[random.below(6)];
    const char* mode = modes[random.below(6)];
    json line;
    switch (trial % 9) {
      case 0:
        line = {{"op", "round"}, {"x", list(9, -20, 20)}};
        break;
      case 1:
        line = {{"op", random.below(2) == 0 ? "add" : "sub"}, {"a", list(9, -20, 20)}, {"b", list(9, -20, 20)}};
        break;
      case 2:
        line = {{"op", random.below(2) == 0 ? "mul" : "div"}, {"a", list(9, -20, 20)}, {"b", list(9, -20, 20)}};
        break;
      case 3:
        line = {{"op", "fma"}, {"a", list(9, -9, 9)}, {"b", list(9, -9, 9)}, {"c", list(9, -9, 9)}};
        break;
      case 4:
        line = {{"op", random.below(2) == 0 ? "sqrt" : "rsqrt"}, {"a", list(9, -20, 20)}};
        break;
      case 5:
        line = {{"op", "exp"}, {"a", list(9, -9, 5)}};
        break;
      case 6:
        line = {{"op", "gelu"}, {"variant", random.below(2) == 0 ? "tanh" : "erf"}, {"x", list(9, -5, 4)}};
        break;
      case 7:
        line = {{"op", "dot"}, {"a", list(40, -3, 3)}, {"b", list(40, -3, 3)}};
        break;
      case 8:
        line = {{"op", "softmax"}, {"y", list(30, -3, 3)}};
        break;
    }
    if (trial % 9 >= 7) {
      line["arith"] = {{"format", format}};
      if (random.below(2) == 0) line["arith"]["via"] = "binary32";
      if (random.below(3) == 0) line["arith"]["rounding"] = mode;
    } else {
      line["format"] = format, line["rounding"] = mode;
    }
    const std::string expected = answer(line.dump());
    INFO(line.dump() << " -> " << expected);
    REQUIRE_FALSE(mentions(expected, "error"));
    for (const std::string& backend : backends) {
      line["backend"] = backend;
      INFO(backend);
      REQUIRE(answer(line.dump()) == expected);
    }
  }
}
