#include "core/fp/eighths.hpp"

#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

void round_row(const Eighths& system, std::span<const double> x, std::span<double> y, double) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    Number value = Number::exactly(x[i]);
    mpfr_mul_ui(value.get(), value.get(), 8, MPFR_RNDN);
    mpfr_rint(value.get(), value.get(), MPFR_RNDN);
    mpfr_div_ui(value.get(), value.get(), 8, MPFR_RNDN);
    const Number largest = Number::exactly(system.largest);
    if (mpfr_cmpabs(value.get(), largest.get()) > 0)
      mpfr_setsign(value.get(), largest.get(), mpfr_signbit(value.get()), MPFR_RNDN);
    y[i] = mpfr_get_d(value.get(), MPFR_RNDN);
  }
}

}  // namespace lamp::mpfr
