#include "core/fp/block_format.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "core/fp/encoding.hpp"
#include "core/fp/nearest.hpp"
#include "core/fp/number_system.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {
namespace {

struct Named {
  std::string_view name;
  BlockFormat format;
};

/// OCP Microscaling Formats 1.0, table 1, and NVIDIA's NVFP4.
constexpr std::array catalog{Named{"mxfp8-e4m3", {.element = e4m3fn, .scale = e8m0fnu}},
                             Named{"mxfp8-e5m2", {.element = e5m2, .scale = e8m0fnu}},
                             Named{"mxfp6-e3m2", {.element = e3m2fn, .scale = e8m0fnu}},
                             Named{"mxfp6-e2m3", {.element = e2m3fn, .scale = e8m0fnu}},
                             Named{"mxfp4", {.element = e2m1fn, .scale = e8m0fnu}},
                             Named{"nvfp4", {.element = e2m1fn, .scale = e4m3fn, .size = 16}}};

constexpr std::int64_t largest_size = std::int64_t{1} << 53;  // longer than any row
constexpr int bits_of_tensor_scale = 24;                      // binary32's

Error bad(std::string message) { return {ExitCode::bad_data, std::move(message)}; }

/// What saturates: an overflow and an infinity become xmax with their sign.
constexpr FloatFormat saturating(FloatFormat format) {
  format.infinities = false;
  format.overflow = Overflow::largest;
  return format;
}

constexpr double smallest_positive(const FloatFormat& format) {
  return format.subnormals ? xmins(format) : xmin(format);
}

/// y = x / d rounded to the elements, saturating, times d. Dividing to binary64 first is harmless
/// where m, d times a midpoint of two elements, is always a normal binary64 number. x = m gives the
/// midpoint itself. x > m gives more: x - m is an ulp of m at least, more than 2^-53 m, and half an
/// ulp of the midpoint is at most 2^-53 of it. x < m gives less: m - x is 2^-53 m at least, and
/// half the distance from the midpoint to the number below it is less than 2^-53 of it.
void round_by_additions(const Nearest& nearest, double largest, double d, std::span<const double> x,
                        std::span<double> y) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double q = x[i] / d;
    const double magnitude = std::abs(q);
    const double a = largest < magnitude ? largest : magnitude;  // NaN stays
    constexpr std::uint64_t exponent_bits = 0x7FF0000000000000U;
    const auto binade = std::bit_cast<double>(std::bit_cast<std::uint64_t>(a) & exponent_bits);
    const double shift = (binade < nearest.xmin ? nearest.xmin : binade) * nearest.shift;
    y[i] = std::copysign((a + shift) - shift, q) * d;
  }
}

template <class T>
const T* find(const Properties& object, std::string_view key) {
  for (const Property& property : object)
    if (property.key == key) return std::get_if<T>(&property.value);
  return nullptr;
}

bool has(const Properties& object, std::string_view key) {
  return std::any_of(object.begin(), object.end(),
                     [&](const Property& property) { return property.key == key; });
}

/// A float format by name or as an object.
Result<FloatFormat> format_at(const Properties& object, std::string_view key) {
  if (const auto* format = find<FloatFormat>(object, key)) return *format;
  const auto* name = find<std::string>(object, key);
  if (name == nullptr)
    return bad(std::string(key) + (has(object, key) ? " is no float format" : " is missing") +
               "; legal: a float format, such as \"e2m1fn\", or an object {p=, emin=, emax=, ...}");
  Result<FloatFormat> format = parse_format(*name);
  if (format) return format;
  if (BlockFormat::named(*name))
    return bad(std::string(key) + ": '" + *name + "' is a block format; legal: a float format");
  return bad(std::string(key) + ": " + format.error().message);
}

Result<std::size_t> size_of(const Properties& object) {
  const auto* size = find<std::int64_t>(object, "size");
  if (size != nullptr && *size >= 1 && *size <= largest_size)
    return static_cast<std::size_t>(*size);
  return bad("size " +
             (size != nullptr ? "is " + std::to_string(*size)
                              : std::string(has(object, "size") ? "is no integer" : "is missing")) +
             "; legal: an integer, 1 to " + std::to_string(largest_size));
}

Result<TensorScale> tensor_scale_of(const Properties& object) {
  if (!has(object, "tensor_scale")) return TensorScale{};
  if (const auto* text = find<std::string>(object, "tensor_scale");
      text != nullptr && *text == "auto")
    return TensorScale{.automatic = true};
  const auto* integer = find<std::int64_t>(object, "tensor_scale");
  const auto* number = find<double>(object, "tensor_scale");
  const double given = integer != nullptr  ? static_cast<double>(*integer)
                       : number != nullptr ? *number
                                           : 0.0;
  const double rounded = round(given, binary32);
  if (rounded > 0.0 && std::isfinite(rounded)) return TensorScale{.number = rounded};
  return bad("tensor_scale; legal: \"auto\", or a number that is positive and finite in binary32");
}

/// Bits and exponents of all products of three factors; an exponent of one counts where it makes
/// the range wider, so that a product of two fits as well.
struct ProductRange {
  int bits = 0, lowest = 0, above = 0;  // multiples of 2^lowest below 2^above
  void times(int p, int last_place, int end) {
    bits += p;
    lowest += std::min(0, last_place);
    above += std::max(0, end);
  }
  [[nodiscard]] bool fits_binary64() const {
    return bits <= 53 && lowest >= -1074 && above <= 1024;
  }
};

