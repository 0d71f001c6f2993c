// lamp calc: known answers and bad lines.
#include "experiments/calc/calc.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/base/philox.hpp"
#include "experiments/calc/hex_float.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using namespace lamp::experiments;
using lamp::test::same_bits;
using nlohmann::json;

namespace {

std::string answer(const std::string& line) { return calc_line(line).json; }

/// The one-element answer of an elementwise operation in `format`.
std::string one(const std::string& op, const std::string& operands, const std::string& format,
                const std::string& more = {}) {
  const json result = json::parse(answer(R"({"op":")" + op + R"(",)" + operands + R"(,"format":")" +
                                         format + '"' + more + '}'));
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

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("calc: hex floats are read whole and exactly, or refused", "[calc]") {
  const std::vector<std::pair<const char*, double>> good{
      {"0x1.8p+1", 3.0},
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
  for (const double x : test::special_values)
    CHECK(same_bits(*parse_hex_float(to_hex_float(x)), x));
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
    CHECK(one("add", R"("a":[1],"b":["0x1p-24"])", "binary32", R"(,"rounding":"RTP")" + with) ==
          "0x1.000002p+0");
    CHECK(one("add", R"("a":[1],"b":[-1])", "binary32", R"(,"rounding":"RTN")" + with) ==
          "-0x0p+0");
    CHECK(one("sub", R"("a":["inf"],"b":["inf"])", "binary32", with) == "nan");
    CHECK(one("sub", R"("a":["-0x0p+0"],"b":["0x0p+0"])", "binary32", with) == "-0x0p+0");
    CHECK(one("mul", R"("a":["0x1p-75"],"b":["0x1p-75"])", "binary32", with) == "0x0p+0");
    CHECK(one("mul", R"("a":[65504],"b":[2])", "binary16", with) == "inf");
    CHECK(one("div", R"("a":[1],"b":[3])", "binary32", with) == "0x1.555556p-2");
    CHECK(one("div", R"("a":[1],"b":[-0])", "binary32", with) ==
          "-inf");  // JSON's -0 keeps its sign
    CHECK(one("div", R"("a":[1],"b":[-0.0])", "binary32", with) == "-inf");
    CHECK(one("fma", R"("a":["0x1.02p+0"],"b":[1.5],"c":["-0x1p-60"])", "ps7", with) ==
          "0x1.82p+0");
    CHECK(one("sqrt", R"("a":[2])", "binary32", with) == "0x1.6a09e6p+0");
    CHECK(one("sqrt", R"("a":[-0])", "binary32", with) == "-0x0p+0");
    CHECK(one("exp", R"("a":[1])", "binary32", with) == "0x1.5bf0a8p+1");
    CHECK(one("exp", R"("a":["-inf"])", "binary32", with) == "0x0p+0");
    CHECK(one("exp2", R"("a":[-149])", "binary32", with) == "0x1p-149");
    CHECK(one("exp2", R"("a":[0.5])", "binary32", with) ==
          to_hex_float(static_cast<double>(1.4142135623730950F)));
    CHECK(one("log", R"("a":[2])", "binary32", with) ==
          to_hex_float(static_cast<double>(0.6931471805599453F)));
    CHECK(one("log", R"("a":[1])", "binary32", R"(,"rounding":"RTN")" + with) == "0x0p+0");
    CHECK(one("log", R"("a":[-0])", "binary32", with) == "-inf");
    CHECK(one("log", R"("a":[-1])", "binary32", with) == "nan");
    CHECK(one("tanh", R"("a":[1])", "binary32", with) ==
          to_hex_float(static_cast<double>(0.7615941559557649F)));
    CHECK(one("tanh", R"("a":[-0])", "binary32", with) == "-0x0p+0");
    CHECK(one("tanh", R"("a":[1000])", "binary16", R"(,"rounding":"RTZ")" + with) == "0x1.ffcp-1");
    CHECK(one("erf", R"("a":[1])", "binary32", with) ==
          to_hex_float(static_cast<double>(0.8427007929497149F)));
    CHECK(one("erf", R"("a":["-inf"])", "binary32", R"(,"rounding":"RTP")" + with) == "-0x1p+0");
    CHECK(one("erf", R"("a":[-7])", "binary32", R"(,"rounding":"RTP")" + with) == "-0x1.fffffep-1");
    CHECK(one("reciprocal", R"("a":[3])", "binary32", with) == "0x1.555556p-2");
    CHECK(one("reciprocal", R"("a":[-0])", "binary32", with) == "-inf");
    CHECK(one("reciprocal", R"("a":["-inf"])", "binary32", with) == "-0x0p+0");
    CHECK(one("rsqrt", R"("a":[4])", "bfloat16", with) == "0x1p-1");
    CHECK(one("rsqrt", R"("a":[-0])", "bfloat16", with) == "-inf");
    // 0.8411919906082767.. and 0.8413447460685429.. (Phi(1))
    CHECK(one("gelu", R"("x":[1],"variant":"tanh")", "binary32", with) ==
          to_hex_float(static_cast<double>(0.8411919906082767F)));
    CHECK(one("gelu", R"("x":[1],"variant":"erf")", "binary32", with) ==
          to_hex_float(static_cast<double>(0.8413447460685429F)));
    CHECK(one("gelu", R"("x":["-inf"],"variant":"erf")", "binary32", with) == "-0x0p+0");
    CHECK(one("silu", R"("x":[1])", "binary32", with) ==
          to_hex_float(static_cast<double>(0.7310585786300049F)));
    CHECK(one("silu", R"("x":["-inf"])", "bfloat16", with) == "-0x0p+0");
    CHECK(one("relu", R"("x":["0x1.01p+0"])", "ps7", with) == "0x1p+0");
    CHECK(one("relu", R"("x":["-inf"])", "ps7", with) == "0x0p+0");
  }
}

TEST_CASE("calc: operands are used as given", "[calc]") {
  // 1 + 2^-11 + 2^-20 - 2^-20 is a tie, which goes to 1; the first operand rounded to binary16
  // first would give 1 + 2^-10.
  CHECK(one("add", R"("a":["0x1.00201p+0"],"b":["-0x1p-20"])", "binary16") == "0x1p+0");
  CHECK(one("add", R"("a":["0x1.004p+0"],"b":["-0x1p-20"])", "binary16") == "0x1.004p+0");
  CHECK(answer(R"({"op":"dot","a":["0x1.01p+0"],"b":[256],"arith":{"format":"binary32"}})") ==
        R"({"y":"0x1.01p+8"})");
  CHECK(
      answer(
          R"({"op":"dot","a":["0x1.01p+0"],"b":[256],"arith":{"format":"binary32","operands":"bfloat16"}})") ==
      R"({"y":"0x1p+8"})");
}

TEST_CASE("calc: sums, softmax and layer norm", "[calc]") {
  CHECK(answer(R"({"op":"dot","a":[],"b":[],"arith":{"format":"ps7"}})") == R"({"y":"0x0p+0"})");
  CHECK(
      answer(R"({"op":"dot","a":[1,1],"b":["0x1p-8","0x1p-8"],"c":1,"arith":{"format":"ps7"}})") ==
      R"({"y":"0x1p+0"})");
  CHECK(answer(R"({"op":"gemm","a":[],"b":[],"arith":{"format":"ps7"}})") == R"({"y":[]})");
  CHECK(answer(R"({"op":"gemm","a":[[],[]],"b":[],"arith":{"format":"ps7"}})") ==
        R"({"y":[[],[]]})");
  CHECK(answer(R"({"op":"softmax","y":[0,"nan"],"arith":{"format":"ps7"}})") ==
        R"({"z":["nan","nan"]})");
  CHECK(answer(R"({"op":"softmax","y":[0,"inf"],"arith":{"format":"binary32"}})") ==
        R"({"z":["nan","nan"]})");
  CHECK(answer(R"({"op":"softmax","y":[3],"arith":{"format":"e4m3"}})") == R"({"z":["0x1p+0"]})");
  // mean 2, variance 1, eps 3: (x - 2) / 2 gamma + beta
  CHECK(
      answer(
          R"({"op":"layernorm","x":[1,3],"gamma":[1,4],"beta":[0,1],"eps":3,"arith":{"format":"binary32"}})") ==
      R"({"y":["-0x1p-1","0x1.8p+1"]})");
}

TEST_CASE("calc: selection", "[calc]") {
  const std::string row =
      R"({"op":"select","function":"softmax","y":[0,0,"-0x1.62e42fefa39efp-1"])";
  const auto selected = [&](const std::string& more) {
    return json::parse(answer(row + more + '}'))["selected"].dump();
  };
  CHECK(selected(R"(,"tau":1.1)") == "[0,1]");
  CHECK(selected(R"(,"tau":1.1,"solver":"exact")") == "[2]");
  CHECK(selected(R"(,"tau":2)") == "[]");
  CHECK(selected(R"(,"tau":0)") == "[0,1,2]");
  CHECK(selected(R"(,"tau":1.7,"mask":"as-zero","row_length":9)") == "[0]");
  CHECK(selected(R"(,"rate":0.5)") == "[0,1]");
  CHECK(selected(R"(,"tau":0.1,"weights":"relative")") == "[2]");
  CHECK(selected(R"(,"tau":0.1,"weights":"dot","w":[1,0,0])") == "[0]");
  CHECK(selected(R"(,"tau":0.5,"norm":"normwise1")") == "[0,1]");
  CHECK(answer(R"({"op":"select","function":"softmax","y":[0,"nan"],"tau":2})") ==
        R"({"cost":"inf","selected":[0,1]})");
  CHECK(answer(R"({"op":"select","function":"softmax","y":[5],"tau":0})") ==
        R"({"cost":"0x0p+0","selected":[]})");
}

TEST_CASE("calc: selection of every f", "[calc]") {
  for (const std::string backend : {"auto", "mpfr"}) {
    const auto selects = [&](const std::string& keys) {
      INFO(keys);
      return answer(R"({"op":"select",)" + keys + R"(,"backend":")" + backend + R"("})");
    };
    // R = 4: b = (1/2, 0, 0), a = (-1/2, 1, 1) and with y = 0 infinite
    CHECK(selects(R"("function":"rmsnorm","y":[2,0],"tau":0.25,"solver":"exact")") ==
          R"({"cost":"0x0p+0","selected":[1]})");
    CHECK(selects(R"("function":"rmsnorm","y":[2,0],"tau":0.25)") ==
          R"({"cost":"0x0p+0","selected":[0,1]})");
    CHECK(selects(R"("function":"rmsnorm","y":[1,1],"eps":1,"tau":0.8,"weights":"relative")") ==
          R"({"cost":"0x1.8p-1","selected":[0]})");  // b = 1/4, a = 1/2
    CHECK(selects(R"("function":"layernorm","y":[1,-1],"tau":0)") ==
          R"({"cost":"0x0p+0","selected":[]})");  // J = 0: the sign
    CHECK(selects(R"("function":"layernorm","y":[1,-1],"eps":3,"tau":0)") ==
          R"({"cost":"0x0p+0","selected":[0,1]})");
    // J = 1/4 - 1/16 on the diagonal, its negative elsewhere; u = 1/2
    CHECK(selects(R"("function":"layernorm","y":[1,-1],"eps":3,"tau":0.6)") ==
          R"({"cost":"0x1.8p-2","selected":[0]})");
    CHECK(selects(R"("function":"layernorm","y":[1,-1],"eps":3,"rate":0,"norm":"normwise1")") ==
          R"({"cost":"0x1.8p-1","selected":[]})");
    CHECK(selects(R"("function":"relu","y":[-1,0,2,4],"tau":0.3)") ==
          R"({"cost":"0x1p-2","selected":[1,2]})");  // 0, infinite, 1/2, 1/4
    CHECK(selects(R"("function":"gelu_tanh","y":[0,-2,2],"tau":1,"weights":"relative")") ==
          R"({"cost":"0x1p+0","selected":[1,2]})");
    CHECK(selects(
              R"("function":"linear","W":[[1,0],[1,-1]],"y":[2,2],"tau":0.5,"norm":"normwise1")") ==
          R"({"cost":"0x1p-1","selected":[0]})");  // z = (2, 0), c = (1, 1/2)
  }
  const auto refused = [&](const char* keys, const char* what) {
    const std::string text = error(std::string(R"({"op":"select",)") + keys + '}');
    INFO(text);
    return mentions(text, what);
  };
  CHECK(refused(R"("function":"layernorm","y":[1],"tau":1,"solver":"exact")", "solver: "));
  CHECK(refused(R"("function":"silu","y":[1],"tau":1,"norm":"normwise1")", "norm: "));
  CHECK(refused(R"("function":"linear","y":[1],"tau":1)", "norm: "));
  CHECK(refused(R"("function":"linear","y":[1],"tau":1,"norm":"normwise1")", "W is missing"));
  CHECK(refused(R"("function":"linear","y":[1],"tau":1,"norm":"normwise1","W":[[1,2]])", "W is "));
  CHECK(refused(R"("function":"linear","y":[1],"tau":1,"norm":"normwise1","W":[])", "W is "));
  CHECK(refused(R"("function":"silu","y":[1],"tau":4194304)", "below 2^22"));
  CHECK(refused(R"("function":"silu","y":[1],"tau":1,"eps":1)", "eps is given"));
  CHECK(refused(R"("function":"rmsnorm","y":[1],"tau":1,"eps":-1)", "eps: "));
  CHECK(refused(R"("function":"rmsnorm","y":[1],"tau":1,"g":[1])", "g is given"));
  CHECK(refused(R"("function":"rmsnorm","y":[1],"tau":1,"weights":"relative","g":[1,2])", "g has"));
  CHECK(refused(R"("function":"relu","y":[1],"tau":1,"row_length":2)", "row_length is given"));
  CHECK(refused(R"("function":"relu","y":[],"tau":1)", "y is empty"));
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
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":{"p":60,"emin":-126,"emax":127}})"),
                 "p <= 53"));
  CHECK(
      mentions(error(R"({"op":"round","x":[1],"format":"ps7","rounding":"SRX"})"), "RTO, SR, SRE"));
  CHECK(mentions(error(R"({"op":"log2","a":[1],"format":"ps7"})"), "\"log2\"; legal: round"));
  CHECK(mentions(error(R"({"op":"select","function":"tanh","y":[1],"tau":1})"),
                 "legal: \"softmax\""));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","backend":"cuda"})"), "\"mpfr\""));
  CHECK(mentions(error(R"({"op":"add","a":[1],"b":[1,2],"format":"ps7"})"), "b has 2 elements"));
  CHECK(mentions(
      error(R"({"op":"dot","a":[1],"b":[1],"arith":{"format":"ps7","oder":"sequential"}})"),
      "order"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1],"arith":{}})"), "format"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1]})"), "arith is missing"));
  CHECK(mentions(error(R"({"op":"gemm","a":[[1],[1,2]],"b":[[1]],"arith":{"format":"ps7"}})"),
                 "row 1"));
  CHECK(mentions(error(R"({"op":"gemm","a":[[1,2]],"b":[[1]],"arith":{"format":"ps7"}})"),
                 "b has 1 rows"));
  CHECK(mentions(error(R"({"op":"softmax","y":[],"arith":{"format":"ps7"}})"), "empty"));
  CHECK(mentions(error(R"({"op":"gelu","x":[1],"format":"ps7"})"), "\"tanh\", \"erf\""));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"rate":0.5})"),
                 "exactly one"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1]})"), "tau"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":-1})"), "tau"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"w":[1]})"),
                 "w is given"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"weights":"dot"})"),
                 "w is missing"));
  CHECK(mentions(
      error(R"({"op":"select","function":"softmax","y":[1],"tau":1,"weights":"dot","w":[-1]})"),
      "w: legal"));
  CHECK(mentions(error(R"({"op":"select","function":"softmax","y":[1,2],"tau":1,"row_length":1})"),
                 "row_length"));
  CHECK(mentions(
      error(
          R"({"op":"select","function":"softmax","y":[1],"tau":1,"mask":"as-zero","weights":"relative"})"),
      "as-zero"));
  CHECK(mentions(error("{\"op\":\"\xff\"}"), "not JSON"));

  std::istringstream in(
      "{\"op\":\"round\",\"x\":[1],\"format\":\"ps7\"}\n\n  "
      "\r\nnonsense\n{\"op\":\"round\",\"x\":[-0,\"-0\"],\"format\":\"ps7\"}\n"
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

TEST_CASE("calc: backends that are not there are named, with those that are", "[calc]") {
  const auto refused = [](const std::string& backend) {
    return error(R"({"op":"round","x":[1],"format":"ps7","backend":")" + backend + "\"}");
  };
  CHECK(mentions(refused("sse4"), "no kernels for SSE4; legal here: auto, scalar, mpfr"));
  CHECK(mentions(refused("neon"), "no kernels for NEON; legal here: auto, scalar, mpfr"));
  CHECK(mentions(refused("cuda"),
                 R"(legal: "auto", "scalar", "mpfr", "avx512", "avx2", "sse4", "neon")"));
  for (const auto& [name, backend] :
       {std::pair("avx2", Backend::avx2), std::pair("avx512", Backend::avx512)}) {
    if (available(backend))
      CHECK(mentions(refused("sse4"), name));
    else
      CHECK(mentions(refused(name), "legal here"));
  }
}

