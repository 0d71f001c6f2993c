// Block formats: OCP MX 1.0's numbers, NVFP4's rule, rows worked by hand, the limits of what is a
// block format, and both implementations on rows made to hurt.
#include "core/fp/block_format.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/fp/number_system.hpp"
#include "core/mpfr/number_system.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;
using Row = std::vector<double>;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

BlockFormat named(const char* name) { return BlockFormat::named(name).value(); }

/// By both implementations, which agree.
Row rounded(const NumberSystem& system, const Row& x, std::optional<double> tensor = {}) {
  Row y(x.size()), second(x.size());
  round_row(system, x, y, tensor);
  mpfr::round_row(system, x, second, tensor);
  for (std::size_t i = 0; i < x.size(); ++i) {
    INFO("element " << i << " of " << x.size() << ": " << x[i]);
    REQUIRE(same_bits(y[i], second[i]));
  }
  Row in_place = x;
  round_row(system, in_place, in_place, tensor);
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(same_bits(in_place[i], y[i]));
  return y;
}

void check_row(const NumberSystem& system, const Row& x, const Row& want) {
  const Row got = rounded(system, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    INFO("element " << i << ": " << x[i] << " gives " << got[i] << ", not " << want[i]);
    CHECK(same_bits(got[i], want[i]));
  }
}

