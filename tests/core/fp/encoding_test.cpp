// Codes and values: laws over every code of every small format, the tables of the standards by
// hand, and the machine's own formats.
#include "core/fp/encoding.hpp"

#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/fp/format_table.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();

FloatFormat named(const char* name) { return *parse_format(name); }

void add_to(CodeCounts& counts, CodeKind kind) {
  switch (kind) {
    case CodeKind::zero:
      ++counts.zeros;
      break;
    case CodeKind::subnormal:
      ++counts.subnormals;
      break;
    case CodeKind::normal:
      ++counts.normals;
      break;
    case CodeKind::infinity:
      ++counts.infinities;
      break;
    case CodeKind::nan:
      ++counts.nans;
      break;
    case CodeKind::unused:
      ++counts.unused;
      break;
  }
}

/// What is wrong with the codes of a format, empty if nothing: every code there and back, values in
/// order, kinds as the values are.
std::string fault(const FloatFormat& f) {
  const int bits = code_bits(f), magnitude_bits = bits - (f.is_unsigned ? 0 : 1);
  const std::uint64_t sign = f.is_unsigned ? 0 : std::uint64_t{1} << magnitude_bits;
  CodeCounts counted;
  std::optional<std::uint64_t> the_nan;
  double previous = -1.0;
  for (std::uint64_t code = 0; code >> bits == 0; ++code) {
    const auto at = [&](const char* what) {
      return format_name(f) + ", code " + std::to_string(code) + ": " + what;
    };
    if ((code & sign) == code) previous = -1.0;  // magnitude zero
    const CodeKind kind = code_kind(code, f);
    add_to(counted, kind);
    const Result<double> x = decode(code, f);
    if (x.ok() != (kind != CodeKind::unused)) return at("decode fails at the unused codes only");
    if (!x.ok()) continue;
    const Result<std::uint64_t> back = encode(*x, f);
    if (!back.ok()) return at("a value of the format has a code");
    if (std::isnan(*x)) {
      if (kind != CodeKind::nan || !f.nan || (the_nan && *the_nan != *back))
        return at("NaN is NaN, with one code");
      the_nan = *back;
      continue;
    }
    if (*back != code) return at("decode, then encode");
    if (std::abs(*x) <= previous) return at("magnitudes ascend");
    previous = std::abs(*x);
    if (std::signbit(*x) != ((code & sign) != 0)) return at("the sign bit is the sign");
    if (std::isinf(*x) != (kind == CodeKind::infinity) || (*x == 0.0) != (kind == CodeKind::zero))
      return at("kinds of infinity and zero");
    if (std::isfinite(*x) && *x != 0.0) {
      if ((std::abs(*x) < xmin(f)) != (kind == CodeKind::subnormal))
        return at("subnormals lie below xmin");
      if (std::abs(*x) > xmax(f) || round(*x, f) != *x) return at("a number of the format");
    }
  }
  if (f.nan && (!the_nan || code_kind(*the_nan, f) != CodeKind::nan))
    return format_name(f) + ": NaN has a code";
  const CodeCounts stated = code_counts(f);
  const bool same = counted.zeros == stated.zeros && counted.subnormals == stated.subnormals &&
                    counted.normals == stated.normals && counted.infinities == stated.infinities &&
                    counted.nans == stated.nans && counted.unused == stated.unused;
  return same ? "" : format_name(f) + ": code_counts";
}

struct Known {
  const char* format;
  std::uint64_t code;
  double value;
};