TEST_CASE("calc: stochastic rounding of element i draws word 0 of Philox at row i", "[calc]") {
  // 1 + 2^-9 at p = 8 lies a quarter of the spacing 2^-7 above 1.
  std::size_t away_count = 0;
  for (const std::uint32_t seed : {0U, 1U, 4294967295U})
    for (const int bits : {1, 2, 5, 32})
      for (const std::string mode : {"SR", "SRE"})
        for (const std::string backend : {"auto", "scalar", "mpfr"}) {
          json line{{"op", "round"},
                    {"x", json::array()},
                    {"format", "ps7"},
                    {"rounding", mode},
                    {"backend", backend}};
          line["seed"] = seed, line["random_bits"] = bits;
          json expected = json::array();
          for (std::uint32_t i = 0; i < 40; ++i) {
            line["x"].push_back("0x1.008p+0");
            const std::uint32_t word = philox4x32({0, 0, i, 0}, {seed, 0})[0];
            const std::uint64_t r = word >> (32 - bits), all = std::uint64_t{1} << bits;
            const bool away = mode == "SR" ? r + all / 4 >= all : word >> 31 != 0;
            away_count += away ? 1 : 0;
            expected.push_back(away ? "0x1.02p+0" : "0x1p+0");
          }
          INFO(line.dump());
          REQUIRE(answer(line.dump()) == json{{"y", expected}}.dump());
        }
  CHECK((away_count > 500 && away_count < 2000));
  // Both keys have defaults, and may stand in arith or beside it.
  CHECK(
      answer(R"({"op":"round","x":["0x1.01p+0"],"format":"ps7","rounding":"SR"})") ==
      answer(
          R"({"op":"round","x":["0x1.01p+0"],"format":"ps7","rounding":"SR","random_bits":32,"seed":0})"));
  const std::string sum =
      R"({"op":"dot","a":[1,1,1,1,1,1,1,1],"b":[1,"0x1p-9","0x1p-9","0x1p-9","0x1p-9","0x1p-9","0x1p-9","0x1p-9"],)";
  std::set<std::string> answers;
  for (const std::string keys :
       {"\"seed\":1", "\"seed\":2", "\"seed\":3", "\"seed\":4", "\"seed\":4,\"random_bits\":1"}) {
    const std::string beside = answer(sum + keys + R"(,"arith":{"format":"ps7","rounding":"SR"}})");
    CHECK(beside == answer(sum + R"("arith":{"format":"ps7","rounding":"SR",)" + keys + "}}"));
    CHECK(beside ==
          answer(sum + keys + R"(,"arith":{"format":"ps7","rounding":"SR"},"backend":"mpfr"})"));
    answers.insert(beside);
  }
  CHECK(answers.size() >= 3);
  CHECK(mentions(error(sum + R"("seed":1,"arith":{"format":"ps7","seed":1}})"),
                 "in arith and beside it"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","random_bits":0})"),
                 "an integer, 1 to 32"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","random_bits":33})"),
                 "an integer, 1 to 32"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","seed":-1})"),
                 "an integer, 0 to 4294967295"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":"ps7","seed":4294967296})"), "seed"));
  CHECK(mentions(error(sum + R"("seed":"1","arith":{"format":"ps7"}})"), "seed is the string"));
}

