// Lone operations on arrays against scalar arithmetic and MPFR, bit for bit, on every instruction
// set.
#include "core/arith/elementwise.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "core/arith/scalar.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;
using Row = std::vector<double>;

std::vector<Backend> backends() {
  std::vector<Backend> all{Backend::scalar};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) all.push_back(backend);
  return all;
}

/// Special values, and numbers about 1, the ends of a format and those of binary64, of few bits
/// (ties), of a format's bits and one or two more, and of all.
double operand(test::Random& random, const FloatFormat& format) {
  if (random.below(24) == 0) return test::special_values[random.below(test::special_values.size())];
  const int bits = random.below(3) == 0   ? random.between(1, std::min(53, format.p + 2))
                   : random.below(2) == 0 ? 24
                                          : 53;
  const std::uint32_t where = random.below(20);
  if (where == 0)
    return random.with_exponent(std::max(-1074, format.emin - format.p), format.emin + 2, bits);
  if (where == 1)
    return random.with_exponent(format.emax - 2, std::min(1023, format.emax + 1), bits);
  if (where == 2) return random.with_exponent(-1074, 1023, bits);
  return random.with_exponent(-3, 3, bits);
}

/// Operands and their results; c cancels a b, wholly or nearly, in a third of the elements.
struct Case {
  Row a, b, c;
  Case(test::Random& random, const FloatFormat& format, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      a.push_back(operand(random, format));
      b.push_back(operand(random, format));
      const double product = a.back() * b.back();
      c.push_back(random.below(3) == 0 ? -lamp::round(product, format) : operand(random, format));
    }
  }
};

template <class Fl>
std::vector<Row> expected(const Fl& fl, const Case& x) {
  std::vector<Row> y(6);
  for (std::size_t i = 0; i < x.a.size(); ++i) {
    y[0].push_back(fl.round(x.c[i]));
    y[1].push_back(fl.add(x.a[i], x.c[i]));
    y[2].push_back(fl.sub(x.c[i], x.b[i]));
    y[3].push_back(fl.mul(x.a[i], x.b[i]));
    y[4].push_back(fl.div(x.c[i], x.b[i]));
    y[5].push_back(fl.mac(x.a[i], x.b[i], x.c[i]));
  }
  return y;
}

std::vector<Row> evaluated(const Elementwise& fl, const Case& x) {
  std::vector<Row> y(6, Row(x.a.size()));
  fl.round(x.c, y[0]);
  fl.add(x.a, x.c, y[1]);
  fl.sub(x.c, x.b, y[2]);
  fl.mul(x.a, x.b, y[3]);
  fl.div(x.c, x.b, y[4]);
  fl.mac(x.a, x.b, x.c, y[5]);
  return y;
}

long differences(const std::vector<Row>& x, const std::vector<Row>& y) {
  long count = 0;
  for (std::size_t k = 0; k < x.size(); ++k)
    for (std::size_t i = 0; i < x[k].size(); ++i) count += !same_bits(x[k][i], y[k][i]);
  return count;
}

}  // namespace

TEST_CASE(
    "Elementwise has the scalar bits for every combination of operands, product, via, format "
    "and mode",
    "[arith][elementwise]") {
  const std::array<std::optional<FloatFormat>, 3> operands{std::nullopt, ps(7), e4m3fn};
  const std::array<std::optional<FloatFormat>, 4> products{std::nullopt, ps(7), binary32, binary64};
  const std::array<std::optional<FloatFormat>, 4> vias{std::nullopt, binary32, tf32, binary64};
  std::vector<FloatFormat> formats(test::small_formats.begin(), test::small_formats.end());
  formats.insert(formats.end(), test::large_formats.begin(), test::large_formats.end());
  formats.push_back(ps(3));
  test::Random random(1);
  for (const auto& o : operands)
    for (const auto& p : products)
      for (const auto& v : vias)
        for (const FloatFormat& f : formats)
          for (const Rounding mode : test::deterministic_modes) {
            const MacSpec spec{
                .operands = o, .product = p, .via = v, .format = f, .rounding = mode};
            const Case x(random, f, 67);
            const std::vector<Row> y = expected(GeneralArithmetic(spec), x);
            for (const Backend backend : backends())
              REQUIRE(differences(
                          evaluated(Elementwise(Arithmetic{spec, {}}, false, 0, backend), x), y) ==
                      0);
          }
}

TEST_CASE("Elementwise has MPFR's bits", "[arith][elementwise]") {
  test::Random random(2);
  for (const FloatFormat& f : {ps(7), binary16, binary32, e4m3fn, e5m2, ps(22), binary64})
    for (const Rounding mode : test::deterministic_modes)
      for (const MacSpec& spec : {MacSpec{.format = f, .rounding = mode},
                                  MacSpec{.via = binary32, .format = f, .rounding = mode}}) {
        const Case x(random, f, 203);
        const std::vector<Row> y = expected(mpfr::MpfrArithmetic(spec), x);
        for (const Backend backend : backends())
          REQUIRE(differences(evaluated(Elementwise(Arithmetic{spec, {}}, false, 0, backend), x),
                              y) == 0);
      }
}

TEST_CASE(
    "Elementwise: operands that are binary32 numbers, one number for all, an operand's own "
    "memory, lengths",
    "[arith][elementwise]") {
  test::Random random(3);
  for (const MacSpec& spec :
       {fused(binary32).mac, lamp_paper(7).mac, fused(ps(7)).mac, fused(binary64).mac}) {
    const GeneralArithmetic fl(spec);
    for (std::size_t n = 0; n < 40; ++n)
      for (const Backend backend : backends()) {
        Row x(n), y(n), z(n);
        for (std::size_t i = 0; i < n; ++i)
          x[i] = static_cast<double>(static_cast<float>(operand(random, ps(7)))),
          y[i] = static_cast<double>(static_cast<float>(operand(random, ps(7))));
        const Arithmetic arithmetic{spec, {}};
        const Elementwise by(arithmetic, true, 0, backend);
        Row sum = x, quotient = x, product = y, whole = y;
        by.add(sum, y, sum);
        by.div(quotient, 3.0, quotient);
        by.mul(static_cast<double>(0.1F), product, product);
        by.mac(x, 0.75, whole, whole);
        by.sub(x, 1.0, z);
        for (std::size_t i = 0; i < n; ++i) {
          REQUIRE(same_bits(sum[i], fl.add(x[i], y[i])));
          REQUIRE(same_bits(quotient[i], fl.div(x[i], 3.0)));
          REQUIRE(same_bits(product[i], fl.mul(static_cast<double>(0.1F), y[i])));
          REQUIRE(same_bits(whole[i], fl.mac(x[i], 0.75, y[i])));
          REQUIRE(same_bits(z[i], fl.sub(x[i], 1.0)));
        }
      }
  }
}

TEST_CASE("vector_spec: what vectors evaluate", "[arith][elementwise]") {
  for (const FloatFormat& f : {binary16, binary32, binary64, bfloat16, e4m3fn, e5m2, ps(3), ps(22)})
    CHECK(vector_spec({.format = f}).has_value());
  for (const Rounding mode : test::deterministic_modes)
    CHECK(vector_spec({.via = binary32, .format = ps(7), .rounding = mode}).has_value());
  CHECK_FALSE(vector_spec({.format = binary64, .rounding = Rounding::rtz}).has_value());
  CHECK_FALSE(vector_spec({.format = {.p = 4, .emin = -3, .emax = 3, .subnormals = false}}));
}

}  // namespace lamp
