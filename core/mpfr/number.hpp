// MPFR numbers with an owner, and the exponent range of this thread with one.
#pragma once

#include <mpfr.h>

#include <utility>

namespace lamp::mpfr {

/// One MPFR number of a fixed precision (bits). Boost's mpfr_float does not serve here: its
/// precision counts decimal digits (Boost 1.74 makes 51 bits of a wish for 53), and the default of
/// new numbers is one for the whole process, threads included. Exact integers are Boost's mpz_int.
/// A number that was moved from may be assigned to or
/// destroyed, nothing else.
class Number {
 public:
  Number() : Number(MPFR_PREC_MIN) {}  // NaN, to be moved to
  explicit Number(mpfr_prec_t precision) { mpfr_init2(value_, precision); }
  /// Exactly x.
  static Number exactly(double x) { return Number(53, x); }
  Number(Number&& other) noexcept : value_{other.value_[0]} { other.value_[0]._mpfr_d = nullptr; }
  Number& operator=(Number&& other) noexcept {
    std::swap(value_[0], other.value_[0]);
    return *this;
  }
  ~Number() {
    if (value_[0]._mpfr_d != nullptr) mpfr_clear(value_);
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;

  mpfr_ptr get() { return value_; }
  [[nodiscard]] mpfr_srcptr get() const { return value_; }

 private:
  Number(mpfr_prec_t precision, double x) : Number(precision) { mpfr_set_d(value_, x, MPFR_RNDN); }
  mpfr_t value_;
};

/// Before MPFR's functions are called: the constants and the memory that they keep for this thread
/// go with it.
inline void free_cache_with_thread() {
  struct Cache {
    ~Cache() { mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE); }
  };
  static thread_local const Cache cache;
}

/// Sets the exponent range of this thread (significands in [1/2, 1)); the destructor restores what
/// was there.
class ExponentRange {
 public:
  ExponentRange(mpfr_exp_t emin, mpfr_exp_t emax) : emin_(mpfr_get_emin()), emax_(mpfr_get_emax()) {
    mpfr_set_emin(emin);
    mpfr_set_emax(emax);
  }
  ~ExponentRange() {
    mpfr_set_emin(emin_);
    mpfr_set_emax(emax_);
  }
  ExponentRange(const ExponentRange&) = delete;
  ExponentRange& operator=(const ExponentRange&) = delete;

  /// MPFR's own, beyond +-2^61.
  static ExponentRange widest_of_all() { return {mpfr_get_emin_min(), mpfr_get_emax_max()}; }
  /// No format comes near it: as good as unbounded.
  static ExponentRange wide() { return {-widest, widest}; }
  static constexpr mpfr_exp_t widest = (mpfr_exp_t{1} << 40) - 1;

 private:
  mpfr_exp_t emin_;
  mpfr_exp_t emax_;
};

}  // namespace lamp::mpfr
