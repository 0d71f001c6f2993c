#include "experiments/reveal/questions.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/philox.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/config/arithmetic.hpp"

namespace lamp::experiments {
namespace {

/// Random numbers of a format around 1; sums of n products do not overflow.
class Draws {
 public:
  Draws(std::uint32_t seed, const FloatFormat& format, std::size_t n)
      : seed_(seed), format_(format) {
    const int room = format.emax - 2 - static_cast<int>(std::bit_width(n));
    high_ = std::clamp(room / 2, format.emin, std::max(format.emin, 3));
    low_ = std::max(format.emin, high_ - 9);
  }
  std::uint32_t below(std::uint32_t n) {
    const PhiloxCounter words = philox4x32({counter_++, 2, 0, 0}, {seed_, 0});
    return static_cast<std::uint32_t>((std::uint64_t{words[0]} * n) >> 32);
  }
  /// At most `bits` significant bits.
  double number(int bits) {
    const PhiloxCounter words = philox4x32({counter_++, 3, 0, 0}, {seed_, 0});
    const std::uint64_t fraction = ((std::uint64_t{words[0]} << 32) | words[1]) >> 12;
    const double significand =
        1.0 + static_cast<double>(fraction >> (53 - bits) << (53 - bits)) * 0x1p-52;
    const int exponent =
        low_ + static_cast<int>(words[2] % static_cast<std::uint32_t>(high_ - low_ + 1));
    const double x = round(std::ldexp(significand, exponent), format_);
    return (words[3] & 1U) != 0 ? -x : x;
  }

 private:
  std::uint32_t seed_, counter_ = 0;
  const FloatFormat& format_;
  int low_ = 0, high_ = 0;
};

/// 1 + 2^-q are numbers of the format, and so is 2^emax.
bool has_ones(const FloatFormat& format) {
  return format.emin <= 0 && format.emax > 0 && xmax(format) >= pow2(format.emax);
}

/// A product of 2^exponent by two operands of the format; nothing where its exponents do not reach
/// so far.
std::optional<std::pair<double, double>> power(int exponent, const FloatFormat& format) {
  const int smallest = format.subnormals ? format.emin - format.p + 1 : format.emin;
  const int a = std::clamp(exponent, smallest, format.emax), b = exponent - a;
  if (b < smallest || b > format.emax) return std::nullopt;
  return std::pair(pow2(a), pow2(b));
}

}  // namespace

std::vector<DotProduct> random_products(std::size_t n, const FloatFormat& format,
                                        std::size_t count) {
  constexpr std::size_t kinds = 10;
  std::vector<DotProduct> products;
  Draws draws(0, format, n);
  for (std::size_t q = 0; q < count; ++q) {
    DotProduct dot{std::vector<double>(n), std::vector<double>(n)};
    const std::size_t kind = q % kinds;
    for (std::size_t k = 0; k < n; ++k) {
      const int bits = kind < 6 ? format.p
                                : 1 + static_cast<int>(draws.below(
                                          static_cast<std::uint32_t>(std::min(format.p, 4))));
      dot.a[k] = draws.number(bits), dot.b[k] = draws.number(bits);
      if (kind == 9 && draws.below(2) == 0) dot.a[k] = std::copysign(0.0, dot.a[k]);
    }
    if (kind == 8)  // each second term once more, negated, somewhere else
      for (std::size_t k = 0; k + 1 < n; k += 2) {
        const std::size_t other = draws.below(static_cast<std::uint32_t>(n));
        dot.a[other] = -dot.a[k], dot.b[other] = dot.b[k];
      }
    if (q == kind && kind == 9)  // once: every product is -0
      for (std::size_t k = 0; k < n; ++k) dot.a[k] = -0.0, dot.b[k] = std::abs(dot.b[k]);
    products.push_back(std::move(dot));
  }
  return products;
}

std::vector<DotProduct> type_products(std::size_t n, const FloatFormat& format) {
  std::vector<DotProduct> products;
  if (!has_ones(format)) return products;
  const auto ask = [&](double x) {
    products.push_back({std::vector<double>(n), std::vector<double>(n, 1.0)});
    products.back().a[0] = x;
  };
  for (int q = 1; q < format.p; ++q) ask(1.0 + pow2(-q));
  ask(pow2(format.emax));
  return products;
}

std::optional<NarrowerType> narrower_type(std::size_t n, const FloatFormat& format,
                                          std::span<const double> answers) {
  if (answers.empty()) return std::nullopt;
  int bits = 1;
  while (bits < format.p && answers[static_cast<std::size_t>(bits) - 1] == 1.0 + pow2(-bits))
    ++bits;
  const bool rounds = bits < format.p, overflows = answers.back() != pow2(format.emax);
  if (!rounds && !overflows) return std::nullopt;
  const double answer = rounds ? answers[static_cast<std::size_t>(bits) - 1] : answers.back();
  if (rounds && !(bits > 1 && answer >= 1.0 && answer <= 2.0))
    return std::nullopt;  // no number that 1 + 2^-bits is rounded to
  const std::string number =
      rounds ? "1 + 2^-" + std::to_string(bits) : "2^" + std::to_string(format.emax);
  return NarrowerType{number + " comes back as " + to_hex_float(answer) +
                          ", so the command's type is narrower than " + format_word(format) +
                          "; legal: its own as --format" +
                          (rounds ? ", " + std::to_string(bits) + " bits wide" : std::string()),
                      !overflows && pow2(bits) >= static_cast<double>(n)};
}

std::vector<DotProduct> ladder_products(std::size_t n, const FloatFormat& format) {
  constexpr int most_bits = 64, each = 4;  // places; of three random terms the small one meets M
                                           // before -M does in two of three trees
  std::vector<DotProduct> products;
  if (n < 3) return products;
  Draws draws(1, format, n);
  const auto place = [&](std::size_t below) {
    return draws.below(static_cast<std::uint32_t>(below));
  };
  const int top = std::min(format.emax, most_bits / 2);
  for (const int large :
       {top, 2 * top})  // of an operand, which sums in the format itself hold; of a product
    for (int bits = 1; bits <= most_bits; ++bits) {
      const auto m = power(large, format), unit = power(large - bits, format);
      if (!m || !unit) continue;
      for (int t = 0; t < each; ++t) {
        DotProduct dot{std::vector<double>(n), std::vector<double>(n, unit->second)};
        const std::size_t i = place(n), j = (i + 1 + place(n - 1)) % n;
        std::size_t k = place(n);
        while (k == i || k == j) k = (k + 1) % n;
        dot.a[i] = m->first, dot.b[i] = m->second;
        dot.a[j] = -m->first, dot.b[j] = m->second;
        const double half_more = 1.5 * unit->first;
        dot.a[k] = t % 2 == 1 && round(half_more, format) == half_more ? half_more : unit->first;
        products.push_back(std::move(dot));
      }
    }
  return products;
}

}  // namespace lamp::experiments
