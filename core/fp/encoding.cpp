#include "core/fp/encoding.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "core/fp/rounding.hpp"
#include "core/fp/unpacked.hpp"

namespace lamp {
namespace {

constexpr std::uint64_t one = 1;

/// Codes without their sign, as boundaries in their order.
struct Layout {
  int trailing;  // p - 1
  int exponent_bits;
  bool has_sign;
  bool nan_is_negative_zero;
  std::uint64_t first_normal;  // xmin
  std::uint64_t largest;       // xmax
  std::uint64_t end;           // 2^(code bits without the sign)

  [[nodiscard]] std::uint64_t sign() const {
    return end;
  }  // the sign's bit lies above; not for 64 bits without a sign
};

Layout layout_of(const FloatFormat& f) {
  expects(fits_binary64(f), "encoding: fits_binary64(format)");
  Layout layout{};
  layout.trailing = f.p - 1;
  layout.has_sign = !f.is_unsigned;
  layout.nan_is_negative_zero = f.nan && f.zero && layout.has_sign && !f.signed_zero;
  layout.first_normal = f.zero ? one << layout.trailing : 0;
  const auto binades = static_cast<std::uint64_t>(f.emax - f.emin + 1);
  layout.largest = layout.first_normal + (binades << layout.trailing) - 1 -
                   static_cast<std::uint64_t>(f.top_codes_lost);
  const std::uint64_t above =
      (f.infinities ? 1U : 0U) + (f.nan && !layout.nan_is_negative_zero ? 1U : 0U);  // at least
  while (one << (layout.exponent_bits + layout.trailing) <= layout.largest + above)
    ++layout.exponent_bits;
  layout.end = one << (layout.exponent_bits + layout.trailing);
  return layout;
}

/// Kind of a code without its sign.
CodeKind kind_of(std::uint64_t magnitude, const FloatFormat& f, const Layout& layout) {
  if (magnitude < layout.first_normal) {
    if (magnitude == 0) return CodeKind::zero;
    return f.subnormals ? CodeKind::subnormal : CodeKind::unused;
  }
  if (magnitude <= layout.largest) return CodeKind::normal;
  if (f.infinities && magnitude == layout.largest + 1) return CodeKind::infinity;
  return f.nan && !layout.nan_is_negative_zero ? CodeKind::nan : CodeKind::unused;
}

CodeKind kind_of(std::uint64_t code, bool negative, const FloatFormat& f, const Layout& layout) {
  const CodeKind kind = kind_of(code, f, layout);
  if (!negative || kind != CodeKind::zero || f.signed_zero) return kind;
  return f.nan ? CodeKind::nan : CodeKind::unused;
}

struct SplitCode {
  std::uint64_t magnitude;
  bool negative;
};

SplitCode split(std::uint64_t code, const Layout& layout) {
  const bool negative = layout.has_sign && (code & layout.sign()) != 0;
  return {.magnitude = negative ? code - layout.sign() : code, .negative = negative};
}

/// IEEE 754's quiet NaN where it is one, else the last code.
std::uint64_t nan_code(const FloatFormat& f, const Layout& layout) {
  if (layout.nan_is_negative_zero) return layout.sign();
  const std::uint64_t top_binade = layout.end - (one << layout.trailing);
  const std::uint64_t quiet = top_binade + (layout.trailing > 0 ? one << (layout.trailing - 1) : 0);
  return kind_of(quiet, f, layout) == CodeKind::nan ? quiet : layout.end - 1;
}

std::string hex(std::uint64_t code) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(code));
  return text.data();
}

std::string hex(double x) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%a", x);
  return text.data();
}

Error bad(std::string message) { return {ExitCode::bad_data, std::move(message)}; }

}  // namespace

int code_bits(const FloatFormat& format) {
  const Layout layout = layout_of(format);
  return layout.exponent_bits + layout.trailing + (layout.has_sign ? 1 : 0);
}