ProductRange values_of(const BlockFormat& f) {
  ProductRange range;
  range.times(f.element.p, f.element.emin - f.element.p + 1, f.element.emax + 1);
  if (f.scale.p == 1)
    range.times(0, f.scale.emin, f.scale.emax);
  else
    range.times(f.scale.p, f.scale.emin - f.scale.p + 1, f.scale.emax + 1);
  const TensorScale& t = f.tensor_scale;
  if (t.automatic)
    range.times(bits_of_tensor_scale, -149, 128);
  else if (t.number != 1.0)
    range.times(bits_of_tensor_scale, std::max(std::ilogb(t.number) - 23, -149),
                std::ilogb(t.number) + 1);
  return range;
}

}  // namespace

std::vector<std::string_view> BlockFormat::names() {
  std::vector<std::string_view> list;
  for (const Named& row : catalog) list.push_back(row.name);
  return list;
}

std::optional<BlockFormat> BlockFormat::named(std::string_view name) {
  for (const Named& row : catalog)
    if (row.name == name) return row.format;
  return std::nullopt;
}

std::vector<std::string_view> BlockFormat::keys() {
  return {"element", "scale", "size", "tensor_scale"};
}

Result<BlockFormat> BlockFormat::of(const Properties& object) {
  const Result<FloatFormat> element = format_at(object, "element"),
                            scale = format_at(object, "scale");
  if (!element) return element.error();
  if (!scale) return scale.error();
  const Result<std::size_t> size = size_of(object);
  if (!size) return size.error();
  const Result<TensorScale> tensor_scale = tensor_scale_of(object);
  if (!tensor_scale) return tensor_scale.error();
  const BlockFormat format{
      .element = *element, .scale = *scale, .size = *size, .tensor_scale = *tensor_scale};
  if (const Result<void> checked = check_block_format(format); !checked) return checked.error();
  return format;
}

Properties BlockFormat::properties() const {
  return {{"element", element},
          {"scale", scale},
          {"size", static_cast<std::int64_t>(size)},
          {"tensor_scale", tensor_scale.automatic ? PropertyValue(std::string("auto"))
                                                  : PropertyValue(tensor_scale.number)}};
}

Properties BlockFormat::facts() const {
  const double t = tensor_scale.number;
  const std::string rule =
      scale.p == 1 ? "2^(floor(log2 M) - " + std::to_string(element.emax) + ")"
                   : "M / (" + std::string(tensor_scale == TensorScale{} ? "" : "t x ") +
                         "xmax of the element), rounded";
  return {{"element", element},
          {"scale", scale},
          {"size", static_cast<std::int64_t>(size)},
          {"tensor_scale", properties().back().value},
          {"scale_of_block", rule},
          {"element_bits", std::int64_t{code_bits(element)}},
          {"scale_bits", std::int64_t{code_bits(scale)}},
          {"least", smallest_positive(element) * smallest_positive(scale) * t},
          {"largest", xmax(element) * xmax(scale) * t}};
}

Result<void> check_block_format(const BlockFormat& f) {
  if (const Result<void> element = check_format(f.element); !element)
    return bad("element: " + element.error().message);
  if (const Result<void> scale = check_format(f.scale); !scale)
    return bad("scale: " + scale.error().message);
  if (f.element.is_unsigned || !f.element.zero)
    return bad("element: " + format_name(f.element) + " has no " +
               (f.element.is_unsigned ? "sign" : "zero") + "; legal: a format with sign and zero");
  if (f.size < 1 || f.size > static_cast<std::size_t>(largest_size))
    return bad("size must be an integer in 1.." + std::to_string(largest_size));
  if (f.scale.p == 1 && f.tensor_scale != TensorScale{})
    return bad("tensor_scale: beside the scale " + format_name(f.scale) +
               ", whose p is 1; legal: 1, or a scale with p > 1");
  if (!values_of(f).fits_binary64())
    return bad(
        "element, scale and tensor_scale: their product must be a binary64 number: bits of the "
        "significands at most 53 together (tensor_scale: 24), multiples of 2^-1074 below 2^1024");
  return {};
}

double BlockFormat::tensor_factor(double tensor) const {
  if (!tensor_scale.automatic) return tensor_scale.number;
  const double t = div(tensor, xmax(element) * xmax(scale), saturating(binary32));
  return t == 0.0 ? 1.0 : t;
}

double BlockFormat::block_scale(double largest, double factor) const {
  if (scale.p == 1) {
    constexpr int of_zeros = -127;
    const int exponent = largest == 0.0 ? of_zeros : std::ilogb(largest) - element.emax;
    return pow2(std::clamp(exponent, scale.emin, scale.emax));
  }
  const double s = largest == 0.0 ? 0.0 : div(largest, xmax(element) * factor, saturating(scale));
  return s == 0.0 ? smallest_positive(scale) : s;
}

void BlockFormat::round_row(std::span<const double> x, std::span<double> y, double tensor) const {
  const double t = tensor_factor(tensor);
  const ProductRange range = values_of(*this);  // midpoints have one bit more
  const std::optional<Nearest> nearest =
      range.bits < 53 && range.lowest > -1022 ? nearest_of(element) : std::nullopt;
  const FloatFormat to = saturating(element);
  for (std::size_t first = 0, length = 0; first < x.size(); first += length) {
    length = std::min(size, x.size() - first);
    const std::span<const double> block = x.subspan(first, length);
    const double d = block_scale(largest_magnitude(block), t) * t;
    if (nearest)
      round_by_additions(*nearest, xmax(element), d, block, y.subspan(first, length));
    else
      for (std::size_t k = 0; k < length; ++k) y[first + k] = div(block[k], d, to) * d;
  }
}

}  // namespace lamp
