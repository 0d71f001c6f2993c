#include "core/fp/format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <system_error>

namespace lamp {
namespace {

struct Named {
  std::string_view name;
  FloatFormat format;
};

constexpr FloatFormat fnuz(int p, int emin, int emax) {
  return {.p = p,
          .emin = emin,
          .emax = emax,
          .infinities = false,
          .signed_zero = false,
          .overflow = Overflow::nan};
}

/// The one list of names; the families ps<mu>, e<w>m<t>, ue<w>m<t> come after it.
constexpr std::array catalog{
    Named{"binary16", binary16},
    Named{"binary32", binary32},
    Named{"binary64", binary64},
    Named{"bfloat16", bfloat16},
    Named{"tf32", tf32},
    Named{"e4m3fn", e4m3fn},  // OFP8 E4M3
    Named{"e3m2fn", e3m2fn},  // OCP MX elements
    Named{"e2m3fn", e2m3fn},
    Named{"e2m1fn", e2m1fn},
    Named{"e4m3fnuz", fnuz(4, -7, 7)},  // as in ml_dtypes
    Named{"e5m2fnuz", fnuz(3, -15, 15)},
    Named{"e8m0fnu", e8m0fnu},
};

static_assert(xmax(fnuz(4, -7, 7)) == 240.0 && xmax(fnuz(3, -15, 15)) == 57344.0);

constexpr int min_width = 2, max_width = 11, min_trailing = 1, max_trailing = 52;

constexpr FloatFormat ieee_like(int width, int trailing) {
  const int emax = (1 << (width - 1)) - 1;
  return {.p = trailing + 1, .emin = 1 - emax, .emax = emax};
}

constexpr FloatFormat as_unsigned(FloatFormat format) {
  format.is_unsigned = true;
  format.signed_zero = false;
  return format;
}

static_assert(ieee_like(8, 23) == binary32 && ieee_like(11, 52) == binary64 &&
              ieee_like(5, 10) == binary16);
static_assert(xmax(ieee_like(4, 3)) == 240.0 && ieee_like(5, 2) == e5m2);

Error bad(std::string message) { return {ExitCode::bad_data, std::move(message)}; }

std::string outside(std::string_view what, int low, int high, std::string_view got) {
  return std::string(what) + " must be an integer in " + std::to_string(low) + ".." +
         std::to_string(high) + ", got " + std::string(got);
}

/// The whole text as a decimal integer without sign or leading zero, in low..high.
std::optional<int> integer_in(std::string_view text, int low, int high) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size() &&
                     (text.size() == 1 || text.front() != '0');
  return whole && value >= low && value <= high ? std::optional(value) : std::nullopt;
}

Error unknown(std::string_view name) {
  std::string known;
  for (const Named& entry : catalog) known += std::string(entry.name) + ", ";
  return bad("unknown format '" + std::string(name) + "'; known are " + known +
             "ps<mu> (mu 1..23), e<w>m<t> and ue<w>m<t> (w 2..11, t 1..52), or an object {p=, "
             "emin=, emax=, ...}");
}

/// name is e<w>m<t> with anything for w and t.
Result<FloatFormat> parse_ieee_like(std::string_view name) {
  const std::size_t m = name.find('m');
  const std::string_view w = name.substr(1, m - 1), t = name.substr(m + 1);
  const std::optional<int> width = integer_in(w, min_width, max_width),
                           trailing = integer_in(t, min_trailing, max_trailing);
  const std::string where = "format '" + std::string(name) + "': ";
  if (!width) return bad(where + outside("the exponent width w", min_width, max_width, w));
  if (!trailing)
    return bad(where + outside("the trailing significand bits t", min_trailing, max_trailing, t));
  return ieee_like(*width, *trailing);
}

/// A digit where the family's first number stands: the name means that family, whatever else is
/// wrong with it.
bool begins(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && name.size() > prefix.size() && name[prefix.size()] >= '0' &&
         name[prefix.size()] <= '9';
}

std::string object_form(const FloatFormat& f) {
  std::string text = "{p=" + std::to_string(f.p) + ", emin=" + std::to_string(f.emin) +
                     ", emax=" + std::to_string(f.emax);
  if (!f.subnormals) text += ", subnormals=false";
  if (!f.infinities) text += ", infinities=false";
  if (!f.nan) text += ", nan=false";
  if (!f.signed_zero) text += ", signed_zero=false";
  if (f.is_unsigned) text += ", unsigned=true";
  if (f.top_codes_lost != 0) text += ", top_codes_lost=" + std::to_string(f.top_codes_lost);
  if (f.overflow == Overflow::largest) text += ", overflow=\"max\"";
  if (f.overflow == Overflow::nan) text += ", overflow=\"nan\"";
  if (!f.zero) text += ", zero=false";
  return text + "}";
}

}  // namespace