// OCP OFP8 (2023), tables 1 and 2; OCP MX v1.0, tables 2 to 7; ml_dtypes for the FNUZ formats; IEEE
// 754-2019, 3.4.
const std::array known{
    Known{"e4m3fn", 0x7E, 448.0},
    Known{"e4m3fn", 0x01, 0x1p-9},
    Known{"e4m3fn", 0x07, 0.875 * 0x1p-6},
    Known{"e4m3fn", 0x08, 0x1p-6},
    Known{"e4m3fn", 0xFE, -448.0},
    Known{"e4m3fn", 0x80, -0.0},
    Known{"e4m3fn", 0x38, 1.0},
    Known{"e5m2", 0x7B, 57344.0},
    Known{"e5m2", 0x7C, inf},
    Known{"e5m2", 0xFC, -inf},
    Known{"e5m2", 0x01, 0x1p-16},
    Known{"e5m2", 0x03, 0.75 * 0x1p-14},
    Known{"e5m2", 0x04, 0x1p-14},
    Known{"e3m2fn", 0x1F, 28.0},
    Known{"e3m2fn", 0x3F, -28.0},
    Known{"e3m2fn", 0x01, 0.0625},
    Known{"e3m2fn", 0x04, 0.25},
    Known{"e2m3fn", 0x1F, 7.5},
    Known{"e2m3fn", 0x01, 0.125},
    Known{"e2m3fn", 0x08, 1.0},
    Known{"e2m1fn", 0x7, 6.0},
    Known{"e2m1fn", 0x1, 0.5},
    Known{"e2m1fn", 0x2, 1.0},
    Known{"e2m1fn", 0x3, 1.5},
    Known{"e2m1fn", 0x5, 3.0},
    Known{"e2m1fn", 0xF, -6.0},
    Known{"e8m0fnu", 0x00, 0x1p-127},
    Known{"e8m0fnu", 0x7F, 1.0},
    Known{"e8m0fnu", 0xFE, 0x1p127},
    Known{"e4m3fnuz", 0x7F, 240.0},
    Known{"e4m3fnuz", 0x01, 0x1p-10},
    Known{"e4m3fnuz", 0xFF, -240.0},
    Known{"e4m3fnuz", 0x40, 1.0},
    Known{"e5m2fnuz", 0x7F, 57344.0},
    Known{"e5m2fnuz", 0x01, 0x1p-17},
    Known{"e5m2fnuz", 0x40, 1.0},
    Known{"binary16", 0x3C00, 1.0},
    Known{"binary16", 0x7BFF, 65504.0},
    Known{"binary16", 0x0001, 0x1p-24},
    Known{"binary16", 0xFC00, -inf},
    Known{"bfloat16", 0x3F80, 1.0},
    Known{"bfloat16", 0x7F7F, 0x1.fep127},
    Known{"tf32", 0x3F800 >> 1, 1.0},
    Known{"ue4m3", 0x77, 240.0},
    Known{"ue4m3", 0x78, inf},
    Known{"ue4m3", 0x01, 0x1p-9},
};

struct KnownNan {
  const char* format;
  std::uint64_t encoded;
  std::uint64_t count;
};

constexpr std::array nans{
    KnownNan{"e4m3fn", 0x7F, 2},       KnownNan{"e5m2", 0x7E, 6},
    KnownNan{"e4m3fnuz", 0x80, 1},     KnownNan{"e5m2fnuz", 0x80, 1},
    KnownNan{"e8m0fnu", 0xFF, 1},      KnownNan{"binary16", 0x7E00, 2046},
    KnownNan{"bfloat16", 0x7FC0, 254}, KnownNan{"binary32", 0x7FC00000, 16777214}};

struct Width {
  const char* format;
  int bits;
};

constexpr std::array widths{
    Width{"binary16", 16}, Width{"binary32", 32}, Width{"binary64", 64}, Width{"bfloat16", 16},
    Width{"tf32", 19},     Width{"e4m3fn", 8},    Width{"e5m2", 8},      Width{"e3m2fn", 6},
    Width{"e2m3fn", 6},    Width{"e2m1fn", 4},    Width{"e8m0fnu", 8},   Width{"e4m3fnuz", 8},
    Width{"e5m2fnuz", 8},  Width{"ue4m3", 7},     Width{"ps4", 13},      Width{"e11m52", 64},
    Width{"ue11m52", 63},  Width{"e2m1", 4},      Width{"ue2m1", 3}};

