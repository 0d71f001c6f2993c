#include "experiments/calc/hex_float.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include "core/model/files/text.hpp"

namespace lamp::experiments {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// "p-12" as -12; an exponent far beyond the legal ones stays far beyond.
std::optional<long> read_exponent(std::string_view text) {
  if (text.empty()) return 0;
  text.remove_prefix(1);  // the p
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  constexpr long far = 1'000'000'000;
  long exponent = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    exponent = std::min(far, exponent * 10 + (c - '0'));
  }
  return negative ? -exponent : exponent;
}

}  // namespace

Result<double> parse_hex_float(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    std::string message = in_quotes(text);
    message.append(why).append(
        "; legal: C hex floats such as \"0x1.8p+1\", \"nan\", \"inf\", \"-inf\"");
    return Error{ExitCode::bad_data, std::move(message)};
  };
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view rest = lower;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto with_sign = [negative](double x) { return negative ? -x : x; };
  if (rest == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (rest == "inf" || rest == "infinity")
    return with_sign(std::numeric_limits<double>::infinity());
  if (!rest.starts_with("0x")) return refuse(" is no number");
  rest.remove_prefix(2);

  const std::string_view digits = rest.substr(0, rest.find('p'));
  const std::optional<long> power = read_exponent(rest.substr(digits.size()));
  if (!power) return refuse(" is no number");
  std::uint64_t significand = 0;  // its leading 60 bits, from the first digit that is not 0
  long exponent = 0;
  bool point = false, any = false, lost = false;
  for (const char c : digits) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    const int digit = hex_digit(c);
    if (digit < 0) return refuse(" is no number");
    any = true;
    if (significand >> 56 == 0) {
      significand = significand << 4 | static_cast<std::uint64_t>(digit);
      exponent -= point ? 4 : 0;
    } else {
      lost = lost || digit != 0;
      exponent += point ? 0 : 4;
    }
  }
  if (!any) return refuse(" is no number");
  if (significand == 0) return with_sign(0.0);

  // Exactly a binary64 number: 53 bits after trailing zeros are taken off, and the ends of the
  // exponent's range.
  while ((significand & 1U) == 0) significand >>= 1, ++exponent;
  const long scale = exponent + *power;
  int bits = 0;
  while (significand >> bits != 0) ++bits;
  if (lost || bits > 53) return refuse(" has more than the 53 significant bits of binary64");
  if (scale < -1074 || scale + bits - 1 > 1023) return refuse(" is outside of binary64");
  return with_sign(std::ldexp(static_cast<double>(significand), static_cast<int>(scale)));
}

std::string to_hex_float(double x) {
  if (std::isnan(x)) return "nan";
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%a", x);
  return text.data();
}

}  // namespace lamp::experiments