TEST_CASE("calc: gemm draws as output (i, j)", "[calc]") {
  const json result = json::parse(answer(
      R"({"op":"gemm","a":[["0x1.008p+0"],["0x1.008p+0"],["0x1.008p+0"]],"b":[[1,1,1,1,1,1]],"seed":9,"arith":{"format":"ps7","rounding":"SR"}})"));
  for (std::uint32_t i = 0; i < 3; ++i)
    for (std::uint32_t j = 0; j < 6; ++j) {
      const bool away = philox4x32({0, j, i, 0}, {9, 0})[0] >= 0xC0000000U;
      CHECK(result["y"][i][j] == (away ? "0x1.02p+0" : "0x1p+0"));
    }
}

TEST_CASE("calc: codes", "[calc]") {
  const auto codes = [](const std::string& numbers, const std::string& format) {
    return json::parse(
               answer(R"({"op":"encode","x":)" + numbers + R"(,"format":)" + format + "}"))["code"]
        .dump();
  };
  CHECK(codes(R"([1,-2,"inf","nan","-0x0p+0",65504])", R"("binary16")") ==
        R"(["0x3c00","0xc000","0x7c00","0x7e00","0x8000","0x7bff"])");
  CHECK(codes("[448]", R"("e4m3fn")") == R"(["0x7e"])");
  CHECK(codes("[6,-0.5]", R"("e2m1fn")") == R"(["0x7","0x9"])");
  CHECK(codes("[1]", R"("binary64")") == R"(["0x3ff0000000000000"])");
  CHECK(codes("[1]", R"({"p":4,"emin":-6,"emax":7})") == codes("[1]", R"("e4m3")"));
  const auto numbers = [](const std::string& list, const std::string& format) {
    return json::parse(
               answer(R"({"op":"decode","code":)" + list + R"(,"format":")" + format + "\"}"))["x"]
        .dump();
  };
  CHECK(numbers(R"(["0x7e","0x7F",1,"0X38",184])", "e4m3fn") ==
        R"(["0x1.cp+8","nan","0x1p-9","0x1p+0","-0x1p+0"])");
  CHECK(numbers(R"(["0x8000000000000000","0x1"])", "binary64") ==
        R"(["-0x0p+0","0x0.0000000000001p-1022"])");
  for (const std::string format : {"e4m3fn", "e5m2fnuz", "e8m0fnu", "ue4m3"})  // there and back
    for (int code = 0; code < 256; ++code) {
      const CalcAnswer number = calc_line(R"({"op":"decode","code":[)" + std::to_string(code) +
                                          R"(],"format":")" + format + "\"}");
      if (!number.ok || mentions(number.json, "nan")) continue;
      const std::string back = answer(R"({"op":"encode","format":")" + format +
                                      "\",\"x\":" + json::parse(number.json)["x"].dump() + "}");
      REQUIRE(std::stoi(json::parse(back)["code"][0].get<std::string>(), nullptr, 16) == code);
    }
  CHECK(mentions(error(R"({"op":"encode","x":[0.1],"format":"binary16"})"), "x: "));
  CHECK(mentions(error(R"({"op":"encode","x":["inf"],"format":"e4m3fn"})"), "x: "));
  CHECK(mentions(error(R"({"op":"decode","code":["0x100"],"format":"e4m3"})"), "code: "));
  for (const std::string bad : {"-1", "1.5", "\"7e\"", "\"0x\"", "\"0x7g\"", "\"0x7e \"",
                                "\"0x-1\"", "\"0x10000000000000000\"", "null", "[1]"})
    CHECK(mentions(error(R"({"op":"decode","code":[)" + bad + R"(],"format":"e4m3"})"),
                   "is no code"));
  CHECK(mentions(error(R"({"op":"decode","code":1,"format":"e4m3"})"), "code is the integer 1"));
}

