// safetensors: conversion to binary32 is exact, every malformed file is told why, and no bytes
// whatever crash the reader.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/files/safetensors.hpp"
#include "tests/core/model/files.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::ExitCode;
using lamp::Safetensors;
using lamp::test::Random;
using lamp::test::safetensors_file;
using lamp::test::same_bits;
using lamp::test::says;
using lamp::test::source;
using lamp::test::TemporaryFolder;

bool refused(std::string_view bytes, std::initializer_list<std::string_view> words) {
  const TemporaryFolder folder;
  const auto file = Safetensors::open(folder.write("model.safetensors", bytes));
  return !file && says(file.error(), ExitCode::bad_data, words);
}

/// A file of one header and 8 bytes of data.
std::string file_of(const std::string& header) { return safetensors_file(header, "01234567"); }

std::string words_of(const std::vector<std::uint16_t>& codes) {
  std::string bytes;
  for (const std::uint16_t code : codes)
    bytes += {static_cast<char>(code & 0xFF), static_cast<char>(code >> 8)};
  return bytes;
}

std::vector<std::uint16_t> all_codes() {
  std::vector<std::uint16_t> codes(65536);
  for (std::size_t k = 0; k < codes.size(); ++k) codes[k] = static_cast<std::uint16_t>(k);
  return codes;
}

/// The value of a code by the definition of the format: w exponent bits, t significand bits. Oracle
/// of the conversions.
double by_definition(std::uint16_t code, int w, int t) {
  const int exponent = code >> t & ((1 << w) - 1), bias = (1 << (w - 1)) - 1;
  const double field = code & ((1 << t) - 1), sign = (code >> (w + t)) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << w) - 1)
    return field != 0.0 ? std::numeric_limits<double>::quiet_NaN()
                        : sign * std::numeric_limits<double>::infinity();
  const double scale = std::ldexp(1.0, std::max(exponent, 1) - bias - t);
  return sign * (field + (exponent == 0 ? 0.0 : std::ldexp(1.0, t))) * scale;
}

}  // namespace

TEST_CASE("safetensors: every binary16 and bfloat16 code converts exactly",
          "[model][safetensors][law]") {
  const TemporaryFolder folder;
  const std::string bytes = words_of(all_codes());
  const auto file = Safetensors::open(
      folder.write("x.safetensors", safetensors_file({{"odd", "U8", "3", "abc"},
                                                      {"half", "F16", "256, 256", bytes},
                                                      {"brain", "BF16", "65536", bytes}})));
  REQUIRE(file);
  const auto& half = file->tensors().at("half");
  const auto& brain = file->tensors().at("brain");
  CHECK(half.shape == std::vector<std::size_t>{256, 256});
  CHECK(file->tensors().at("odd").type == lamp::TensorType::other);
  for (const auto& [tensor, w, t] : {std::tuple{&half, 5, 10}, std::tuple{&brain, 8, 7}}) {
    const std::vector<float> values = lamp::to_binary32(*tensor);
    std::vector<float> copied(tensor->size());
    REQUIRE(file->read(*tensor, copied));
    std::size_t wrong = 0, wrong_copies = 0, wrong_control = 0;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const double expected = by_definition(static_cast<std::uint16_t>(k), w, t);
      wrong += same_bits(static_cast<double>(values[k]), expected) ? 0U : 1U;
      wrong_copies += same_bits(static_cast<double>(copied[k]), expected) ? 0U : 1U;
      wrong_control += same_bits(static_cast<double>(values[k]),
                                 by_definition(static_cast<std::uint16_t>(k ^ 1U), w, t))
                           ? 0U
                           : 1U;
    }
    CHECK(wrong == 0);
    CHECK(wrong_copies == 0);
    CHECK(wrong_control > 60000);  // the comparison can fail
  }
}