/// IEEE 754's definition of a binary interchange format, written out.
double ieee_value(std::uint64_t code, int exponent_bits, int trailing) {
  const std::uint64_t fraction = code & ((std::uint64_t{1} << trailing) - 1);
  const auto field = static_cast<int>(code >> trailing & ((std::uint64_t{1} << exponent_bits) - 1));
  const double sign = (code >> (exponent_bits + trailing) & 1) != 0 ? -1.0 : 1.0;
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  if (field == top) return fraction == 0 ? sign * inf : std::nan("");
  const double significand = static_cast<double>(fraction) * std::ldexp(1.0, -trailing);
  return field == 0 ? sign * std::ldexp(significand, 1 - bias)
                    : sign * std::ldexp(1.0 + significand, field - bias);
}

}  // namespace

TEST_CASE("codes: there and back, in order, counted, every code of every format up to 12 bits",
          "[fp][encoding]") {
  const std::vector<FloatFormat> formats = test::formats_up_to(12);
  CHECK(formats.size() > 90);
  for (const FloatFormat& f : formats) REQUIRE(fault(f) == "");
  for (const FloatFormat& f : test::small_formats) REQUIRE(fault(f) == "");
  for (const FloatFormat& f : {binary16, bfloat16, named("ue6m10"), ps(9)}) REQUIRE(fault(f) == "");
}

TEST_CASE("codes: there and back, in order, counted, every code of every format up to 16 bits",
          "[fp][encoding][exhaustive]") {
  for (const FloatFormat& f : test::formats_up_to(16)) REQUIRE(fault(f) == "");
  for (int mu = 1; mu <= 10; ++mu) REQUIRE(fault(ps(mu)) == "");
}

TEST_CASE("codes: values of the standards' tables", "[fp][encoding]") {
  for (const Known& k : known) {
    INFO(k.format << " " << k.code);
    CHECK(same_bits(*decode(k.code, named(k.format)), k.value));
    CHECK(*encode(k.value, named(k.format)) == k.code);
  }
  for (const KnownNan& k : nans) {
    INFO(k.format);
    CHECK(std::isnan(*decode(k.encoded, named(k.format))));
    CHECK(*encode(std::nan(""), named(k.format)) == k.encoded);
    CHECK(code_counts(named(k.format)).nans == k.count);
  }
  for (const Width& w : widths) {
    INFO(w.format);
    CHECK(code_bits(named(w.format)) == w.bits);
  }
}

