// The rounding modes and THE rounding routine: every fast scalar operation forms its exact result
// (or enough of it, with a sticky bit) and rounds it here, once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/names.hpp"
#include "core/fp/format.hpp"

namespace lamp {

enum class Rounding : std::uint8_t { rne, rna, rtz, rtp, rtn, rto, sr, sre };

inline constexpr std::array<NamedValue<Rounding>, 8> rounding_names{{{"RNE", Rounding::rne},
                                                                     {"RNA", Rounding::rna},
                                                                     {"RTZ", Rounding::rtz},
                                                                     {"RTP", Rounding::rtp},
                                                                     {"RTN", Rounding::rtn},
                                                                     {"RTO", Rounding::rto},
                                                                     {"SR", Rounding::sr},
                                                                     {"SRE", Rounding::sre}}};
static_assert(names_all(rounding_names));

constexpr std::string_view rounding_name(Rounding mode) { return name_in(rounding_names, mode); }
constexpr std::optional<Rounding> parse_rounding(std::string_view name) {
  return value_in(rounding_names, name);
}

/// Whether the mode rounds by a draw.
constexpr bool is_stochastic(Rounding mode) {
  return mode == Rounding::sr || mode == Rounding::sre;
}

/// What a stochastic rounding draws: SR compares R, the top `bits` bits of `word`, with the
/// discarded fraction; SRE takes its top bit.
struct Draw {
  std::uint32_t word = 0;
  int bits = 32;  // r, 1..32
};

/// x rounded to `format` by `mode`: overflow, subnormals, signed zero, NaN as the format says
/// (README.md). Pre: fits_binary64(format); mode is deterministic.
double round(double x, const FloatFormat& format, Rounding mode = Rounding::rne);

/// One correctly rounded operation on the exact operands. NaN in, NaN out; invalid operations give
/// NaN. Pre: as for round.
double add(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double sub(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double mul(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double div(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode = Rounding::rne);
double sqrt(double a, const FloatFormat& format, Rounding mode = Rounding::rne);

/// The same in any mode. SR: away from zero iff R + floor(2^r f) >= 2^r, f the exact discarded
/// fraction of the spacing: of all 2^r draws floor(2^r f) round away. SRE: away iff f is not 0 and
/// the top bit is set. Deterministic modes do not look at the draw. Pre: fits_binary64(format), 1
/// <= draw.bits <= 32.
double round(double x, const FloatFormat& format, Rounding mode, Draw draw);
double add(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double sub(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double mul(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double div(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode, Draw draw);
double sqrt(double a, const FloatFormat& format, Rounding mode, Draw draw);

/// Whether x is a number of the format (zeros, infinities and NaN count where the format has them).
bool representable(double x, const FloatFormat& format);

}  // namespace lamp