TEST_CASE("calc: any precision with backend mpfr", "[calc]") {
  const std::string wide = R"("backend":"mpfr","format":{"p":113,"emin":-16382,"emax":16383})";
  CHECK(answer(R"({"op":"div","a":[1],"b":[3],)" + wide + "}") ==
        R"({"y":["0x1.5555555555555555555555555555p-2"]})");
  CHECK(
      answer(
          R"({"op":"round","x":["0x1.00000000000000000000000000008p+0","0x1p-16494","0x1p-16495","0x1p+16384"],)" +
          wide + "}") == R"({"y":["0x1p+0","0x1p-16494","0x0p+0","inf"]})");
  CHECK(answer(R"({"op":"sqrt","a":[2],)" + wide + "}") ==
        R"({"y":["0x1.6a09e667f3bcc908b2fb1366ea95p+0"]})");
  // 1 + 2^-9999 is a number of 10,000 bits; the next half is a tie.
  const std::string huge = R"("backend":"mpfr","format":{"p":10000,"emin":-100000,"emax":100000})";
  const std::string exact =
      json::parse(answer(R"({"op":"add","a":[1],"b":["0x1p-9999"],)" + huge + "}"))["y"][0];
  CHECK(exact == "0x1." + std::string(2499, '0') + "2p+0");
  CHECK(answer(R"({"op":"sub","a":[")" + exact + R"("],"b":[1],)" + huge + "}") ==
        R"({"y":["0x1p-9999"]})");
  CHECK(answer(R"({"op":"add","a":[1],"b":["0x1p-10000"],)" + huge + "}") == R"({"y":["0x1p+0"]})");
  // Longer operands, a format that fits.
  CHECK(
      answer(
          R"({"op":"add","a":["0x1.00000000000000001p+0"],"b":["0x1p-24"],"format":"binary32","backend":"mpfr"})") ==
      R"({"y":["0x1.000002p+0"]})");
  CHECK(mentions(
      error(R"({"op":"add","a":["0x1.00000000000000001p+0"],"b":["0x1p-24"],"format":"binary32"})"),
      "53"));
  CHECK(mentions(error(R"({"op":"round","x":[1],"format":{"p":113,"emin":-16382,"emax":16383}})"),
                 "backend \"mpfr\""));
  CHECK(mentions(
      error(R"({"op":"round","x":[1],"format":{"p":10001,"emin":-1,"emax":1},"backend":"mpfr"})"),
      "1 to 10000"));
  // e and ln 2 in binary128, from their published digits.
  CHECK(answer(R"({"op":"exp","a":[1],)" + wide + "}") ==
        R"({"y":["0x1.5bf0a8b1457695355fb8ac404e7ap+1"]})");
  CHECK(answer(R"({"op":"log","a":[2],)" + wide + "}") ==
        R"({"y":["0x1.62e42fefa39ef35793c7673007e6p-1"]})");
  CHECK(answer(R"({"op":"exp2","a":[-16000],)" + wide + "}") == R"({"y":["0x1p-16000"]})");
  CHECK(answer(R"({"op":"reciprocal","a":[3],)" + wide + "}") ==
        R"({"y":["0x1.5555555555555555555555555555p-2"]})");
  CHECK(answer(R"({"op":"tanh","a":["0x1p-60000"],)" + huge + "}") == R"({"y":["0x1p-60000"]})");
  CHECK(answer(R"({"op":"gelu","variant":"erf","x":["0x1p-60000","-0x1p-60000"],)" + huge + "}") ==
        R"({"y":["0x1p-60001","-0x1p-60001"]})");
  CHECK(answer(R"({"op":"gelu","variant":"tanh","x":[1000000],)" + huge + "}") ==
        R"({"y":["0x1.e848p+19"]})");
  CHECK(mentions(error(R"({"op":"exp","a":[1],"format":{"p":113,"emin":-16382,"emax":16383}})"),
                 "with backend \"mpfr\""));
  CHECK(mentions(
      error(
          R"({"op":"dot","a":[1],"b":[1],"backend":"mpfr","arith":{"format":{"p":113,"emin":-16382,"emax":16383}}})"),
      "arith.format"));
}

