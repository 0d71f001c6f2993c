// What everything else is measured against: the rates of vector ports, copies of memory, OpenBLAS
// and MPFR.
#include <cblas.h>
#include <mpfr.h>

#include <cstring>
#include <memory>

#include "core/mpfr/arithmetic.hpp"
#include "experiments/bench/rates.hpp"
#include "experiments/bench/row.hpp"
#include "experiments/commands/sample.hpp"

namespace lamp::experiments::bench {
namespace {

Row rate(std::string_view name, const std::string& target, double per_turn,
         float (*loop)(std::size_t)) {
  constexpr std::size_t turns = 4096;
  return {.group = Group::machine,
          .name = std::string(name),
          .target = target,
          .bound = {},
          .prepare = [=] {
            const auto sink = std::make_shared<float>();
            return Work{.units = per_turn * turns,
                        .run = [=] { *static_cast<volatile float*>(sink.get()) = loop(turns); }};
          }};
}

/// Units are bytes copied: each is read once and written once.
Row copy(std::string_view name, std::size_t bytes) {
  return {.group = Group::machine,
          .name = std::string(name),
          .target = "libc",
          .bound = {},
          .prepare = [=] {
            const auto from = std::make_shared<std::vector<std::byte>>(bytes, std::byte{1});
            const auto to = std::make_shared<std::vector<std::byte>>(bytes, std::byte{2});
            return Work{.units = static_cast<double>(bytes),
                        .run = [=] { std::memcpy(to->data(), from->data(), bytes); }};
          }};
}

Work sgemm_work() {
  constexpr int m = 256, k = 768, n = 768;
  RandomNumbers random(1);
  const auto filled = [&](int rows, int cols) {
    std::vector<float> x(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
    for (float& value : x) value = static_cast<float>(random());
    return std::make_shared<std::vector<float>>(std::move(x));
  };
  const auto a = filled(m, k), b = filled(k, n), c = filled(m, n);
  return {.units = static_cast<double>(m) * k * n, .run = [=] {
            openblas_set_num_threads(1);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0F, a->data(), k,
                        b->data(), n, 0.0F, c->data(), n);
          }};
}

/// A multiply-accumulate of MPFR by itself, without formats and orders around it.
Work mpfr_step_work() {
  struct Numbers {
    Numbers() {
      for (mpfr_t* x : {&a, &b, &c}) mpfr_init2(*x, 24), mpfr_set_d(*x, 0.75, MPFR_RNDN);
    }
    Numbers(const Numbers&) = delete;
    Numbers& operator=(const Numbers&) = delete;
    ~Numbers() {
      for (mpfr_t* x : {&a, &b, &c}) mpfr_clear(*x);
    }
    mpfr_t a, b, c;
  };
  constexpr std::size_t steps = 1000;
  const auto x = std::make_shared<Numbers>();
  return {.units = steps, .run = [=] {
            for (std::size_t k = 0; k < steps; ++k) mpfr_fma(x->c, x->a, x->c, x->b, MPFR_RNDN);
          }};
}

/// Our second implementation.
Work mpfr_gemm_work() {
  constexpr std::size_t m = 4, k = 128, n = 16;
  RandomNumbers random(1);
  const auto filled = [&](std::size_t rows, std::size_t cols) {
    Matrix<double> x(rows, cols);
    for (double& value : x.flat()) value = static_cast<double>(static_cast<float>(random()));
    return std::make_shared<Matrix<double>>(std::move(x));
  };
  const auto a = filled(m, k), b = filled(k, n), out = filled(m, n);
  return {.units = static_cast<double>(m * k * n), .run = [=] {
            mpfr::gemm(lamp_paper(7), std::as_const(*a).view(), std::as_const(*b).view(),
                       out->view());
          }};
}

}  // namespace

std::vector<Row> machine_rows(const std::vector<std::string>& targets) {
  std::vector<Row> rows;
  for (const std::string& target : targets) {
    const RateLoops loops = rate_loops(target);
    rows.push_back(rate(any_operation, target, loops.per_any, loops.any));
    rows.push_back(rate(multiplication, target, loops.per_multiplication, loops.multiplications));
    rows.push_back(rate(division_32, target, loops.per_division, loops.divisions_32));
    rows.push_back(rate(division_64, target, loops.per_division, loops.divisions_64));
  }
  rows.push_back(copy(copy_near, std::size_t{384} << 10));
  rows.push_back(copy(copy_far, std::size_t{64} << 20));
  const auto library = [&](std::string_view name, std::string_view target, Work (*work)()) {
    rows.push_back({.group = Group::machine,
                    .name = std::string(name),
                    .target = std::string(target),
                    .bound = {},
                    .prepare = work});
  };
  library(sgemm, openblas_get_corename(), sgemm_work);
  library(mpfr_step, "libmpfr", mpfr_step_work);
  library(mpfr_gemm, "libmpfr", mpfr_gemm_work);
  return rows;
}

}  // namespace lamp::experiments::bench