CodeKind code_kind(std::uint64_t code, const FloatFormat& format) {
  const Layout layout = layout_of(format);
  const SplitCode parts = split(code, layout);
  return kind_of(parts.magnitude, parts.negative, format, layout);
}

CodeCounts code_counts(const FloatFormat& f) {
  const Layout layout = layout_of(f);
  const std::uint64_t signs = layout.has_sign ? 2 : 1;
  CodeCounts counts;
  counts.normals = signs * (layout.largest - layout.first_normal + 1);
  if (f.zero) {
    counts.zeros = layout.has_sign && f.signed_zero ? 2 : 1;
    (f.subnormals ? counts.subnormals : counts.unused) = signs * (layout.first_normal - 1);
  }
  if (f.infinities) counts.infinities = signs;
  if (layout.has_sign && f.zero && !f.signed_zero) (f.nan ? counts.nans : counts.unused) += 1;
  const std::uint64_t above = layout.end - 1 - layout.largest - (f.infinities ? 1 : 0);
  (f.nan && !layout.nan_is_negative_zero ? counts.nans : counts.unused) += signs * above;
  return counts;
}

Result<double> decode(std::uint64_t code, const FloatFormat& format) {
  const Layout layout = layout_of(format);
  const int bits = code_bits(format);
  if (bits < 64 && code >> bits != 0)
    return bad("code " + hex(code) + " has more than the format's " + std::to_string(bits) +
               " bits");
  const auto [magnitude, negative] = split(code, layout);
  const auto with_sign = [negative = negative](double x) { return negative ? -x : x; };
  switch (kind_of(magnitude, negative, format, layout)) {
    case CodeKind::zero:
      return with_sign(0.0);
    case CodeKind::infinity:
      return with_sign(std::numeric_limits<double>::infinity());
    case CodeKind::nan:
      return std::numeric_limits<double>::quiet_NaN();
    case CodeKind::unused:
      return bad("code " + hex(code) + " is no value of the format");
    case CodeKind::subnormal:
    case CodeKind::normal:
      break;
  }
  const std::uint64_t hidden = one << layout.trailing, fraction = magnitude & (hidden - 1);
  const auto field = static_cast<int>(magnitude >> layout.trailing);
  const int exponent = format.zero ? std::max(field, 1) - 1 + format.emin : field + format.emin;
  const bool normal = magnitude >= layout.first_normal;
  return with_sign(std::ldexp(static_cast<double>(normal ? hidden + fraction : fraction),
                              exponent - layout.trailing));
}

Result<std::uint64_t> encode(double x, const FloatFormat& format) {
  const Layout layout = layout_of(format);
  if (std::isnan(x)) {
    if (!format.nan) return bad("NaN has no code in a format without NaN");
    return nan_code(format, layout);
  }
  const std::uint64_t sign = layout.has_sign && std::signbit(x) ? layout.sign() : 0;
  if (x == 0.0) {
    if (!format.zero) return bad("zero has no code in a format without zero");
    return format.signed_zero ? sign : 0;
  }
  if (!representable(x, format))
    return bad(hex(x) + " is not a number of the format; round it first");
  if (std::isinf(x)) return sign | (layout.largest + 1);
  const Unpacked exact = unpack(x);
  const int leading = exact.exponent + bit_length(exact.significand) - 1;
  if (leading < format.emin) {  // a multiple of xmins, in units of it
    return sign |
           static_cast<std::uint64_t>(std::ldexp(std::abs(x), layout.trailing - format.emin));
  }
  const std::uint64_t fraction =
      static_cast<std::uint64_t>(std::ldexp(std::abs(x), layout.trailing - leading)) -
      (one << layout.trailing);
  const auto binade = static_cast<std::uint64_t>(leading - format.emin);
  return sign | (layout.first_normal + (binade << layout.trailing) + fraction);
}

}  // namespace lamp