std::string refused(const BlockFormat& format) {
  const Result<void> checked = check_block_format(format);
  return checked ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("block formats: elements, scales and sizes of OCP MX 1.0 and NVFP4", "[fp][blocks]") {
  struct Published {
    const char* name;
    double largest_element, smallest_element;
    int emax;
    std::size_t size;
  };
  constexpr Published rows[] = {
      {"mxfp8-e4m3", 448, 0x1p-9, 8, 32}, {"mxfp8-e5m2", 57344, 0x1p-16, 15, 32},
      {"mxfp6-e3m2", 28, 0x1p-4, 4, 32},  {"mxfp6-e2m3", 7.5, 0x1p-3, 2, 32},
      {"mxfp4", 6, 0.5, 2, 32},           {"nvfp4", 6, 0.5, 2, 16}};
  CHECK(BlockFormat::names().size() == std::size(rows));
  for (const Published& row : rows) {
    INFO(row.name);
    const BlockFormat format = named(row.name);
    CHECK(xmax(format.element) == row.largest_element);
    CHECK(xmins(format.element) == row.smallest_element);
    CHECK(format.element.emax == row.emax);
    CHECK(format.size == row.size);
    CHECK(check_block_format(format).ok());
    CHECK(name_of(format) == row.name);
    CHECK(*parse_number_system(row.name) == NumberSystem(format));
    CHECK(*system_of_object(format.properties()) == NumberSystem(format));
  }
}

TEST_CASE("block formats: rows worked by hand", "[fp][blocks][hand]") {
  // M = 5: scale 2^(2 - 2) = 1; 0.25 is a tie to the even 0, 5 one to the even 4.
  check_row(named("mxfp4"), {5, -0.25, 0.3, 2.4, -0.0, 3.5}, {4, -0.0, 0.5, 2, -0.0, 4});
  // M = 7.9: scale 1, 7.9 saturates at 6 and not at 8.
  check_row(named("mxfp4"), {7.9, 1}, {6, 1});
  // M = 8: scale 2, where 1 is 0.5 and stays.
  check_row(named("mxfp4"), {8, 1, 0.5}, {8, 1, 0});
  // M = 500: scale 2^(8 - 8), 500 saturates (e4m3fn alone gives NaN); infinity does not count in M.
  check_row(named("mxfp8-e4m3"), {500, 448, inf, -inf, nan}, {448, 448, 448, -448, nan});
  // Zeros only: the scale is 2^-127, which infinity shows.
  check_row(named("mxfp4"), {0, -0.0, inf}, {0, -0.0, 6 * 0x1p-127});
  check_row(named("mxfp4"), {nan, nan}, {nan, nan});
  check_row(named("mxfp4"), {}, {});
  check_row(named("mxfp4"), {3}, {3});
  // The scale's ends: 2^127 and 2^-127.
  check_row(named("mxfp4"), {0x1p+1000, 0x1p127}, {6 * 0x1p127, 0x1p127});
  check_row(named("mxfp4"), {0x1p-1074, 0x1p-128, 0x1p-129}, {0, 0x1p-128, 0});
  // NVFP4: scale fl(3 / 6) = 0.5; then fl(1 / 6) in e4m3fn = 11/64 and 1 becomes 6 x 11/64.
  check_row(named("nvfp4"), {3, 1, 0.1}, {3, 1, 0});
  check_row(named("nvfp4"), {1, 1}, {1.03125, 1.03125});
  // M / 6 above 448 saturates; below half of 2^-9 the scale is 2^-9.
  check_row(named("nvfp4"), {1e6, 1000}, {2688, 896});
  check_row(named("nvfp4"), {0x1p-11, 0x1p-10, 0}, {0, 0x1p-10, 0});
  CHECK(named("mxfp4").block_scale(1, 1) == 0.25);
  CHECK(named("mxfp8-e5m2").block_scale(0x1.8p-1074, 1) == 0x1p-127);
  CHECK(named("nvfp4").block_scale(0, 1) == 0x1p-9);
}

TEST_CASE("block formats: a block ends where it ends", "[fp][blocks]") {
  Row x(40, 1.0 / 3.0), want(40, 0.375);
  x[31] = 96, want[31] = 96;  // scale 16: 1/3 is 0 in the first block only
  for (std::size_t i = 0; i < 31; ++i) want[i] = 0;
  check_row(named("mxfp4"), x, want);
  BlockFormat ones = named("mxfp4");
  ones.size = 1;  // each value has its own scale: two bits of significand
  check_row(ones, {5, 100, -3e-5, 0}, {4, 96, -6 * 0x1p-18, 0});  // 3e-5 is 7.9 2^-18 and saturates
  ones.size = std::size_t{1} << 40;                               // one block
  check_row(ones, {96, 1.0 / 3.0}, {96, 0});
}

TEST_CASE("block formats: the tensor's scale", "[fp][blocks]") {
  BlockFormat format = named("nvfp4");
  format.tensor_scale = {.automatic = true};
  CHECK(format.tensor_factor(0) == 1);
  CHECK(format.tensor_factor(2688) == 1);
  CHECK(format.tensor_factor(1) == static_cast<double>(1.0F / 2688.0F));
  CHECK(format.tensor_factor(1e-300) == 1);  // 0 in binary32
  CHECK(format.tensor_factor(1e300) == xmax(binary32));
  const double t = format.tensor_factor(1e6);
  CHECK(rounded(format, {1e6})[0] == 6 * 448 * t);
  CHECK(rounded(format, {1.0}, 1e6)[0] == 1.5 * (0x1p-9 * t));  // 1 / (2^-9 t) = 1.38
  format.tensor_scale = {.number = 0x1p-20};
  CHECK(rounded(format, {0x1p-20 * 3, 0x1p-20})[1] == 0x1p-20);
}

TEST_CASE("block formats: what is none is refused by name", "[fp][blocks]") {
  const BlockFormat mx = named("mxfp4"), nv = named("nvfp4");
  const auto with = [](BlockFormat format, auto change) { return change(format), refused(format); };
  CHECK(refused(mx).empty());
  CHECK(with(mx, [](auto& f) { f.size = 3; }).empty());
  CHECK(with(mx, [](auto& f) { f.size = 0; }).find("size must be an integer in 1..") == 0);
  CHECK(with(mx, [](auto& f) { f.element = e8m0fnu; }).find("element: e8m0fnu has no sign") == 0);
  CHECK(with(mx, [](auto& f) {
          f.tensor_scale.automatic = true;
        }).find("tensor_scale: beside the scale e8m0fnu, whose p is 1") == 0);
  CHECK(with(mx, [](auto& f) { f.element.p = 0; }).find("element: p must be") == 0);
  CHECK(with(mx, [](auto& f) { f.scale.emax = 5000; }).find("scale: emax must be") == 0);
  CHECK(with(mx, [](auto& f) { f.scale.emin = -1074; }).find("element, scale and tensor_scale") ==
        0);
  CHECK(with(nv, [](auto& f) { f.element = binary32; }).empty());
  CHECK(with(nv, [](auto& f) {
          f.element = {.p = 26, .emin = -9, .emax = 9}, f.tensor_scale.automatic = true;
        }).find("element, scale and tensor_scale") == 0);
  CHECK(with(nv, [](auto& f) { f.element = binary64; }).find("element, scale") == 0);
  const auto of = [](const Properties& object) { return BlockFormat::of(object).error().message; };
  const std::string e = "e2m1fn", s = "e8m0fnu";
  CHECK(of({{"scale", s}, {"size", std::int64_t{32}}}).find("element is missing") == 0);
  CHECK(of({{"element", e}, {"size", std::int64_t{32}}}).find("scale is missing") == 0);
  CHECK(of({{"element", e}, {"scale", s}}).find("size is missing; legal: an integer, 1 to") == 0);
  CHECK(of({{"element", e}, {"scale", s}, {"size", 2.5}}).find("size is no integer") == 0);
  CHECK(of({{"element", e}, {"scale", s}, {"size", std::int64_t{-1}}}).find("size is -1") == 0);
  CHECK(of({{"element", std::string("mxfp4")}, {"scale", s}, {"size", std::int64_t{1}}})
            .find("element: 'mxfp4' is a block format; legal: a float format") == 0);
  CHECK(of({{"element", std::string("e2m1")}, {"scale", true}, {"size", std::int64_t{1}}})
            .find("scale is no float format") == 0);
  for (const PropertyValue& t : {PropertyValue(0.0), PropertyValue(-1.0), PropertyValue(1e300),
                                 PropertyValue(1e-300), PropertyValue(std::string("row"))})
    CHECK(of({{"element", e},
              {"scale", std::string("e4m3fn")},
              {"size", std::int64_t{16}},
              {"tensor_scale", t}})
              .find("tensor_scale; legal: \"auto\", or a number") == 0);
}

namespace {

/// A row of one kind: of one binade, wide, very wide, ties of the elements, about the scale's lower
/// end, about its upper end, beside powers of two, short (quotients by a scale are often ties);
/// with zeros, infinities and NaN.
Row hurtful_row(test::Random& random, const BlockFormat& format, std::size_t n) {
  const std::uint32_t kind = random.below(8);
  const int centre = random.between(-20, 20);
  const int spacing = format.element.emin - format.element.p;  // half of it
  const auto number = [&]() -> double {
    switch (kind) {
      case 0:
        return random.with_exponent(centre, centre + 1);
      case 1:
        return random.with_exponent(centre - 20, centre);
      case 2:
        return random.with_exponent(-1000, 1000);
      case 3:
        return std::ldexp(random.between(-64, 64), spacing + centre % 3);
      case 4:
        return random.below(2) == 0 ? std::ldexp(random.between(-9, 9), -1074)
                                    : random.with_exponent(-150, -125, 4);
      case 5:
        return random.with_exponent(120, random.below(2) == 0 ? 130 : 1023, 6);
      case 6:
        return std::ldexp(1.0 - std::ldexp(random.between(-1, 1), -53), centre);
      default:
        return random.with_exponent(-4, 0, 7);
    }
  };
  Row x(n);
  for (double& value : x) {
    constexpr double specials[] = {0.0, -0.0, inf, -inf, nan};
    value = random.below(12) == 0 ? specials[random.below(5)] : number();
  }
  return x;
}

}  // namespace

TEST_CASE("block formats: both implementations on rows made to hurt", "[fp][blocks][oracle]") {
  std::vector<BlockFormat> formats;
  for (const std::string_view name : BlockFormat::names())
    formats.push_back(*BlockFormat::named(name));
  BlockFormat nv = named("nvfp4");
  nv.tensor_scale.automatic = true, formats.push_back(nv);
  nv.tensor_scale = {.number = static_cast<double>(0.1F)}, formats.push_back(nv);
  nv.tensor_scale = {.number = 0x1p-149}, formats.push_back(nv);
  nv.size = 3, nv.tensor_scale = {}, formats.push_back(nv);
  formats.push_back({.element = *parse_format("e4m3fnuz"), .scale = e8m0fnu, .size = 5});
  formats.push_back({.element = ps(10), .scale = e8m0fnu, .size = 200});
  formats.push_back({.element = {.p = 1, .emin = -3, .emax = 3}, .scale = e4m3fn, .size = 7});
  formats.push_back({.element = {.p = 4, .emin = -3, .emax = 3, .subnormals = false},
                     .scale = *parse_format("ue5m3"),
                     .size = 8});
  formats.push_back({.element = {.p = 30, .emin = -8, .emax = 8},
                     .scale = {.p = 20, .emin = -40, .emax = 30, .subnormals = false},
                     .size = 8});
  formats.push_back({.element = {.p = 22, .emin = -8, .emax = 8},
                     .scale = {.p = 31, .emin = -40, .emax = 30},
                     .size = 8});  // 53 bits: exact quotients
  formats.push_back({.element = {.p = 22, .emin = -8, .emax = 8},
                     .scale = {.p = 30, .emin = -40, .emax = 30},
                     .size = 8});  // 52
  formats.push_back({.element = e2m1fn, .scale = {.p = 1, .emin = 5, .emax = 6}, .size = 4});
  for (const BlockFormat& format : formats) REQUIRE(refused(format) == "");
  test::Random random(77);
  for (const BlockFormat& format : formats)
    for (int trial = 0; trial < 400; ++trial)
      rounded(format, hurtful_row(random, format, random.below(trial % 4 == 0 ? 150U : 40U)));
}

TEST_CASE("block formats: midpoints times the scale and their neighbours", "[fp][blocks][oracle]") {
  test::Random random(79);
  const BlockFormat wide{.element = {.p = 22, .emin = -8, .emax = 8},
                         .scale = {.p = 30, .emin = -40, .emax = 30},
                         .size = 64};
  for (const BlockFormat& format : {named("nvfp4"), wide})
    for (int trial = 0; trial < 300; ++trial) {
      Row x{random.with_exponent(0, 3)};  // decides the scale
      const double d = format.block_scale(std::abs(x[0]), 1);
      while (x.size() < 16) {
        const int end = 1 << std::min(format.element.p + 1, 23);
        const double midpoint = std::ldexp(random.between(end / 2, end - 1) | 1,
                                           random.between(-3, 1) - format.element.p);
        const double m = midpoint * d;
        if (m < std::abs(x[0])) x.insert(x.end(), {m, std::nextafter(m, 0), std::nextafter(m, 9)});
      }
      x.resize(16);
      rounded(format, x);
    }
}

TEST_CASE("block formats: what was rounded stays, and powers of two scale it",
          "[fp][blocks][law]") {
  test::Random random(78);
  for (const char* name : {"mxfp8-e4m3", "mxfp8-e5m2", "mxfp6-e3m2", "mxfp6-e2m3", "mxfp4"}) {
    const BlockFormat format = named(name);
    for (int trial = 0; trial < 200; ++trial) {
      Row x(48);
      for (double& value : x) value = std::ldexp(random.between(-2048, 2047), -9);
      const Row y = rounded(format, x), again = rounded(format, y);
      Row doubled = x;
      for (double& value : doubled) value *= 0x1p40;
      const Row scaled = rounded(format, doubled);
      for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(same_bits(again[i], y[i]));
        CHECK(same_bits(scaled[i], y[i] * 0x1p40));
      }
    }
  }
}

