#include "core/fp/format.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace lamp {
namespace {

struct Row {
  const char* name;
  double xmax, xmin, xmins;
};

// ml_dtypes' finfo and IEEE 754's tables; PS(mu) by its definition in [LAMP].
constexpr Row published[] = {
    {"binary16", 65504.0, 0x1p-14, 0x1p-24},
    {"binary32", 0x1.fffffep+127, 0x1p-126, 0x1p-149},
    {"binary64", 0x1.fffffffffffffp+1023, 0x1p-1022, 0x1p-1074},
    {"bfloat16", 0x1.fep+127, 0x1p-126, 0x1p-133},
    {"tf32", 0x1.ffcp+127, 0x1p-126, 0x1p-136},
    {"e4m3", 240.0, 0x1p-6, 0x1p-9},
    {"e5m2", 57344.0, 0x1p-14, 0x1p-16},
    {"e3m2", 14.0, 0x1p-2, 0x1p-4},
    {"e4m3fn", 448.0, 0x1p-6, 0x1p-9},
    {"e3m2fn", 28.0, 0x1p-2, 0x1p-4},
    {"e2m3fn", 7.5, 1.0, 0x1p-3},
    {"e2m1fn", 6.0, 1.0, 0x1p-1},
    {"e4m3fnuz", 240.0, 0x1p-7, 0x1p-10},
    {"e5m2fnuz", 57344.0, 0x1p-15, 0x1p-17},
    {"e8m0fnu", 0x1p127, 0x1p-127, 0x1p-127},
    {"ps4", 0x1.fp+127, 0x1p-126, 0x1p-130},
    {"ue4m3", 240.0, 0x1p-6, 0x1p-9},
};

}  // namespace

TEST_CASE("formats: every name of the catalog has the published range", "[fp][format]") {
  for (const Row& row : published) {
    INFO(row.name);
    const Result<FloatFormat> format = parse_format(row.name);
    REQUIRE(format.ok());
    CHECK(xmax(*format) == row.xmax);
    CHECK(xmin(*format) == row.xmin);
    CHECK(xmins(*format) == row.xmins);
    CHECK(check_format(*format).ok());
    CHECK(fits_binary64(*format));
    CHECK(format_name(*format) == row.name);
  }
}

TEST_CASE("formats: the families meet the standards' names", "[fp][format][law]") {
  CHECK(*parse_format("ps23") == binary32);
  CHECK(*parse_format("ps10") == tf32);
  CHECK(*parse_format("ps7") == bfloat16);
  CHECK(*parse_format("e5m10") == binary16);
  CHECK(*parse_format("e8m23") == binary32);
  CHECK(*parse_format("e11m52") == binary64);
  for (int w = 2; w <= 11; ++w)
    for (int t = 1; t <= 52; ++t)
      for (const char* prefix : {"e", "ue"}) {
        const std::string name =
            std::string(prefix).append(std::to_string(w)).append("m").append(std::to_string(t));
        const Result<FloatFormat> format = parse_format(name);
        REQUIRE(format.ok());
        REQUIRE(*parse_format(format_name(*format)) == *format);
        REQUIRE(check_format(*format).ok());
        REQUIRE(format->is_unsigned == (name.front() == 'u'));
      }
}

TEST_CASE("formats: a wrong name is one line with the legal range", "[fp][format]") {
  const auto message = [](const char* name) {
    const Result<FloatFormat> format = parse_format(name);
    REQUIRE_FALSE(format.ok());
    CHECK(format.error().code == ExitCode::bad_data);
    CHECK(format.error().message.find('\n') == std::string::npos);
    return format.error().message;
  };
  CHECK(message("ps24") == "format 'ps24': mu must be an integer in 1..23, got 24");
  CHECK(message("ps0").find("1..23, got 0") != std::string::npos);
  CHECK(message("ps7x").find("got 7x") != std::string::npos);
  CHECK(message("ps07").find("got 07") != std::string::npos);
  CHECK(message("ps99999999999").find("1..23") != std::string::npos);
  CHECK(message("e12m3").find("w must be an integer in 2..11, got 12") != std::string::npos);
  CHECK(message("e5m53").find("t must be an integer in 1..52, got 53") != std::string::npos);
  CHECK(message("e5m0").find("1..52") != std::string::npos);
  CHECK(message("ue1m2").find("2..11, got 1") != std::string::npos);
  for (const char* name :
       {"", "p", "ps", "fp8", "e", "em", "binary31", "BINARY32", "binary32 ", "e5", "u"})
    CHECK(message(name).find("known are binary16, binary32") != std::string::npos);
}

TEST_CASE("formats: a nameless format is written as an object with what is not the default",
          "[fp][format]") {
  CHECK(format_name({.p = 5, .emin = -3, .emax = 3}) == "{p=5, emin=-3, emax=3}");
  CHECK(format_name({.p = 5,
                     .emin = -3,
                     .emax = 4,
                     .subnormals = false,
                     .infinities = false,
                     .nan = false,
                     .signed_zero = false,
                     .is_unsigned = true,
                     .top_codes_lost = 2,
                     .overflow = Overflow::largest,
                     .zero = false}) ==
        "{p=5, emin=-3, emax=4, subnormals=false, infinities=false, nan=false, signed_zero=false, "
        "unsigned=true, top_codes_lost=2, "
        "overflow=\"max\", zero=false}");
  FloatFormat saturating = binary16;
  saturating.overflow = Overflow::nan;
  CHECK(format_name(saturating) == "{p=11, emin=-14, emax=15, overflow=\"nan\"}");
}

TEST_CASE("formats: check_format names the field and its range", "[fp][format]") {
  const auto message = [](const FloatFormat& format) {
    const Result<void> checked = check_format(format);
    return checked.ok() ? std::string("ok") : checked.error().message;
  };
  CHECK(message({.p = 54}) == "p must be an integer in 1..53, got 54");
  CHECK(message({.p = 0}) == "p must be an integer in 1..53, got 0");
  CHECK(message({.p = 24, .emin = -1052, .emax = 127}) ==
        "emin must be an integer in -1051..127, got -1052");
  CHECK(message({.p = 24, .emin = -1051, .emax = 127}) == "ok");
  CHECK(message({.p = 4, .emin = 3, .emax = 2}) == "emin must be an integer in -1071..2, got 3");
  CHECK(message({.p = 4, .emin = 3, .emax = 1024}) ==
        "emax must be an integer in -1022..1023, got 1024");
  CHECK(message({.p = 4, .emin = -6, .emax = 8, .top_codes_lost = 8}) ==
        "top_codes_lost must be an integer in 0..7, got 8");
  CHECK(message({.p = 4, .emin = -6, .emax = 8, .infinities = false}).find("overflow must be") ==
        0);
  CHECK(message({.p = 4, .emin = -6, .emax = 8, .nan = false, .overflow = Overflow::nan})
            .find("overflow must be") == 0);
  CHECK(message({.p = 4, .emin = -6, .emax = 8, .zero = false}) ==
        "zero=false needs subnormals=false and signed_zero=false");
  CHECK(message({.p = 4,
                 .emin = -6,
                 .emax = 8,
                 .subnormals = false,
                 .signed_zero = false,
                 .zero = false}) == "ok");
  CHECK(message({.p = 1, .emin = -1074, .emax = 1023}) == "ok");
  CHECK(message({.p = 1, .emin = -1074, .emax = 1023, .top_codes_lost = 1}) ==
        "top_codes_lost must be an integer in 0..0, got 1");
  CHECK(message(binary64) == "ok");
}

}  // namespace lamp
