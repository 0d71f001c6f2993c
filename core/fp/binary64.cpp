#include "core/fp/binary64.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/fp/binary64.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include "core/base/contract.hpp"
#include "core/fp/binary64-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

// One number: dispatched too, for where the baseline has no fused multiply-add, std::fma is a call.
double exp_number(double x) { return exp(x); }
double exp2_number(double x) { return exp2(x); }
double expm1_number(double x) { return expm1(x); }
double expm1_minus_x_number(double x) { return expm1_minus_x(x); }
double log_number(double x) { return log(x); }
double tanh_number(double x) { return tanh(x); }
double erf_number(double x) { return erf(x); }
double rsqrt_number(double x) { return rsqrt(x); }
double reciprocal_number(double x) { return reciprocal(x); }
double gelu_tanh_number(double x) { return gelu_tanh(x); }
double gelu_erf_number(double x) { return gelu_erf(x); }
double silu_number(double x) { return silu(x); }
double relu_number(double x) { return relu(x); }

using In = std::span<const double>;
using Out = std::span<double>;

void exp_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return exp(v); });
}
void exp2_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return exp2(v); });
}
void expm1_minus_x_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return expm1_minus_x(v); });
}
void log_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return log(v); });
}
void tanh_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return tanh(v); });
}
void erf_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return erf(v); });
}
void rsqrt_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return rsqrt(v); });
}
void reciprocal_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return reciprocal(v); });
}
void gelu_tanh_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return gelu_tanh(v); });
}
void gelu_erf_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return gelu_erf(v); });
}
void silu_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return silu(v); });
}
void relu_span(In x, Out y) {
  map(x, y, [](auto v) HWY_ATTR { return relu(v); });
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(exp_number);
HWY_EXPORT(exp2_number);
HWY_EXPORT(expm1_number);
HWY_EXPORT(expm1_minus_x_number);
HWY_EXPORT(log_number);
HWY_EXPORT(tanh_number);
HWY_EXPORT(erf_number);
HWY_EXPORT(rsqrt_number);
HWY_EXPORT(reciprocal_number);
HWY_EXPORT(gelu_tanh_number);
HWY_EXPORT(gelu_erf_number);
HWY_EXPORT(silu_number);
HWY_EXPORT(relu_number);
HWY_EXPORT(exp_span);
HWY_EXPORT(exp2_span);
HWY_EXPORT(expm1_minus_x_span);
HWY_EXPORT(log_span);
HWY_EXPORT(tanh_span);
HWY_EXPORT(erf_span);
HWY_EXPORT(rsqrt_span);
HWY_EXPORT(reciprocal_span);
HWY_EXPORT(gelu_tanh_span);
HWY_EXPORT(gelu_erf_span);
HWY_EXPORT(silu_span);
HWY_EXPORT(relu_span);

namespace binary64_functions {

double exp(double x) { return HWY_DYNAMIC_DISPATCH(exp_number)(x); }
double exp2(double x) { return HWY_DYNAMIC_DISPATCH(exp2_number)(x); }
double expm1(double x) { return HWY_DYNAMIC_DISPATCH(expm1_number)(x); }
double expm1_minus_x(double x) { return HWY_DYNAMIC_DISPATCH(expm1_minus_x_number)(x); }
double log(double x) { return HWY_DYNAMIC_DISPATCH(log_number)(x); }
double tanh(double x) { return HWY_DYNAMIC_DISPATCH(tanh_number)(x); }
double erf(double x) { return HWY_DYNAMIC_DISPATCH(erf_number)(x); }
double rsqrt(double x) { return HWY_DYNAMIC_DISPATCH(rsqrt_number)(x); }
double reciprocal(double x) { return HWY_DYNAMIC_DISPATCH(reciprocal_number)(x); }
double gelu_tanh(double x) { return HWY_DYNAMIC_DISPATCH(gelu_tanh_number)(x); }
double gelu_erf(double x) { return HWY_DYNAMIC_DISPATCH(gelu_erf_number)(x); }
double silu(double x) { return HWY_DYNAMIC_DISPATCH(silu_number)(x); }
double relu(double x) { return HWY_DYNAMIC_DISPATCH(relu_number)(x); }

void exp(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "exp: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(exp_span)(x, y);
}

void exp2(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "exp2: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(exp2_span)(x, y);
}

void expm1_minus_x(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "expm1_minus_x: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(expm1_minus_x_span)(x, y);
}

void log(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "log: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(log_span)(x, y);
}

void tanh(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "tanh: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(tanh_span)(x, y);
}

void erf(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "erf: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(erf_span)(x, y);
}

void rsqrt(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "rsqrt: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(rsqrt_span)(x, y);
}

void reciprocal(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "reciprocal: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(reciprocal_span)(x, y);
}

void gelu_tanh(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "gelu_tanh: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(gelu_tanh_span)(x, y);
}

void gelu_erf(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "gelu_erf: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(gelu_erf_span)(x, y);
}

void silu(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "silu: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(silu_span)(x, y);
}

void relu(std::span<const double> x, std::span<double> y) {
  expects(x.size() == y.size(), "relu: x.size() == y.size()");
  HWY_DYNAMIC_DISPATCH(relu_span)(x, y);
}

}  // namespace binary64_functions
}  // namespace lamp
#endif  // HWY_ONCE
