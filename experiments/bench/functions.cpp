#include "experiments/bench/functions.hpp"

#include <cmath>
#include <memory>

#include "core/fp/binary64-inl.hpp"
#include "experiments/bench/operations.hpp"
#include "experiments/commands/sample.hpp"

// In the namespace of the templates, which find these operations by their arguments.
namespace lamp::HWY_NAMESPACE {
namespace {

using experiments::bench::Operations;

/// Of the evaluation that runs.
Operations counted;  // NOLINT: one thread counts

struct CountedMask {
  bool value;
};
struct CountedBits {
  Bits64 value;
  CountedBits(Bits64 x) : value(x) {}  // NOLINT: implicit, as Vector's
};
struct Counted {
  double value;
  Counted(double x) : value(x) {}  // NOLINT: implicit, as Vector's
};

template <class T>
T simple(T value) {
  counted.all += 1;
  return value;
}
Counted multiplied(double value) {
  counted.multiplications += 1;
  return simple<Counted>(value);
}
Counted divided(double value) {
  counted.divisions += 1;
  return simple<Counted>(value);
}

Counted operator+(Counted a, Counted b) { return simple<Counted>(a.value + b.value); }
Counted operator-(Counted a, Counted b) { return simple<Counted>(a.value - b.value); }
Counted operator*(Counted a, Counted b) { return multiplied(a.value * b.value); }
Counted operator/(Counted a, Counted b) { return divided(a.value / b.value); }
Counted operator-(Counted a) { return -a.value; }  // part of the multiply-add that it stands in
CountedMask operator<(Counted a, Counted b) { return simple<CountedMask>({a.value < b.value}); }
CountedMask operator>(Counted a, Counted b) { return simple<CountedMask>({a.value > b.value}); }
CountedBits operator+(CountedBits a, CountedBits b) {
  return simple<CountedBits>(a.value + b.value);
}
CountedBits operator-(CountedBits a, CountedBits b) {
  return simple<CountedBits>(a.value - b.value);
}
CountedBits operator&(CountedBits a, CountedBits b) {
  return simple<CountedBits>(a.value & b.value);
}
CountedBits operator|(CountedBits a, CountedBits b) { return a.value | b.value; }  // one with an &

Counted mul_add(Counted a, Counted b, Counted c) {
  return multiplied(std::fma(a.value, b.value, c.value));
}
Counted square_root(Counted a) { return divided(std::sqrt(a.value)); }
Counted select(CountedMask mask, Counted yes, Counted no) {
  return simple<Counted>(mask.value ? yes.value : no.value);
}
CountedBits bits(Counted a) { return std::bit_cast<Bits64>(a.value); }
Counted from_bits(CountedBits a) { return std::bit_cast<double>(a.value); }
template <int n>
CountedBits shift_left(CountedBits a) {
  return simple<CountedBits>(a.value << n);
}
template <int n>
CountedBits shift_right(CountedBits a) {
  return simple<CountedBits>(a.value >> n);
}
/// Each number of a row counts once.
struct CountedRow {
  const double* column;
  Counted operator[](std::size_t i) const { return simple<Counted>(column[i]); }
};
template <std::size_t n>
CountedRow lookup_row(const double* table, CountedBits start) {
  return {table + start.value};
}

void evaluate_counting(Function f, Counted x) {
  switch (f) {
    case Function::exp:
      return void(exp(x));
    case Function::exp2:
      return void(exp2(x));
    case Function::log:
      return void(log(x));
    case Function::tanh:
      return void(tanh(x));
    case Function::erf:
      return void(erf(x));
    case Function::rsqrt:
      return void(rsqrt(x));
    case Function::reciprocal:
      return void(reciprocal(x));
    case Function::gelu_tanh:
      return void(gelu_tanh(x));
    case Function::gelu_erf:
      return void(gelu_erf(x));
    case Function::silu:
      return void(silu(x));
    case Function::relu:
      return void(relu(x));
  }
  contract_violated("evaluate_counting: a known function");
}

}  // namespace
}  // namespace lamp::HWY_NAMESPACE

namespace lamp::experiments::bench {

Operations function_operations(Function f) {
  lamp::HWY_NAMESPACE::counted = {};
  lamp::HWY_NAMESPACE::evaluate_counting(f, 1.5);
  return lamp::HWY_NAMESPACE::counted;
}

std::vector<Row> function_rows(const std::string& target) {
  struct To {
    const char* name;
    FloatFormat format;
    Rounding mode;
    Operations rounding;  // of the first step (core/fp/elementary.cpp), with the test whether it is
                          // sure
  };
  constexpr Operations nearest{.all = 15, .multiplications = 3};
  const To formats[] = {{"binary64", binary64, Rounding::rne, {}},
                        {"binary32", binary32, Rounding::rne, nearest},
                        {"bfloat16", bfloat16, Rounding::rne, nearest},
                        {"binary32 RTZ", binary32, Rounding::rtz, nearest}};
  std::vector<Row> rows;
  for (const auto& [name, f] : functions)
    for (const To& to : formats)
      rows.push_back({.group = Group::functions,
                      .name = std::string(name) + ", " + to.name,
                      .target = target,
                      .bound = {.operations = function_operations(f) + to.rounding,
                                .lane_bits = 64,
                                .bytes = sizeof(double)},
                      .prepare = [f = f, to] {
                        RandomNumbers random(1);
                        const auto x = std::make_shared<std::vector<double>>(4096);
                        const auto y = std::make_shared<std::vector<double>>(x->size());
                        const bool positive = f == Function::log || f == Function::rsqrt;
                        for (double& value : *x) {
                          value = static_cast<double>(static_cast<float>(4.0 * random()));
                          if (positive) value = std::fabs(value);
                        }
                        return Work{.units = static_cast<double>(x->size()),
                                    .run = [=] { evaluate(f, *x, *y, to.format, to.mode); }};
                      }});
  return rows;
}

}  // namespace lamp::experiments::bench