TEST_CASE("round_row: values of a float format, on the bits where they are normal, one by one",
          "[fp][rows]") {
  test::Random random(17);
  std::vector<FloatFormat> formats(test::small_formats.begin(), test::small_formats.end());
  formats.insert(formats.end(), test::large_formats.begin(), test::large_formats.end());
  formats.insert(formats.end(), {binary16,
                                 bfloat16,
                                 binary32,
                                 binary64,
                                 ps(1),
                                 {.p = 52, .emin = -1022, .emax = 1023},
                                 {.p = 53, .emin = -10, .emax = 10},
                                 {.p = 2, .emin = -1073, .emax = 1023}});
  for (const FloatFormat& format : formats) {
    INFO(format_name(format));
    Row x{0.0, -0.0, inf, -inf, nan};
    const auto around = [&](double value) {
      for (const double sign : {1.0, -1.0})
        for (const double y : {std::nextafter(value, 0.0), value, std::nextafter(value, inf)})
          x.push_back(sign * y);
    };
    const double largest = xmax(format), least = xmin(format);
    for (const double value : {largest, largest * (1.0 + unit_roundoff(format) / 2),
                               largest + std::ldexp(largest, -format.p), least, least / 2,
                               least * (1.0 - unit_roundoff(format)), xmins(format)})
      around(value);
    for (int i = 0; i < 300; ++i) {  // neighbours of numbers and of midpoints
      const int e = random.between(format.emin, format.emax);
      around(std::abs(random.with_exponent(e, e, std::min(format.p + 1, 53))));
    }
    static_cast<void>(rounded(format, x));
  }
}

}  // namespace lamp
