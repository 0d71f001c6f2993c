// Matrix engines. Oracles: outputs measured on eight GPUs (data/matrix-engines), MPFR and GMP, and
// sums worked by hand.
#include "core/arith/engine.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/arith/scalar.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/h5.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

FloatFormat format_of(const std::string& name) { return parse_format(name).value(); }

Arithmetic arithmetic(const std::string& engine, const std::string& operands,
                      const std::string& format) {
  return engine_arithmetic(engine, format_of(operands), format_of(format)).value();
}

/// One set of measured vectors: the preset that has to reproduce it, and the F with which it does
/// (`most` absent: any larger one).
struct Set {
  std::string group;  // GPU/operands/output of the file
  std::string engine, operands, format;
  int least;
  std::optional<int> most;
};

std::vector<Set> sets() {
  std::vector<Set> list;
  const auto add = [&](const std::string& gpu, const std::string& engine, const std::string& inputs,
                       const std::string& output, int least, std::optional<int> most) {
    const auto name = [](const std::string& x) {
      return x == "fp16"   ? "binary16"
             : x == "fp32" ? "binary32"
             : x == "bf16" ? "bfloat16"
             : x == "E4M3" ? "e4m3fn"
             : x == "E5M2" ? "e5m2"
                           : x;
    };
    list.push_back(
        {gpu + '/' + inputs + '/' + output, engine, name(inputs), name(output), least, most});
  };
  const auto exactly = [&](const std::string& gpu, const std::string& engine,
                           const std::vector<std::string>& inputs, int bits) {
    for (const std::string& input : inputs) add(gpu, engine, input, "fp32", bits, bits);
  };
  const auto at_least = [&](const std::string& gpu, const std::string& engine,
                            const std::string& inputs, const std::string& output,
                            int bits) { add(gpu, engine, inputs, output, bits, std::nullopt); };
  exactly("V100", "v100", {"fp16"}, 23);
  at_least("V100", "v100", "fp16", "fp16", 22);
  exactly("A100", "a100", {"fp16", "bf16", "tf32"}, 24);
  at_least("A100", "a100", "fp16", "fp16", 24);
  exactly("A2", "a2", {"fp16", "bf16", "tf32"}, 24);
  at_least("A2", "a2", "fp16", "fp16", 23);
  exactly("Ada", "ada", {"fp16", "bf16", "tf32"}, 24);
  at_least("Ada", "ada", "fp16", "fp16", 22);
  exactly("Ada", "ada", {"E4M3", "E5M2"}, 13);
  add("Ada", "ada", "E4M3", "fp16", 13, 13);
  add("Ada", "ada", "E5M2", "fp16", 13, 13);
  exactly("L40S", "l40s", {"fp16", "bf16", "tf32"}, 24);
  at_least("L40S", "l40s", "fp16", "fp16", 22);
  exactly("L40S", "l40s", {"E4M3", "E5M2"}, 13);
  for (const auto& [gpu, engine] :
       {std::pair<std::string, std::string>("H100", "h100"), {"H200", "h200"}}) {
    exactly(gpu, engine, {"fp16", "bf16", "tf32"}, 25);
    at_least(gpu, engine, "fp16", "fp16", gpu == "H100" ? 23 : 22);
    exactly(gpu, engine, {"E4M3", "E5M2"}, 13);
    at_least(gpu, engine, "E4M3", "fp16", 17);
    at_least(gpu, engine, "E5M2", "fp16", gpu == "H100" ? 18 : 17);
  }
  exactly("B200", "b200", {"fp16", "bf16", "tf32"}, 25);
  at_least("B200", "b200", "fp16", "fp16", 23);
  at_least("B200", "b200", "E4M3", "fp32", 20);
  at_least("B200", "b200", "E5M2", "fp32", 22);
  at_least("B200", "b200", "E4M3", "fp16", 17);
  at_least("B200", "b200", "E5M2", "fp16", 18);
  return list;
}

/// The file's numbers are bit patterns of binary32 held as integers.
double number(double pattern) {
  return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
}

struct Vectors {
  std::vector<std::vector<double>> a, b;
  std::vector<double> c, d;
};

Vectors read(const Set& set) {
  const std::string file = std::string(LAMP_SOURCE_DIR) + "/data/matrix-engines/vectors.h5";
  Vectors v;
  const auto rows = [&](const char* name) {
    const test::GoldenArray array = test::read_golden(file, set.group + '/' + name);
    std::vector<std::vector<double>> out(array.shape[0]);
    for (std::size_t i = 0; i < out.size(); ++i)
      for (const double pattern : array.slice(i)) out[i].push_back(number(pattern));
    return out;
  };
  v.a = rows("a"), v.b = rows("b");
  for (const auto& row : rows("c")) v.c.push_back(row[0]);
  for (const auto& row : rows("d")) v.d.push_back(row[0]);
  // Hopper's FP8 vectors to binary32 were taken with c = 0, whatever the file says.
  if (set.group[0] == 'H' && set.operands[0] == 'e' && set.format == "binary32")
    std::fill(v.c.begin(), v.c.end(), 0.0);
  return v;
}

