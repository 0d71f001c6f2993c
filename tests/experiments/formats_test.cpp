// `lamp formats`: numbers against the standards' tables, the JSON's keys, and the one line of a
// wrong name.
#include "experiments/commands/formats.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace lamp::experiments {
namespace {

std::string text_of(std::vector<std::string> names, bool json = false) {
  return *formats_text({.names = std::move(names), .json = json});
}

}  // namespace

TEST_CASE("lamp formats: a named format with its value table", "[formats]") {
  CHECK(
      text_of({"e2m1fn"}) ==
      "e2m1fn: p 2, emin 0, emax 2, no infinities, no NaN, overflow gives xmax\n"
      "  u       0x1p-2                    0.25\n"
      "  xmins   0x1p-1                    0.5\n"
      "  xmin    0x1p+0                    1\n"
      "  xmax    0x1.8p+2                  6\n"
      "  codes   4 bits: 16 finite (2 zero, 2 subnormal, 12 normal), 0 infinite, 0 NaN, 0 unused\n"
      "    0x0  0x0p+0          0\n"
      "    0x1  0x1p-1          0.5\n"
      "    0x2  0x1p+0          1\n"
      "    0x3  0x1.8p+0        1.5\n"
      "    0x4  0x1p+1          2\n"
      "    0x5  0x1.8p+1        3\n"
      "    0x6  0x1p+2          4\n"
      "    0x7  0x1.8p+2        6\n"
      "    0x8  -0x0p+0         -0\n"
      "    0x9  -0x1p-1         -0.5\n"
      "    0xa  -0x1p+0         -1\n"
      "    0xb  -0x1.8p+0       -1.5\n"
      "    0xc  -0x1p+1         -2\n"
      "    0xd  -0x1.8p+1       -3\n"
      "    0xe  -0x1p+2         -4\n"
      "    0xf  -0x1.8p+2       -6");
  CHECK(text_of({"binary64"}).find("0x1.fffffffffffffp+1023   1.7976931348623157e+308") !=
        std::string::npos);
  CHECK(text_of({"e4m3fn"}).find("    0x7f  nan\n") != std::string::npos);
  CHECK(text_of({"e8m0fnu"}).find("xmins") == std::string::npos);
}

TEST_CASE("lamp formats --json: one object", "[formats]") {
  const auto json = nlohmann::json::parse(text_of({"e5m2", "ps7"}, true));
  REQUIRE(json.at("formats").size() == 2);
  const auto& fp8 = json["formats"][0];
  CHECK(fp8["name"] == "e5m2");
  CHECK(fp8["xmax"] == "0x1.cp+15");
  CHECK(fp8["codes"]["finite"] == 248);
  CHECK(fp8["codes"]["infinity"] == 2);
  CHECK(fp8["codes"]["nan"] == 6);
  REQUIRE(fp8["values"].size() == 256);
  CHECK(fp8["values"][0x7C]["value"] == "inf");
  CHECK(fp8["values"][0x7C]["kind"] == "infinity");
  CHECK(fp8["values"][0x01]["code"] == "0x01");
  const auto& ps7 = json["formats"][1];
  CHECK(ps7["name"] == "bfloat16");  // the same format
  CHECK((ps7["p"] == 8 && ps7["bits"] == 16 && !ps7.contains("values")));
  const auto all = nlohmann::json::parse(text_of({}, true));
  CHECK(all["formats"].size() == 12);
  for (const auto& format : all["formats"]) CHECK_FALSE(format.contains("values"));
}

TEST_CASE("lamp formats: the catalog, one line a format, and wrong names", "[formats]") {
  const std::string text = text_of({});
  CHECK(text.find("e4m3fn    8") != std::string::npos);
  CHECK(text.find("ps<mu>") != std::string::npos);
  const Result<std::string> wrong = formats_text({.names = {"binary16", "binary31"}});
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().code == ExitCode::bad_data);
  CHECK(wrong.error().message.find("unknown format 'binary31'; known are binary16") == 0);
  CHECK(formats_command({.names = {"ps0"}}) == 65);
}

TEST_CASE("lamp formats: a matrix engine says what it does and what its vectors pin down",
          "[formats]") {
  const std::string text = text_of({"h200"});
  CHECK(text.find("h200: a matrix engine, the same as h100\n") == 0);
  CHECK(text.find("\n  binary16 to binary32: 16 products, F 25, binary32 RTZ, exponent at least "
                  "-133 (vectors: F = 25)\n") != std::string::npos);
  CHECK(text.find("\n  e5m2 to binary16: 32 products, F 25, binary16 RNE, two passes over "
                  "interleaved pairs, c added last (vectors: F >= 18)\n") != std::string::npos);
  CHECK(text.find("\n  measured: ") != std::string::npos);
  CHECK(text.find("\n  not measured: tf32 in steps of 8") != std::string::npos);
  CHECK(text.find("\n  least exponents: as in MATLAB-tensor-core, state of 13 August 2026 (a "
                  "published measurement") != std::string::npos);
  const auto json = nlohmann::json::parse(text_of({"v100", "e2m1fn"}, true));
  CHECK(json.at("formats").size() == 1);
  REQUIRE(json.at("engines").size() == 1);
  CHECK(json["engines"][0]["modes"][0]["fraction_bits"] == 23);
  CHECK(json["engines"][0]["modes"][0]["least_exponent"].is_null());
  CHECK(json["engines"][0]["modes"][1]["least_exponent"] == -19);
  CHECK(json["engines"][0]["modes"][1]["most_fraction_bits"].is_null());
  CHECK(nlohmann::json::parse(text_of({}, true)).at("engines").size() == 8);
  CHECK(formats_text({.names = {"h10"}}).error().message.find("engines: v100, a100") !=
        std::string::npos);
}

TEST_CASE("lamp formats: a block format says its element, scale and ends", "[formats]") {
  const std::string text = text_of({"nvfp4"});
  CHECK(text.find("nvfp4: a block format\n  element         e2m1fn\n") == 0);
  CHECK(text.find("\n  scale           e4m3fn\n  size            16\n") != std::string::npos);
  CHECK(text.find("\n  largest         0x1.5p+11  2688") != std::string::npos);
  CHECK(text_of({}).find("mxfp6-e2m3, mxfp4, nvfp4\n") != std::string::npos);
  const auto json = nlohmann::json::parse(text_of({"mxfp4", "e2m1fn"}, true));
  CHECK(json.at("formats").size() == 1);
  REQUIRE(json.at("systems").size() == 1);
  CHECK(json["systems"][0]["element"] == "e2m1fn");
  CHECK(json["systems"][0]["size"] == 32);
  CHECK(json["systems"][0]["largest"] == "0x1.8p+129");
  CHECK_FALSE(nlohmann::json::parse(text_of({"e2m1fn"}, true)).contains("systems"));
  CHECK(formats_text({.names = {"mxfp5"}}).error().message.find("here also mxfp8-e4m3") !=
        std::string::npos);
}

}  // namespace lamp::experiments