TEST_CASE("codes: the value table of e2m1fn is OCP's", "[fp][encoding]") {
  const std::array values{0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
  for (std::uint64_t code = 0; code < 16; ++code) {
    const double magnitude = values[code % 8];
    CHECK(same_bits(*decode(code, named("e2m1fn")), code < 8 ? magnitude : -magnitude));
  }
}

TEST_CASE(
    "codes: binary16 and bfloat16, every code, by IEEE's definition, by the compiler's type and by "
    "binary32's upper half",
    "[fp][encoding][oracle]") {
  long failures = 0;
  for (std::uint32_t code = 0; code < 1U << 16; ++code) {
    const double half = *decode(code, binary16), brain = *decode(code, bfloat16);
    failures +=
        !same_bits(half, ieee_value(code, 5, 10)) + !same_bits(brain, ieee_value(code, 8, 7));
    failures += !same_bits(brain, static_cast<double>(std::bit_cast<float>(code << 16)));
#if defined(__FLT16_MANT_DIG__) && !defined(__clang__)
#ifdef __aarch64__
    using Half = __fp16;  // g++ 12 has no other there
#else
    __extension__ typedef _Float16 Half;
#endif
    failures += !same_bits(
        half, static_cast<double>(std::bit_cast<Half>(static_cast<std::uint16_t>(code))));
#endif
  }
  CHECK(failures == 0);
}

TEST_CASE("codes: binary32 and binary64 are the machine's patterns", "[fp][encoding][oracle]") {
  test::Random random(1);
  long failures = 0;
  for (int i = 0; i < 200000; ++i) {
    const auto narrow = std::bit_cast<float>(random.word());
    const double wide = random.bits64();
    if (!std::isnan(narrow)) {
      failures +=
          *encode(static_cast<double>(narrow), binary32) != std::bit_cast<std::uint32_t>(narrow);
      failures += !same_bits(*decode(std::bit_cast<std::uint32_t>(narrow), binary32),
                             static_cast<double>(narrow));
    }
    if (!std::isnan(wide)) {
      failures += *encode(wide, binary64) != std::bit_cast<std::uint64_t>(wide);
      failures += !same_bits(*decode(std::bit_cast<std::uint64_t>(wide), binary64), wide);
    }
  }
  CHECK(failures == 0);
  CHECK(std::isnan(*decode(0xFFF0000000000001, binary64)));
}

TEST_CASE("codes: what has none is an error of one line", "[fp][encoding]") {
  const auto message = [](const auto& result) {
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ExitCode::bad_data);
    return result.error().message;
  };
  CHECK(message(encode(std::nan(""), named("e2m1fn"))) ==
        "NaN has no code in a format without NaN");
  CHECK(message(encode(0.0, named("e8m0fnu"))) == "zero has no code in a format without zero");
  CHECK(message(encode(0.1, binary16)) ==
        "0x1.999999999999ap-4 is not a number of the format; round it first");
  CHECK(message(encode(inf, named("e4m3fn"))) ==
        "inf is not a number of the format; round it first");
  CHECK(message(encode(480.0, named("e4m3fn"))).find("not a number") != std::string::npos);
  CHECK(message(encode(-1.0, named("ue4m3"))).find("not a number") != std::string::npos);
  CHECK(message(encode(0x1p-3, FloatFormat{.p = 3, .emin = -2, .emax = 2, .subnormals = false}))
            .find("not a number") != std::string::npos);
  CHECK(message(decode(0x100, named("e4m3fn"))) == "code 0x100 has more than the format's 8 bits");
  CHECK(message(decode(0x01, FloatFormat{.p = 3, .emin = -2, .emax = 2, .subnormals = false})) ==
        "code 0x1 is no value of the format");
  CHECK(*encode(-0.0, named("e4m3fnuz")) == 0);  // -0 is +0 where there is no -0
  CHECK(*encode(-0.0, named("ue4m3")) == 0);
  CHECK(*encode(-0.0, named("e4m3fn")) == 0x80);
}

TEST_CASE("formats: P3109's binary8p4 has infinities in the top binade and NaN at the code of -0",
          "[fp][encoding]") {
  const FloatFormat p3109{.p = 4, .emin = -7, .emax = 7, .signed_zero = false, .top_codes_lost = 1};
  CHECK(*decode(0x7E, p3109) == 224.0);
  CHECK(*decode(0x7F, p3109) == inf);
  CHECK(*decode(0xFF, p3109) == -inf);
  CHECK(*encode(std::nan(""), p3109) == 0x80);
}

TEST_CASE("format_table: numbers, counts and values", "[fp][format]") {
  const FormatTable table = format_table(named("e4m3fn"));
  CHECK(table.name == "e4m3fn");
  CHECK((table.u == 0x1p-4 && table.xmin == 0x1p-6 && table.xmins == 0x1p-9 &&
         table.xmax == 448.0 && table.bits == 8));
  CHECK((table.counts.zeros == 2 && table.counts.subnormals == 14 && table.counts.normals == 238 &&
         table.counts.nans == 2));
  CHECK((table.counts.infinities == 0 && table.counts.unused == 0 && table.counts.finite() == 254));
  REQUIRE(table.values.size() == 256);
  CHECK((table.values[0x7E].value == 448.0 && table.values[0x7F].kind == CodeKind::nan));
  CHECK_FALSE(format_table(named("e8m0fnu")).xmins.has_value());
  CHECK(format_table(named("e8m0fnu")).counts.finite() == 255);
  CHECK(format_table(binary64).values.empty());
  CHECK(format_table(binary64).counts.normals == 0xFFC0000000000000);
}

TEST_CASE("negative control: the law of codes sees a wrong one", "[fp][encoding][control]") {
  FloatFormat shifted = named("e4m3fn");
  shifted.emin = -7;  // another bias: still a format in itself, but not the table's
  CHECK(fault(shifted) == "");
  CHECK_FALSE(same_bits(*decode(0x38, shifted), 1.0));
  CHECK_FALSE(*encode(1.0, shifted) == 0x38);
}

}  // namespace lamp