TEST_CASE("calc: orders and blocks", "[calc]") {
  const std::string sum =
      R"({"op":"dot","a":[16,1,1,16,1,1],"b":[1,1,1,1,1,1],"arith":{"format":{"p":4,"emin":-30,"emax":30},"order":)";
  for (const std::string backend : {"auto", "scalar", "mpfr"}) {
    const std::string end = "},\"backend\":\"" + backend + "\"}";
    INFO(backend);
    CHECK(answer(sum + R"("blocked:3","block":{"format":"binary32"})" + end) ==
          R"({"y":"0x1.2p+5"})");
    CHECK(answer(sum + R"("blocked:3","block":{"mu":23,"order":"sequential"})" + end) ==
          R"({"y":"0x1.2p+5"})");
    CHECK(answer(sum + R"("blocked:3")" + end) == R"({"y":"0x1p+5"})");
    CHECK(answer(sum + R"x("tree:((0 3) ((1 2) (4 5)))")x" + end) == R"({"y":"0x1.2p+5"})");
    CHECK(answer(sum + R"("multiterm:6,3")" + end) ==
          R"({"y":"0x1p+5"})");  // ones are 2^-4 of the largest: cut at 2^-3
    CHECK(answer(sum + R"("multiterm:6,4")" + end) == R"({"y":"0x1.2p+5"})");
  }
  CHECK(mentions(error(sum + R"x("tree:(0 1)"}})x"), "tree of 2 terms, the sum has 6"));
  CHECK(mentions(error(sum + R"("blocked"}})"), "blocked:B"));
  CHECK(mentions(error(sum + R"("blocked:2","block":{}}})"), "arith.block: format is missing"));
  CHECK(mentions(error(sum + R"("blocked:2","block":{"format":"ps7","mu":7}}})"),
                 "arith.block: mu and format"));
  CHECK(mentions(error(sum + R"("blocked:2","block":{"fromat":"ps7"}}})"),
                 "did you mean \"arith.block.format\""));
  CHECK(mentions(error(sum + R"("blocked:2","block":"ps7"}})"), "arith.block"));
  CHECK(mentions(error(sum + R"("kahan","engine":"h100"}})"),
                 "arith.order: given beside engine = \"h100\""));
  CHECK(mentions(
      error(R"x({"op":"softmax","y":[1,2],"arith":{"format":"ps7","order":"tree:((0 1) 2)"}})x"),
      "the sum has 2"));
  CHECK(mentions(
      error(R"({"op":"gemm","a":[[1,2]],"b":[[1],[2]],"arith":{"format":"ps7","order":"tree:0"}})"),
      "the sum has 2"));
}