TEST_CASE("safetensors: the shipped model's tensors cover its file", "[model][safetensors]") {
  const auto file = Safetensors::open(source("data/models/gpt2-nano/model.safetensors"));
  REQUIRE(file);
  CHECK(file->tensors().size() == 52);
  CHECK(file->file_bytes().size() == 5537520);
  const auto& wte = file->tensors().at("wte.weight");
  CHECK(wte.shape == std::vector<std::size_t>{4096, 128});
  CHECK(wte.bytes.data() + wte.bytes.size() ==
        file->file_bytes().data() + file->file_bytes().size());
  std::vector<float> copied(wte.size());
  REQUIRE(file->read(wte, copied));
  CHECK(copied == lamp::to_binary32(wte));
  lamp::Sha256 hash;
  REQUIRE(file->hash(hash));
  CHECK(hash.finish() == lamp::sha256(file->file_bytes()));
  CHECK(file->unchanged());
}

TEST_CASE("safetensors: empty tensors, scalars, metadata and padding are legal",
          "[model][safetensors]") {
  const TemporaryFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("none":{"data_offsets":[4,4],"shape":[0,18446744073709551615],"dtype":"I64"},)"
      R"("b":{"dtype":"F4","shape":[8],"data_offsets":[4,8]}}      )";
  const auto file = Safetensors::open(folder.write("x.safetensors", file_of(header)));
  REQUIRE(file);
  CHECK(file->tensors().at("a").size() == 1);
  CHECK(file->tensors().at("none").size() == 0);
  CHECK(Safetensors::open(folder.write("empty.safetensors", safetensors_file("{}"))));
}

TEST_CASE("safetensors: a wrong header length", "[model][safetensors][bad-input]") {
  for (std::size_t n = 0; n < 8; ++n)
    CHECK(refused(std::string("\x02\0\0\0\0\0\0\0", 8).substr(0, n),
                  {"has " + std::to_string(n) + " bytes", "legal: 8"}));
  CHECK(refused(safetensors_file(0, "{}", ""),
                {"byte offset 0", "header length is 0", "legal: 2 to 2"}));
  CHECK(refused(safetensors_file(3, "{}", ""),
                {"header length is 3", "legal: 2 to 2", "what the file has left"}));
  CHECK(refused(safetensors_file(~std::uint64_t{0}, "{}", ""),
                {"header length is 18446744073709551615"}));
  const TemporaryFolder folder;
  const auto large = folder.write("large.safetensors", safetensors_file(100'000'001, "{", ""));
  std::filesystem::resize_file(large, 200'000'000);  // sparse: takes no room
  const auto file = Safetensors::open(large);
  REQUIRE_FALSE(file);
  CHECK(says(file.error(), ExitCode::bad_data, {"100000001", "legal: 2 to 100000000"}));
}