std::vector<std::string_view> catalog_names() {
  std::vector<std::string_view> names;
  for (const Named& entry : catalog) names.push_back(entry.name);
  return names;
}

Result<FloatFormat> parse_format(std::string_view name) {
  for (const Named& entry : catalog)
    if (entry.name == name) return entry.format;
  if (begins(name, "ps")) {
    if (const std::optional<int> mu = integer_in(name.substr(2), 1, 23)) return ps(*mu);
    return bad("format '" + std::string(name) + "': " + outside("mu", 1, 23, name.substr(2)));
  }
  const bool unsigned_name = begins(name, "ue");
  if ((unsigned_name || begins(name, "e")) && name.find('m') != std::string_view::npos) {
    Result<FloatFormat> format = parse_ieee_like(unsigned_name ? name.substr(1) : name);
    if (format.ok() && unsigned_name) return as_unsigned(*format);
    return format;
  }
  return unknown(name);
}

std::string format_name(const FloatFormat& format) {
  for (const Named& entry : catalog)
    if (entry.format == format) return std::string(entry.name);
  for (int mu = 1; mu <= 23; ++mu)
    if (ps(mu) == format) return std::string("ps").append(std::to_string(mu));
  for (int width = min_width; width <= max_width; ++width) {
    const int trailing = format.p - 1;
    if (trailing < min_trailing || trailing > max_trailing) break;
    std::string name =
        std::string("e").append(std::to_string(width)).append("m").append(std::to_string(trailing));
    if (ieee_like(width, trailing) == format) return name;
    if (as_unsigned(ieee_like(width, trailing)) == format) return std::string("u").append(name);
  }
  return object_form(format);
}

Result<void> check_format(const FloatFormat& f) {
  const auto number = [](long long value) { return std::to_string(value); };
  if (f.p < 1 || f.p > 53) return bad(outside("p", 1, 53, number(f.p)));
  if (f.emax < -1022 || f.emax > 1023) return bad(outside("emax", -1022, 1023, number(f.emax)));
  const int lowest = -1075 + f.p;  // xmins = 2^(emin - p + 1) >= 2^-1074
  if (f.emin < lowest || f.emin > f.emax)
    return bad(outside("emin", lowest, f.emax, number(f.emin)));
  const int most_lost =
      f.p == 1
          ? 0
          : static_cast<int>(std::min(std::int64_t{1} << (f.p - 1), std::int64_t{1} << 30)) - 1;
  if (f.top_codes_lost < 0 || f.top_codes_lost > most_lost)
    return bad(outside("top_codes_lost", 0, most_lost, number(f.top_codes_lost)));
  if (f.overflow == Overflow::infinity && !f.infinities)
    return bad("overflow must be \"max\" or \"nan\" in a format without infinities");
  if (!f.zero && (f.subnormals || f.signed_zero))
    return bad("zero=false needs subnormals=false and signed_zero=false");
  if (f.overflow == Overflow::nan && !f.nan)
    return bad("overflow must be \"inf\" or \"max\" in a format without NaN");
  return {};
}

}  // namespace lamp