TEST_CASE("calc: matrix engines by name, and what is not legal beside one", "[calc]") {
  const auto dot = [](const std::string& arith) {
    return R"({"op":"dot","a":[1,"-0x1p-13"],"b":[1,"0x1p-12"],"arith":{)" + arith + "}";
  };
  for (const std::string backend : {"auto", "scalar", "mpfr"}) {
    const std::string end = R"(,"backend":")" + backend + "\"}";
    CHECK(answer(dot(R"("engine":"h100","operands":"binary16","format":"binary32")") + end) ==
          R"({"y":"0x1.fffffep-1"})");
    CHECK(answer(dot(R"("engine":"v100")") + end) == R"({"y":"0x1p+0"})");
    CHECK(answer(dot(R"("engine":"b200","format":"binary16")") + end) == R"({"y":"0x1p+0"})");
  }
  CHECK(mentions(error(dot(R"("engine":"h100","operands":"binary64")") + "}"),
                 "arith.engine: \"h100\" has no operands binary64 with format binary32; legal: "
                 "binary16 to binary32, bfloat16 to"));
  CHECK(mentions(error(dot(R"("engine":"a100","operands":"e5m2")") + "}"),
                 "\"a100\" has no operands e5m2"));
  CHECK(mentions(error(dot(R"("engine":"h100","operands":"as-is")") + "}"),
                 "arith.operands: \"as-is\" beside"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1],"arith":{"format":"ps7","operands":"mxfp4",)"
                       R"("operand_rounding":"RTZ"}})"),
                 "arith.operand_rounding: \"RTZ\" with operands mxfp4"));
  CHECK(mentions(error(R"({"op":"dot","a":[1],"b":[1],"arith":{"format":"ps7","order":"split:2",)"
                       R"("part":{"p":113,"emin":-1,"emax":1}}})"),
                 "arith.part: legal are formats"));
  CHECK(mentions(error(dot(R"("engine":"h1000")") + "}"), "did you mean \"h100\"?"));
  for (const std::string key :
       {R"("via":"binary32")", R"("rounding":"RTZ")", R"("product":"exact")",
        R"("order":"sequential")", R"("random_bits":8)"})
    CHECK(
        mentions(error(dot(R"("engine":"h100",)" + key) + "}"), "legal: engine, operands, format"));
}