TEST_CASE("safetensors: a header that is not the JSON it should be",
          "[model][safetensors][bad-input]") {
  CHECK(refused(safetensors_file(" {}"), {"byte offset 8", "begins with \" \"", "legal: \"{\""}));
  CHECK(refused(safetensors_file("{\"a\xFF\":1}"), {"byte offset 11", "not UTF-8"}));
  CHECK(refused(safetensors_file("{\"a\":"), {"byte offset 1", "not JSON"}));
  CHECK(refused(safetensors_file("{} x"), {"byte offset 11", "not JSON"}));
  CHECK(refused(safetensors_file("{\"a\":1}"), {"tensor \"a\" is 1", "legal: an object"}));
  CHECK(refused(safetensors_file("{\"a\":[1]}"), {"tensor \"a\" is an array"}));
  CHECK(refused(safetensors_file(R"({"__metadata__":{"a":1}})"),
                {"__metadata__ holds 1", "legal: strings"}));
  CHECK(
      refused(safetensors_file(R"({"__metadata__":{"a":"1","a":"2"}})"), {"\"a\" is given twice"}));
  CHECK(refused(safetensors_file(R"({"__metadata__":{},"__metadata__":{}})"),
                {"\"__metadata__\" is given twice"}));
  const std::string entry = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(refused(file_of("{\"a\":" + entry + ",\"a\":" + entry + "}"), {"\"a\" is given twice"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
                {"\"a\"", "\"dtype\" is given twice"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[2]}})"),
                {"tensor \"a\" has no \"data_offsets\""}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"order":"C"}})"),
                {"has the key \"order\"", "legal: dtype"}));
  CHECK(
      refused(file_of(R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})"), {"dtype is 32"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
                {"shape has -2", "integers"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"),
                {"shape has 2.0"}));
  CHECK(refused(
      file_of(R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}})"),
      {"shape has 18446744073709551616"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"),
                {"shape has an array"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"),
                {"data_offsets has one number", "[begin, end]"}));
  CHECK(refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})"),
                {"data_offsets has 8", "[begin, end]"}));
  CHECK(refused(safetensors_file(std::string(100'000, '[').insert(0, "{\"a\":")),
                {"tensor \"a\" is an array"}));
}

TEST_CASE("safetensors: sizes and ranges that do not fit", "[model][safetensors][bad-input]") {
  const auto entry = [](const std::string& name, const std::string& dtype, const std::string& shape,
                        const std::string& range) {
    return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" + shape +
           R"(],"data_offsets":[)" + range + "]}";
  };
  const auto one = [&](const std::string& dtype, const std::string& shape,
                       const std::string& range) {
    return file_of("{" + entry("a", dtype, shape, range) + "}");
  };
  CHECK(refused(one("F31", "2", "0,8"), {"tensor \"a\"", "unknown dtype \"F31\"", "legal: BOOL"}));
  CHECK(refused(one("F32", "3", "0,8"), {"tensor \"a\"", "span 8 bytes", "F32 need 12"}));
  CHECK(refused(one("F16", "2", "0,8"), {"span 8 bytes", "F16 need 4"}));
  CHECK(refused(one("F4", "3", "0,8"), {"12 bits", "whole number of bytes"}));
  CHECK(refused(one("F32", "4294967296,4294967296", "0,8"), {"product of its shape overflows"}));
  CHECK(refused(one("F32", "1152921504606846976", "0,8"),
                {"overflows 64 bits"}));  // 2^60 elements, 2^65 bits
  CHECK(refused(one("F32", "2", "8,0"), {"[8, 0] begin after they end"}));
  CHECK(refused(one("F32", "2", "4,12"), {"[4, 12] reach past the end", "legal: 0 to 8"}));
  CHECK(refused(one("F32", "2", "0,18446744073709551615"), {"reach past the end"}));
  CHECK(refused(one("F32", "1", "0,4"), {"4 trailing bytes"}));
  CHECK(refused(file_of("{}"), {"8 trailing bytes"}));
  CHECK(refused(one("F32", "1", "4,8"), {"tensor \"a\" begins at byte 4", "from 0 on", "a hole"}));
  CHECK(refused(
      file_of("{" + entry("a", "U8", "2", "0,2") + "," + entry("b", "U8", "4", "4,8") + "}"),
      {"\"b\" begins at byte 4", "from 2 on", "hole"}));
  CHECK(refused(
      file_of("{" + entry("a", "U8", "6", "0,6") + "," + entry("b", "U8", "4", "4,8") + "}"),
      {"\"b\" begins at byte 4", "ends at 6", "overlap"}));
  CHECK(refused(
      file_of("{" + entry("a", "U8", "8", "0,8") + "," + entry("b", "U8", "8", "0,8") + "}"),
      {"overlap"}));
  CHECK(refused(file_of("{" + entry(R"(a\nb)", "F32", "3", "0,8") + "}"),
                {R"(tensor "a\x0ab")", "need 12"}));  // still one line
}

TEST_CASE("safetensors: a Git LFS pointer says what to run", "[model][safetensors][bad-input]") {
  CHECK(refused("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 548105171\n",
                {"Git LFS pointer", "git lfs pull"}));
}

TEST_CASE("safetensors: a file that cannot be read", "[model][safetensors][bad-input]") {
  const TemporaryFolder folder;
  const auto missing = Safetensors::open(folder.path() / "model.safetensors");
  REQUIRE_FALSE(missing);
  CHECK(says(missing.error(), ExitCode::missing_input, {"model.safetensors", "No such file"}));
  const auto directory = Safetensors::open(folder.path());
  REQUIRE_FALSE(directory);
  CHECK(says(directory.error(), ExitCode::bad_data, {"is a directory"}));
}

TEST_CASE("safetensors: a file truncated while mapped is an error, not a signal",
          "[model][safetensors][bad-input]") {
  for (const char* const dtype : {"F32", "BF16"}) {
    const TemporaryFolder folder;
    const std::string bytes(1 << 20, '\0');
    const std::string shape = std::to_string(dtype[0] == 'F' ? bytes.size() / 4 : bytes.size() / 2);
    const auto path = folder.write("x.safetensors", safetensors_file({{"a", dtype, shape, bytes}}));
    const auto file = Safetensors::open(path);
    REQUIRE(file);
    const auto& tensor = file->tensors().at("a");
    std::vector<float> values(tensor.size());
    REQUIRE(file->read(tensor, values));
    std::filesystem::resize_file(path, 5000);
    const auto read = file->read(tensor, values);
    REQUIRE_FALSE(read);
    CHECK(says(read.error(), ExitCode::io, {"x.safetensors", "ends at byte 5000", "truncated"}));
    lamp::Sha256 hash;
    CHECK_FALSE(file->hash(hash));
    const auto unchanged = file->unchanged();
    REQUIRE_FALSE(unchanged);
    CHECK(says(unchanged.error(), ExitCode::io, {"was changed", "5000 now"}));
  }
}

TEST_CASE("safetensors: no mutation of a file crashes the reader", "[model][safetensors][fuzz]") {
  const TemporaryFolder folder;
  const std::string original =
      safetensors_file({{"h.0.ln_1.weight", "F32", "2, 3", std::string(24, 'a')},
                        {"wte", "F16", "4", std::string(8, 'b')},
                        {"mask", "BOOL", "1, 1, 2, 2", std::string(4, 'c')}});
  constexpr std::string_view spice = "{}[]\",:0123456789-.eE\\u\n\xFF\xC3";
  Random random(7);
  std::size_t accepted = 0;
  for (int trial = 0; trial < 5000; ++trial) {
    std::string bytes = original;
    for (std::uint32_t edits = 1 + random.below(3); edits > 0 && !bytes.empty(); --edits) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(bytes.size()));
      switch (random.below(5)) {
        case 0:
          bytes[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          bytes[at] = spice[random.below(static_cast<std::uint32_t>(spice.size()))];
          break;
        case 2:
          bytes.insert(at, 1, spice[random.below(static_cast<std::uint32_t>(spice.size()))]);
          break;
        case 3:
          bytes.erase(at, 1 + random.below(4));
          break;
        default:
          bytes.resize(at);
          break;
      }
      // Half of the time the length is made to fit again, so that what is tried is the header.
      if (bytes.size() >= 8 && random.below(2) == 0)
        bytes = safetensors_file(bytes.size() - 8 - std::min<std::size_t>(36, bytes.size() - 8),
                                 bytes.substr(8), "");
    }
    const auto file = Safetensors::open(folder.write("x.safetensors", bytes));
    if (!file) {
      if (!says(file.error(), ExitCode::bad_data, {"x.safetensors: "})) FAIL("trial " << trial);
      continue;
    }
    ++accepted;
    std::size_t covered = 0;
    for (const auto& [name, tensor] : file->tensors()) {
      covered += tensor.bytes.size();
      if (tensor.type != lamp::TensorType::other &&
          lamp::to_binary32(tensor).size() != tensor.size())
        FAIL("trial " << trial);
    }
    if (covered > file->file_bytes().size()) FAIL("trial " << trial);
  }
  CHECK(accepted > 50);    // edits of the data or of a name
  CHECK(accepted < 3000);  // most files are refused
}
