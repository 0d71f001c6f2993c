// How products are evaluated: the decision that is printed is the one that gemm takes, for every
// kind of arithmetic; and what it is for those that this folder's README names.
#include "core/arith/gemm/evaluation.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "tests/core/arith/ordered_sums.hpp"

namespace lamp {
namespace {

using test::in_order;
using test::Random;

std::vector<Backend> backends() {
  std::vector<Backend> list{Backend::automatic, Backend::scalar};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) list.push_back(backend);
  return list;
}

std::vector<Arithmetic> arithmetics() {
  std::vector<Arithmetic> list;
  Random random(3);
  for (const MacSpec& mac : test::specs)
    for (const std::string& text : test::order_texts(random, 12))
      list.push_back(in_order(text, mac));
  for (const MacSpec& block : {MacSpec{}, MacSpec{.format = binary64}})
    list.push_back(in_order("blocked:4", lamp_paper(7).mac, block));
  for (const Rounding mode : {Rounding::sr, Rounding::sre})
    list.push_back({.mac = {.format = ps(7), .rounding = mode}, .order = {}});
  for (const Engine& engine : engines())
    for (const EngineMode& mode : engine.modes) {
      list.push_back(engine_arithmetic(engine.name, mode.operands, mode.format).value());
      list.push_back(list.back());
      list.back().order = SplitEngine{mode.step, 2};
    }
  return list;
}

Matrix<double> matrix(Random& random, std::size_t rows, std::size_t cols) {
  Matrix<double> x(rows, cols);
  for (double& value : x.flat()) value = random.with_exponent(-3, 3, 10);
  return x;
}

std::string name(Evaluation evaluation) {
  return std::string(name_in(evaluation_names, evaluation));
}

}  // namespace

TEST_CASE("evaluation: gemm takes the decision that evaluation_of tells", "[arith][gemm]") {
  Random random(4);
  std::vector<int> seen(evaluation_names.size());
  for (const Arithmetic& arithmetic : arithmetics())
    for (const std::size_t rows : {0U, 1U, 9U})
      for (const std::size_t terms : {0U, 12U}) {
        if (!check_length(arithmetic.order, terms)) continue;
        for (const bool binary32_numbers : {true, false}) {
          Matrix<double> a = matrix(random, rows, terms), b = matrix(random, terms, 35);
          const bool there = rows > 0 && terms > 0;
          if (!binary32_numbers && there && rows == 1) a(0, terms - 1) = 1 + 0x1p-30;
          if (!binary32_numbers && there && rows > 1) b(0, 34) = 1 + 0x1p-30;
          // Rounded operands are binary32 numbers whatever they were.
          const bool fits =
              binary32_numbers || !there || arithmetic.mac.operands || arithmetic.steps().operands;
          for (const Backend backend : backends()) {
            Matrix<double> out(rows, 35);
            const Evaluation told = evaluation_of(arithmetic, rows, terms, fits, backend);
            const Evaluation taken =
                gemm(arithmetic, a.view(), b.view(), out.view(), Shape::full, backend);
            INFO(rows << " x " << terms << ", binary32 operands " << fits << ", backend "
                      << name_in(backend_names, backend) << ", p " << arithmetic.mac.format.p
                      << ", order " << arithmetic.order.index());
            CHECK(name(told) == name(taken));
            ++seen[static_cast<std::size_t>(taken)];
          }
        }
      }
  if (available(Backend::avx2))
    for (const NamedValue<Evaluation>& row : evaluation_names) {
      INFO(row.name);
      CHECK(seen[static_cast<std::size_t>(row.value)] > 0);
    }
}

TEST_CASE("evaluation: what each arithmetic gets", "[arith][gemm]") {
  if (!available(Backend::avx2)) return;
  const auto told = [](const Arithmetic& arithmetic, bool binary32_operands = true) {
    return name(evaluation_of(arithmetic, 8, 12, binary32_operands));
  };
  const MacSpec paper = lamp_paper(7).mac;
  CHECK(told(lamp_paper(7)) == "kernel-32");
  CHECK(told(fused(binary32)) == "kernel-32");
  CHECK(told(fused(binary64)) == "kernel-64");
  CHECK(told(fused(binary64), false) == "kernel-64");
  CHECK(told(engine_arithmetic("h100", binary16, binary32).value()) == "engine-kernel");
  CHECK(told(in_order("tree:(0 1 2 3 4 5 6 7 8 9 10 11)")) == "by-tiles");
  CHECK(told(in_order("panels:4,2")) == "by-tiles");
  CHECK(told(in_order("panels:4,2", paper)) == "by-tiles");
  CHECK(told(in_order("blocked:4", paper)) == "by-tiles");
  CHECK(told(in_order("reverse")) == "by-tiles");
  CHECK(told(in_order("lanes:128", paper)) == "by-tiles");
  CHECK(told(in_order("lanes:8192", paper)) == "naive");
  CHECK(told(in_order("numpy-sum:8192", paper)) == "by-tiles");
  for (const char* order : {"kahan", "neumaier"}) CHECK(told(in_order(order)) == "by-tiles");
  CHECK(told(in_order("exact")) == "exact-sums");
  CHECK(told(in_order("exact"), false) == "naive");
  CHECK(told(in_order("multiterm:4,23")) == "naive");
  for (const Rounding mode : {Rounding::sr, Rounding::sre})
    CHECK(told({.mac = {.format = ps(7), .rounding = mode}, .order = {}}) == "by-columns");
  for (const Rounding mode : {Rounding::rtz, Rounding::rtp, Rounding::rto, Rounding::rna}) {
    CHECK(told({.mac = {.via = binary32, .format = ps(7), .rounding = mode}, .order = {}}) ==
          "kernel-32");
    CHECK(told({.mac = {.format = e4m3fn, .rounding = mode}, .order = {}}) == "by-columns");
    for (const Backend backend : {Backend::avx2, Backend::avx512})
      if (available(backend))
        CHECK(name(evaluation_of({.mac = {.format = ps(7), .rounding = mode}, .order = {}}, 8, 12,
                                 true, backend)) == "kernel-32");
  }
  CHECK(told({.mac = {.format = binary32, .rounding = Rounding::sr}, .order = {}}) == "naive");
  CHECK(name(evaluation_of(lamp_paper(7), 8, 12, true, Backend::scalar)) == "naive");
  CHECK(name(evaluation_of(in_order("blocked:4"), 0, 12, true)) == "naive");
}

}  // namespace lamp
