// Matrix products in every kind of arithmetic, for each instruction set.
#include <array>
#include <memory>
#include <optional>

#include "core/arith/engine.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/orders/order_text.hpp"
#include "experiments/bench/operations.hpp"
#include "experiments/bench/row.hpp"
#include "experiments/commands/sample.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments::bench {
namespace {

enum class Form : std::uint8_t { whole, scores, values, one_row };

struct Kernel {
  const char* name;
  Arithmetic arithmetic;
  Operations step;  // of one multiply-accumulate in every lane
  int lane_bits = 32;
  bool wide = false;  // operands are no binary32 numbers
  Form form = Form::whole;
};

Arithmetic of(const MacSpec& mac, std::string_view order = "sequential") {
  return {.mac = mac, .order = parse_order(order).value()};
}
Arithmetic ordered(Arithmetic arithmetic, std::string_view order) {
  arithmetic.order = parse_order(order).value();
  return arithmetic;
}
Arithmetic both(const FloatFormat& f) { return of({.operands = f, .product = f, .format = f}); }
Arithmetic directed(Rounding mode) { return of({.format = ps(7), .rounding = mode}); }
Arithmetic on(const char* name, const FloatFormat& operands, const FloatFormat& format) {
  return engine_arithmetic(name, operands, format).value();
}
/// The paper's efficient mode: PS(7) once for every block, whose sum is taken in binary32.
Arithmetic blocks_of_binary32() {
  Arithmetic arithmetic = ordered(lamp_paper(7), "blocked:32");
  arithmetic.block = fused(binary32).mac;
  return arithmetic;
}

constexpr FloatFormat e4m3{.p = 4, .emin = -6, .emax = 7};

// Steps that only one row has. Where it takes operations of its own kind, the sum says so.
constexpr Operations product_and_sum = one_multiplication + one_operation;
/// Philox4x32-10's word 0, 10 rounds of two products, two xors; the counters of neighbouring lanes
/// differ in one word, so that half of round 2, 3 and 10 is left, and none of round 1. A product
/// takes two instructions (even lanes, odd lanes), its halves two more.
constexpr Operations draw = 7.5 * Operations{.all = 10, .multiplications = 4};
/// Kahan: p - e, s + y, t - s, less y. Neumaier: s + p, two magnitudes, which is larger, two
/// choices, a difference, two sums.
constexpr Operations kahan_step = one_multiplication + 4 * one_operation;
constexpr Operations neumaier_step = one_multiplication + 9 * one_operation;
/// A two-sum and what it lost, added to the errors so far, in lanes of binary64, where the products
/// of binary32 numbers are exact.
constexpr Operations exact_step = one_multiplication + 8 * one_operation;

/// A processor with AVX512-FP16 computes in binary16 as it is, in lanes of 16 bits.
bool has_binary16(std::string_view target) {
#if defined(__x86_64__) && !defined(__clang__)
  return target == "avx512" && __builtin_cpu_supports("avx512fp16") != 0;
#else
  return target.empty();
#endif
}

std::vector<Kernel> kernels(std::string_view target) {
  const bool fp16 = has_binary16(target);
  const int lanes16 = fp16 ? 16 : 32;
  return {
      {"binary32 fused", fused(binary32), binary32_step},
      {"binary32 product, sum", of({.product = binary32}), product_and_sum},
      {"ps7 via binary32", lamp_paper(7), ps_step},
      {"ps7 via binary32, product binary32",
       of({.product = binary32, .via = binary32, .format = ps(7)}), product_and_sum + round_normal},
      {"ps7 direct", fused(ps(7)), to_odd + round_integer},
      {"ps20 direct", fused(ps(20)), to_odd + round_integer},
      {"ps22 direct", fused(ps(22)), to_odd + round_integer},
      {"ps7 via binary64", of({.via = binary64, .format = ps(7)}), ps_step, 64},
      {"bfloat16 product, sum", both(bfloat16), product_and_sum + 2 * round_normal},
      {"binary16 via binary32", of({.via = binary32, .format = binary16}),
       one_multiplication + round_gradual},
      {"binary16 direct", fused(binary16), fp16 ? one_multiplication : to_odd + round_gradual,
       lanes16},
      {"binary16 product, sum", both(binary16),
       fp16 ? product_and_sum : product_and_sum + 2 * round_gradual, lanes16},
      {"e4m3 direct", fused(e4m3), to_odd + round_gradual},
      {"e4m3fn product, sum", both(e4m3fn), product_and_sum + 2 * round_gradual},
      {"binary64 fused", fused(binary64), one_multiplication, 64},
      {"binary64 fused, wide operands", fused(binary64), one_multiplication, 64, true},
      {"ps7 via binary32, wide operands", lamp_paper(7), to_odd + 2 * round_normal, 64, true},
      {"binary32 fused, wide operands", fused(binary32), to_odd + round_normal, 64, true},
      {"binary16 direct, wide operands", fused(binary16), to_odd + round_gradual, 64, true},
      // Rounded as the processor does it, then cut; a bit that stands for what was cut, or half a
      // unit, where the mode looks at it.
      {"ps7 direct RTZ", directed(Rounding::rtz), one_multiplication + one_operation},
      {"ps7 direct RTP", directed(Rounding::rtp), one_multiplication + 4 * one_operation},
      {"ps7 direct RTN", directed(Rounding::rtn), one_multiplication + 4 * one_operation},
      {"ps7 direct RTO", directed(Rounding::rto), to_odd + 3 * one_operation},
      {"ps7 direct RNA", directed(Rounding::rna), to_odd + 2 * one_operation},
      {"ps7 direct SR", directed(Rounding::sr), draw + to_odd + 2 * one_operation},
      {"ps7 blocked:32 of binary32", blocks_of_binary32(),
       binary32_step + 1.0 / 32 * (one_operation + round_normal)},
      {"ps7 blocked:32", ordered(lamp_paper(7), "blocked:32"),
       ps_step + 1.0 / 32 * (one_operation + round_normal)},
      {"ps7 split:4", ordered(lamp_paper(7), "split:4"), ps_step},
      {"ps7 lanes:16", ordered(lamp_paper(7), "lanes:16"), ps_step},
      {"ps7 pairwise:8", ordered(lamp_paper(7), "pairwise:8"),
       ps_step + 1.0 / 8 * (one_operation + round_normal)},
      {"ps7 numpy-sum:8192",
       ordered(of({.product = binary32, .via = binary32, .format = ps(7)}), "numpy-sum:8192"),
       product_and_sum + 2 * round_normal},
      {"binary32 numpy-sum:8192", ordered(of({.product = binary32}), "numpy-sum:8192"),
       product_and_sum},
      {"binary32 kahan", ordered(fused(binary32), "kahan"), kahan_step},
      {"binary32 neumaier", ordered(fused(binary32), "neumaier"), neumaier_step},
      {"ps7 kahan", ordered(lamp_paper(7), "kahan"), kahan_step + 5 * round_integer},
      {"ps7 neumaier", ordered(lamp_paper(7), "neumaier"), neumaier_step + 5 * round_integer},
      {"binary32 exact", ordered(fused(binary32), "exact"), exact_step, 64},
      {"v100 binary16", on("v100", binary16, binary32), engine_step(4)},
      {"a100 binary16", on("a100", binary16, binary32), engine_step(8)},
      {"a100 tf32", on("a100", tf32, binary32), engine_step(4)},
      {"h100 binary16", on("h100", binary16, binary32), engine_step(16)},
      {"h100 bfloat16", on("h100", bfloat16, binary32), engine_step(16)},
      {"h100 tf32", on("h100", tf32, binary32), engine_step(8)},
      {"h100 binary16 to binary16", on("h100", binary16, binary16), engine_step(16)},
      {"ada e4m3fn", on("ada", e4m3fn, binary32), engine_step(16)},
      {"h100 e4m3fn", on("h100", e4m3fn, binary32), engine_step(32)},
      {"h100 e5m2 to binary16", on("h100", e5m2, binary16), engine_step(32)},
      {"b200 e5m2", on("b200", e5m2, binary32), engine_step(32)},
      {"binary32 fused, scores", fused(binary32), binary32_step, 32, false, Form::scores},
      {"ps7 via binary32, scores", lamp_paper(7), ps_step, 32, false, Form::scores},
      {"h100 binary16, scores", on("h100", binary16, binary32), engine_step(16), 32, false,
       Form::scores},
      {"binary32 fused, values", fused(binary32), binary32_step, 32, false, Form::values},
      {"ps7 via binary32, values", lamp_paper(7), ps_step, 32, false, Form::values},
      {"h100 binary16, values", on("h100", binary16, binary32), engine_step(16), 32, false,
       Form::values},
      {"binary32 fused, one row", fused(binary32), binary32_step, 32, false, Form::one_row},
      {"ps7 via binary32, one row", lamp_paper(7), ps_step, 32, false, Form::one_row},
      {"h100 binary16, one row", on("h100", binary16, binary32), engine_step(16), 32, false,
       Form::one_row},
  };
}

struct Size {
  std::size_t m, k, n;
};

Size size_of(Form form) {
  switch (form) {
    case Form::whole:
      return {256, 768, 768};
    case Form::scores:
      return {256, 64, 256};
    case Form::values:
      return {256, 256, 64};
    case Form::one_row:
      return {1, 768, 3072};
  }
  contract_violated("size_of: a known form");
}

/// A product with everything that it needs.
struct Product {
  Product(const Kernel& kernel, Backend backend_, Size size)
      : arithmetic(kernel.arithmetic),
        backend(backend_),
        a(size.m, size.k),
        b(size.k, size.n),
        out(size.m, size.n) {
    RandomNumbers random(1);
    for (Matrix<double>* matrix : {&a, &b})
      for (double& value : matrix->flat()) {
        const double x = random();
        value = kernel.wide ? x : static_cast<double>(static_cast<float>(x));
      }
    if (kernel.form == Form::scores) shape = Shape::lower_output;
    if (kernel.form == Form::values) shape = Shape::lower_operand;
    // Weights are packed once; keys and values with every product.
    if (shape == Shape::full) packed.emplace(std::as_const(b).view());
  }
  void run() {
    const MatrixView<const double> left = std::as_const(a).view();
    if (packed)
      evaluation = gemm(arithmetic, left, *packed, out.view(), shape, backend);
    else
      evaluation = gemm(arithmetic, left, std::as_const(b).view(), out.view(), shape, backend);
  }
  [[nodiscard]] double macs() const {
    double macs = 0.0;
    for (std::size_t i = 0; i < a.rows(); ++i)
      macs += static_cast<double>(shape.terms(i, a.cols()) * shape.columns(i, b.cols()));
    return macs;
  }