template <class Dot>
int differences(const Vectors& v, const Arithmetic& arithmetic, Dot&& dot) {
  int count = 0;
  for (std::size_t i = 0; i < v.d.size(); ++i)
    count += same_bits(dot(arithmetic, v.a[i], v.b[i], v.c[i]), v.d[i]) ? 0 : 1;
  return count;
}

const auto scalar_dot = [](const Arithmetic& a, std::span<const double> x,
                           std::span<const double> y, double c) { return dot(a, x, y, c); };
const auto mpfr_dot = [](const Arithmetic& a, std::span<const double> x, std::span<const double> y,
                         double c) { return mpfr::dot(a, x, y, c); };

EngineStep& step_of(Arithmetic& a) { return std::get<MatrixEngine>(a.order).step; }

Arithmetic with_bits(Arithmetic a, int fraction_bits) {
  step_of(a).fraction_bits = fraction_bits;
  return a;
}

}  // namespace

TEST_CASE("engines: every measured vector, by both implementations", "[arith][engine]") {
  std::size_t vectors = 0;
  for (const Set& set : sets()) {
    INFO(set.group);
    const Vectors v = read(set);
    const Arithmetic a = arithmetic(set.engine, set.operands, set.format);
    CHECK(differences(v, a, scalar_dot) == 0);
    CHECK(differences(v, a, mpfr_dot) == 0);
    vectors += v.d.size();
  }
  CHECK(vectors == 120'000);
}

TEST_CASE(
    "engines: the interval of F that each set of vectors admits; F - 1 and F + 1 fail where the "
    "set pins F down",
    "[arith][engine]") {
  int pinned = 0;
  for (const Set& set : sets()) {
    INFO(set.group);
    const Vectors v = read(set);
    const Arithmetic a = arithmetic(set.engine, set.operands, set.format);
    const int nominal = engine_step(a.order)->fraction_bits;
    const auto failures = [&](int bits) { return differences(v, with_bits(a, bits), scalar_dot); };
    CHECK(set.least <= nominal);
    CHECK(failures(set.least) == 0);
    CHECK(failures(set.least - 1) > 0);
    CHECK(failures(set.most.value_or(60)) == 0);
    if (!set.most) continue;
    CHECK(nominal == *set.most);
    CHECK(failures(*set.most + 1) > 0);
    if (set.least == *set.most) ++pinned;
  }
  CHECK(pinned == 32);
}

TEST_CASE("engines: each preset's own account of its F is the vectors'", "[arith][engine]") {
  for (const Engine& engine : engines())
    for (const EngineMode& mode : engine.modes) {
      int least = 0;
      std::optional<int> most;
      for (const Set& set : sets()) {
        const Engine* other = find_engine(set.engine);
        if (other->modes.data() != engine.modes.data() ||
            format_of(set.operands) != mode.operands || format_of(set.format) != mode.format)
          continue;
        least = std::max(least, set.least);
        if (set.most) most = set.most;
      }
      INFO(engine.name << ' ' << format_name(mode.operands) << ' ' << format_name(mode.format));
      CHECK(mode.least_fraction_bits == least);
      CHECK(mode.most_fraction_bits == most);
    }
}

TEST_CASE("engines: the vectors tell one protocol from another", "[arith][engine]") {
  const auto failures = [](const std::string& group, const auto& change) {
    for (const Set& set : sets())
      if (set.group == group) {
        Arithmetic a = arithmetic(set.engine, set.operands, set.format);
        change(step_of(a));
        return differences(read(set), a, scalar_dot);
      }
    return -1;
  };
  CHECK(failures("H100/E4M3/fp16", [](EngineStep& s) { s.protocol = EngineProtocol::fused; }) > 0);
  CHECK(failures("H100/E4M3/fp16", [](EngineStep& s) { s.protocol = EngineProtocol::separate; }) >
        0);
  CHECK(failures("B200/E5M2/fp32", [](EngineStep& s) { s.protocol = EngineProtocol::fused; }) > 0);
  CHECK(failures("H100/E4M3/fp32", [](EngineStep& s) { s.output = binary32; }) > 0);
  CHECK(failures("Ada/E4M3/fp32", [](EngineStep& s) { s.products = 32; }) > 0);
  CHECK(failures("H100/fp16/fp32", [](EngineStep& s) { s.products = 8; }) > 0);
  CHECK(failures("A100/fp16/fp32", [](EngineStep& s) { s.rounding = Rounding::rne; }) > 0);
  CHECK(failures("V100/fp16/fp16", [](EngineStep& s) { s.rounding = Rounding::rtz; }) > 0);
}

TEST_CASE("engines: edges, worked by hand", "[arith][engine]") {
  struct Case {
    std::string engine, operands, format;
    std::vector<double> a, b;
    double c, sum;
  };
  const double big = 65504.0, largest = 0x1.fffffep+127;
  const std::vector<Case> cases{
      {"h100", "binary16", "binary32", {}, {}, 0.0, 0.0},
      {"h100", "binary16", "binary16", {}, {}, 1.0 + 0x1p-11, 1.0},  // c is rounded to the format
      {"h100", "binary16", "binary32", {0.0}, {1.0}, -0.0, 0.0},     // an exact zero is +0
      {"h100", "binary16", "binary32", {1.0, -1.0}, {-1.0, -1.0}, 0.0, 0.0},
      {"h100", "binary16", "binary32", {1.0 + 0x1p-11}, {1.0}, 0.0, 1.0},  // operands are converted
                                                                           // RNE
      {"h100",
       "binary16",
       "binary32",
       {1.0, 0x1p-13},
       {1.0, 0x1p-12},
       0.0,
       1.0},  // 2^-25 stays in the sum, RTZ cuts it
      {"h100",
       "binary16",
       "binary32",
       {1.0, -0x1p-13},
       {1.0, 0x1p-12},
       0.0,
       0x1.fffffep-1},  // and below 1 it counts
      {"v100", "binary16", "binary32", {1.0, -0x1p-12}, {1.0, 0x1p-12}, 0.0, 1.0},  // F = 23 drops
                                                                                    // 2^-24
      {"v100",
       "binary16",
       "binary32",
       {1, 1, 1, 1, 0x1p-12},
       {0x1p12, 1, 1, 1, 0x1p-11},
       0.0,
       4099.0},  // the fifth is another step's
      {"a100", "binary16", "binary16", {big}, {2.0}, 0.0, inf},
      {"a100",
       "bfloat16",
       "binary32",
       {0x1p127, 0x1p127},
       {1.0, 1.0},
       0.0,
       inf},  // overflow is infinity even under RTZ
      {"a100", "bfloat16", "binary32", {0x1p100}, {1.0}, largest, largest},
      {"a100", "bfloat16", "binary32", {0x1p-75}, {0x1p-75}, 0.0, 0.0},  // underflow toward zero
      {"a100", "bfloat16", "binary32", {0x1p-75}, {-0x1p-75}, 0.0, -0.0},
      {"a100", "bfloat16", "binary32", {0x1p-75}, {0x1p-74}, 0.0, 0x1p-149},
      {"h100", "e5m2", "binary16", {0x1p-16}, {-0x1p-16}, 0.0, 0.0},  // -0 from the passes, then -0
                                                                      // + +0
      {"ada", "e5m2", "binary16", {0x1p-16}, {-0x1p-16}, 0.0, -0.0},
      {"ada", "e4m3fn", "binary32", {1.0, 0x1p-7}, {1.0, 0x1p-7}, 0.0, 1.0},  // 13 fraction bits
      {"ada", "e4m3fn", "binary32", {1.0, 0x1p-7}, {1.0, 0x1p-6}, 0.0, 1.0 + 0x1p-13},
      {"h100", "e4m3fn", "binary32", {500.0}, {1.0}, 0.0, nan},  // e4m3fn overflows to NaN
      {"b200", "e4m3fn", "binary32", {0.5}, {1.0}, 0x1p24 + 2.0, 0x1p24 + 2.0},
      {"b200", "e4m3fn", "binary32", {1.5}, {1.0}, 0x1p24 + 2.0, 0x1p24 + 4.0},  // c is added to
                                                                                 // nearest
      {"h100", "e4m3fn", "binary16", {1, 0, 1}, {2048, 0, 1}, 0.0, nan},    // 2048 is no e4m3fn
      {"h100", "e4m3fn", "binary16", {64, 0, 1}, {32, 0, 1}, 0.0, 2048.0},  // 2048 + tie of the
                                                                            // second pass, even
      {"h100",
       "e4m3fn",
       "binary16",
       {64, 1, 1},
       {32, 1, 1},
       0.0,
       2048.0},  // 2049 twice, each a tie; one pass has 2050
      {"a100", "tf32", "binary32", {inf}, {1.0}, 0.0, inf},
      {"a100", "tf32", "binary32", {inf, 1.0}, {1.0, -inf}, 0.0, nan},
      {"a100", "tf32", "binary32", {inf}, {0.0}, 0.0, nan},
      {"a100", "tf32", "binary32", {nan}, {1.0}, 0.0, nan},
      {"a100", "tf32", "binary32", {1.0}, {1.0}, -inf, -inf},
      {"a100", "tf32", "binary32", {inf}, {1.0}, -inf, nan},
      {"b200", "e5m2", "binary32", {inf}, {1.0}, -inf, nan},
      {"b200", "e5m2", "binary16", {57344.0}, {57344.0}, -inf, nan},  // overflow of the passes,
                                                                      // then inf - inf
  };
  for (const Case& k : cases) {
    const Arithmetic a = arithmetic(k.engine, k.operands, k.format);
    INFO(k.engine << ' ' << k.operands << ' ' << k.format << ", n = " << k.a.size() << ", expected "
                  << k.sum << ", got " << dot(a, k.a, k.b, k.c));
    CHECK(same_bits(dot(a, k.a, k.b, k.c), k.sum));
    CHECK(same_bits(mpfr::dot(a, k.a, k.b, k.c), k.sum));
  }
}

TEST_CASE("engines: names, and what each has", "[arith][engine]") {
  CHECK(engine_names() == "v100, a100, a2, ada, l40s, h100, h200, b200");
  CHECK(find_engine("h100") != nullptr);
  CHECK(find_engine("turing") == nullptr);
  for (const Engine& engine : engines()) {
    CHECK(engine.modes[0].operands == default_engine_operands);  // every engine has the defaults
    CHECK(engine.modes[0].format == default_engine_format);
    if (!engine.same_as.empty())
      CHECK(find_engine(engine.same_as)->modes.data() == engine.modes.data());
  }
  CHECK(engine_arithmetic("h200", tf32, binary32).value() ==
        engine_arithmetic("h100", tf32, binary32).value());
  CHECK_FALSE(engine_arithmetic("a100", binary16, binary32).value() ==
              engine_arithmetic("h100", binary16, binary32).value());
  CHECK(engine_arithmetic("ampere", binary16, binary32).error().message ==
        "there is no engine \"ampere\"; legal: v100, a100, a2, ada, l40s, h100, h200, b200");
  CHECK(engine_arithmetic("v100", bfloat16, binary32).error().message ==
        "the engine v100 has no operands bfloat16 with format binary32; legal: binary16 to "
        "binary32, binary16 to binary16");
  Arithmetic to_binary32 = engine_arithmetic("ada", format_of("e5m2"), binary32).value();
  CHECK(engine_step_text(step_of(to_binary32)) ==
        "16 products, F 13, binary32 RTZ to 13 fraction bits");
}

TEST_CASE("engine: the alignment exponent is clamped among subnormals", "[arith][engine]") {
  struct Case {
    std::string engine, operands, format;
    std::vector<double> a, b;
    double clamped, without;
  };
  // -2^-160 is cut below 2^(-133 - 25); without the clamp the sum is just under 2^-149 and cut to
  // 0. 2^-48 is cut below 2^(-21 - 25), and 2^-25 is a tie to even; without, it is more than half
  // of 2^-24.
  const std::vector<Case> cases{
      {"h100", "bfloat16", "binary32", {0x1p-75, -0x1p-80}, {0x1p-74, 0x1p-80}, 0x1p-149, 0.0},
      {"a100", "bfloat16", "binary32", {0x1p-75, -0x1p-80}, {0x1p-74, 0x1p-80}, 0x1p-149, 0.0},
      {"h100", "binary16", "binary16", {0x1p-11, 0x1p-24}, {0x1p-14, 0x1p-24}, 0.0, 0x1p-24},
      {"v100", "binary16", "binary16", {0x1p-11, 0x1p-24}, {0x1p-14, 0x1p-24}, 0.0, 0x1p-24}};
  for (const Case& each : cases) {
    INFO(each.engine << " " << each.operands << " to " << each.format);
    Arithmetic a = arithmetic(each.engine, each.operands, each.format);
    const auto both_give = [&](double expected) {
      return same_bits(dot(a, each.a, each.b, 0.0), expected) &&
             same_bits(mpfr::dot(a, each.a, each.b, 0.0), expected);
    };
    CHECK(both_give(each.clamped));
    step_of(a).least_exponent.reset();
    CHECK(both_give(each.without));
  }
  // One binary place: 2^-24 2^-14 + 2^-48 2^e tells -21 from its neighbours, since the unit is 2^(E
  // - 25).
  Arithmetic a = arithmetic("h100", "binary16", "binary16");
  const std::vector<double> x{0x1p-11, 0x1p-23},
      y{0x1p-14, 0x1p-23};  // 2^-25 and 2^-46: kept at -21, cut at -20
  CHECK(dot(a, x, y, 0.0) == 0x1p-24);
  step_of(a).least_exponent = -20;
  CHECK(dot(a, x, y, 0.0) == 0.0);
}

}  // namespace lamp
