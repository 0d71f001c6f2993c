// Elementary functions in binary64 by one fixed sequence of IEEE operations each (+ - * / sqrt
// fma), no libm: the same bits on every processor, vector width and compiler. Each states its error
// bound. They are Ziv's first step (elementary.hpp), the functions of p > 24 arithmetic, and what
// the metrics are computed with.
#pragma once

#include <span>

namespace lamp::binary64_functions {

double exp(double x);    // error < 1 ulp; subnormal results rounded once more
double exp2(double x);   // error < 1 ulp, exact at integers; subnormal results rounded once more
double expm1(double x);  // error < 1 ulp
double expm1_minus_x(
    double x);                // exp(x) - 1 - x without cancellation, >= 0; relative error < 2^-51
double log(double x);         // error < 1 ulp
double tanh(double x);        // error < 1 ulp
double erf(double x);         // error < 1 ulp
double rsqrt(double x);       // error < 1 ulp
double reciprocal(double x);  // 1/x correctly rounded
double gelu_tanh(double x);   // error < 1 ulp
double gelu_erf(double x);    // error < 1 ulp
double silu(double x);        // error < 1 ulp
double relu(double x);        // exact

/// Elementwise, vectorised, same bits as above; x and y have one length and may be the same memory.
void exp(std::span<const double> x, std::span<double> y);
void exp2(std::span<const double> x, std::span<double> y);
void expm1_minus_x(std::span<const double> x, std::span<double> y);
void log(std::span<const double> x, std::span<double> y);
void tanh(std::span<const double> x, std::span<double> y);
void erf(std::span<const double> x, std::span<double> y);
void rsqrt(std::span<const double> x, std::span<double> y);
void reciprocal(std::span<const double> x, std::span<double> y);
void gelu_tanh(std::span<const double> x, std::span<double> y);
void gelu_erf(std::span<const double> x, std::span<double> y);
void silu(std::span<const double> x, std::span<double> y);
void relu(std::span<const double> x, std::span<double> y);

}  // namespace lamp::binary64_functions