  Arithmetic arithmetic;
  Backend backend;
  Matrix<double> a, b, out;
  Shape shape = Shape::full;
  std::optional<PackedMatrix> packed{};
  Evaluation evaluation{};
};

/// The largest of three sizes that takes some hundredths of a second; of products that are no whole
/// ones there is one.
std::shared_ptr<Product> fitting(const Kernel& kernel, Backend backend) {
  struct Step {
    Size size;
    double most_ns;  // a multiply-accumulate, for the next size
  };
  constexpr std::array smaller{Step{{4, 128, 64}, 10.0}, Step{{32, 256, 256}, 0.5}};
  if (kernel.form == Form::whole)
    for (const Step& step : smaller) {
      auto product = std::make_shared<Product>(kernel, backend, step.size);
      product->run();  // cold caches, fresh memory
      const double ns = 1e9 * seconds_of([&] { product->run(); }) / product->macs();
      if (ns > step.most_ns) return product;
    }
  return std::make_shared<Product>(kernel, backend, size_of(kernel.form));
}

std::string shape_text(const Product& product) {
  const auto times = " x ";
  return std::to_string(product.a.rows()) + times + std::to_string(product.a.cols()) + times +
         std::to_string(product.b.cols());
}

}  // namespace

std::vector<Row> gemm_rows(const std::vector<std::string>& targets) {
  std::vector<Row> rows;
  for (const std::string& target : targets) {
    const Backend backend = value_in(backend_names, target).value();
    for (const Kernel& kernel : kernels(target))
      rows.push_back({.group = Group::gemm,
                      .name = kernel.name,
                      .target = target,
                      .bound = {.operations = kernel.step,
                                .lane_bits = kernel.lane_bits,
                                // No row shares the reading of weights, which are binary32 numbers.
                                .bytes = kernel.form == Form::one_row ? sizeof(float) : 0.0},
                      .prepare = [=] {
                        const std::shared_ptr<Product> product = fitting(kernel, backend);
                        product->run();
                        return Work{
                            .units = product->macs(),
                            .run = [=] { product->run(); },
                            .detail = shape_text(*product) + ", " +
                                      std::string(name_in(evaluation_names, product->evaluation))};
                      }});
  }
  return rows;
}

}  // namespace lamp::experiments::bench
