#include "core/model/ops/rope_table.hpp"

#include <bit>
#include <boost/math/constants/constants.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/base/contract.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {
namespace {

namespace mp = boost::multiprecision;
constexpr int wide_bits = 256;
using Wide =
    mp::number<mp::cpp_bin_float<wide_bits, mp::digit_base_2, void, std::int32_t>, mp::et_off>;

/// Positions of up to 2^24 multiply the error of an angle, below 2^-240, and rotations add 2^-253
/// each: what is computed is within 2^-210 of cosine or sine.
constexpr int error_exponent = -210;

Wide frequency(const Rope& rope, std::size_t j, std::size_t d) {
  Wide f = exp(Wide(-2.0 * static_cast<double>(j)) / Wide(static_cast<double>(d)) *
               log(Wide(rope.theta)));
  if (!rope.scaling) return f;
  const Rope::Llama3& s = *rope.scaling;
  const Wide wavelength = boost::math::constants::two_pi<Wide>() / f;
  const Wide waves = Wide(s.positions) / wavelength;  // in the original positions
  if (waves > Wide(s.high)) return f;
  if (waves < Wide(s.low)) return f / Wide(s.factor);
  const Wide share = (waves - Wide(s.low)) / (Wide(s.high) - Wide(s.low));
  return (1 - share) * f / Wide(s.factor) + share * f;
}

struct HighLow {
  double high, low;
};

/// Pre: x is 0, or the cosine or sine of an angle that is not.
HighLow split(const Wide& x) {
  const auto high = x.convert_to<double>();
  const Wide rest = x - Wide(high);
  if (rest == 0) return {high, 0.0};
  const Wide doubt = mp::ldexp(Wide(1), error_exponent);
  const Wide half_ulp = mp::ldexp(Wide(1), std::ilogb(high) - 53);
  expects(mp::abs(rest) > doubt && mp::abs(mp::abs(rest) - half_ulp) > doubt &&
              mp::abs(mp::abs(rest) - half_ulp / 2) > doubt,
          "RopeTable: no cosine lies so near to a number of 54 bits");
  auto low = rest.convert_to<double>();
  if (Wide(low) != rest) {  // to odd: toward zero, then the last bit set
    if (mp::abs(Wide(low)) > mp::abs(rest)) low = std::nextafter(low, 0.0);
    low = std::bit_cast<double>(std::bit_cast<std::uint64_t>(low) | 1);
  }
  return {high, low};
}

}  // namespace

struct RopeTable::State {
  Rope rope{};
  std::size_t d = 0, rows = 0;
  std::vector<Wide> cos_1, sin_1;       // of position 1
  std::vector<Wide> cos_t, sin_t;       // of position `rows`
  std::vector<HighLow> cosines, sines;  // (rows, d/2)
};

RopeTable::RopeTable() : state_(std::make_unique<State>()) {}
RopeTable::~RopeTable() = default;

void RopeTable::assign(const Rope& rope, std::size_t d, std::size_t rows) {
  expects(d % 2 == 0 && rows <= (std::size_t{1} << 24),
          "RopeTable: even d, at most 2^24 positions");
  State& s = *state_;
  const std::size_t half = d / 2;
  if (s.d != d || !(s.rope == rope)) {
    s = State{};
    s.rope = rope, s.d = d;
    for (std::size_t j = 0; j < half; ++j) {
      const Wide f = frequency(rope, j, d);
      s.cos_1.push_back(cos(f)), s.sin_1.push_back(sin(f));
      s.cos_t.emplace_back(1), s.sin_t.emplace_back(0);
    }
  }
  for (; s.rows < rows; ++s.rows)
    for (std::size_t j = 0; j < half; ++j) {
      Wide &c = s.cos_t[j], &n = s.sin_t[j];
      s.cosines.push_back(split(c)), s.sines.push_back(split(n));
      const Wide next = c * s.cos_1[j] - n * s.sin_1[j];
      n = n * s.cos_1[j] + c * s.sin_1[j];
      c = next;
    }
}

void RopeTable::round(std::size_t position, const FloatFormat& format, std::span<double> cosines,
                      std::span<double> sines) const {
  const std::size_t half = state_->d / 2, first = position * half;
  expects(position < state_->rows && cosines.size() == half && sines.size() == half,
          "RopeTable: a position of the table");
  const bool is_binary64 = format == binary64;
  for (std::size_t j = 0; j < half; ++j) {
    const HighLow &c = state_->cosines[first + j], &s = state_->sines[first + j];
    cosines[j] = is_binary64 ? c.high : add(c.high, c.low, format);
    sines[j] = is_binary64 ? s.high : add(s.high, s.low, format);
  }
}

}  // namespace lamp
