// The catalog of orders: what a row says is what the definition does, the tests know every order,
// and an order's program is the order. Oracles: `dot`, and README.md's table.
#include "core/arith/orders/catalog.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/arith/orders/program.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::four_bits;
using test::Operands;
using test::operands;
using test::Random;
using test::same_bits;
using test::Terms;

using Kind = SumOperation::Kind;

bool contains(const SumProgram& program, Kind kind) {
  return std::any_of(program.operations.begin(), program.operations.end(),
                     [=](const SumOperation& o) { return o.kind == kind; });
}

/// Calls visitor(order) for every order of order_texts that has O's name.
template <class O, class Visitor>
int for_each_text(std::size_t n, Visitor&& visitor) {
  Random random(5);
  int count = 0;
  for (const std::string& text : test::order_texts(random, n)) {
    const Order order = test::order_of(text);
    if (const O* o = std::get_if<O>(&order)) visitor(*o), ++count;
  }
  return count;
}

/// The cells of README.md's table of orders that stand in the row of a name: c and products.
std::vector<std::string> cells_of(const std::string& name) {
  std::ifstream readme(std::filesystem::path(LAMP_SOURCE_DIR) / "core/arith/README.md");
  for (std::string line; std::getline(readme, line);) {
    if (!line.starts_with("| `")) continue;
    const std::size_t end = line.find(" | ");
    const std::string names = line.substr(0, end);
    if (names.find("`" + name + "`") == std::string::npos &&
        names.find("`" + name + ":") == std::string::npos)
      continue;
    const std::size_t second = line.find(" | ", end + 3), third = line.find(" | ", second + 3);
    if (third == std::string::npos) continue;
    return {line.substr(end + 3, second - end - 3), line.substr(second + 3, third - second - 3)};
  }
  return {};
}

/// The program's operations one after the other, in an arithmetic.
double run(const SumProgram& program, const GeneralArithmetic& fl, const Operands& o) {
  std::vector<double> sums(program.sums);
  for (const SumOperation& op : program.operations) {
    double& s = sums[op.sum];
    const auto mac = [&](double x) { return fl.mac(o.x[op.from], o.y[op.from], x); };
    switch (op.kind) {
      case Kind::start:
        s = mac(0.0);
        break;
      case Kind::mac:
        s = mac(s);
        break;
      case Kind::add_product:
        s = fl.add(s, mac(0.0));
        break;
      case Kind::add:
        s = fl.add(s, sums[op.from]);
        break;
      case Kind::add_zero:
        s = fl.add(s, 0.0);
        break;
      case Kind::step:
        FAIL("an order of additions has no steps");
    }
  }
  return sums[program.result];
}

}  // namespace

TEST_CASE("catalog: the tests' list has every order that has a text", "[arith][order][catalog]") {
  for_each_order([]<class O>(std::type_identity<O>) {
    if (O::row.name.empty()) return;
    INFO(O::row.name);
    CHECK(for_each_text<O>(5, [](const O&) {}) > 0);
  });
}

TEST_CASE("catalog: names are unique, fixed lengths are those of trees",
          "[arith][order][catalog]") {
  std::vector<std::string_view> names;
  for_each_order([&]<class O>(std::type_identity<O>) {
    if (O::row.name.empty()) return;
    CHECK(std::find(names.begin(), names.end(), O::row.name) == names.end());
    names.push_back(O::row.name);
  });
  CHECK(names.size() >= 15);
}

TEST_CASE("catalog: c enters as the row says", "[arith][order][catalog]") {
  // 17 is no number of four bits: a start is used as it is, anything else is rounded to 16.
  for_each_order([]<class O>(std::type_identity<O>) {
    for_each_text<O>(0, [](const O& o) {
      INFO(order_text(o));
      const double empty = dot({.mac = four_bits, .order = o}, {}, {}, 17.0);
      CHECK(empty == (O::row.c == CEnters::start ? 17.0 : 16.0));
    });
  });
}

TEST_CASE("catalog: products enter as the row says", "[arith][order][catalog]") {
  for_each_order([]<class O>(std::type_identity<O>) {
    bool fuses = false, adds_alone = false;
    for_each_text<O>(40, [&](const O& o) {
      SumProgram program;
      if (!write_program(o, 40, program)) return;
      fuses = fuses || contains(program, Kind::mac);
      adds_alone = adds_alone || contains(program, Kind::add_product);
    });
    INFO(O::row.name);
    if (O::row.products == Products::in_step) CHECK(fuses);
    if (O::row.products == Products::alone) CHECK_FALSE(fuses);
    if (O::row.products == Products::alone && O::row.kind == SumKind::tree) CHECK(adds_alone);
    if (O::row.products == Products::exact) CHECK_FALSE((fuses || adds_alone));
  });
}

TEST_CASE("catalog: README's table says of c and products what the rows say",
          "[arith][order][catalog]") {
  for_each_order([]<class O>(std::type_identity<O>) {
    if (O::row.name.empty()) return;
    INFO(O::row.name);
    const std::vector<std::string> cells = cells_of(std::string(O::row.name));
    REQUIRE(cells.size() == 2);
    CHECK(cells[0] == name_in(c_enters_names, O::row.c));
    CHECK(cells[1].starts_with(name_in(products_names, O::row.products)));
  });
}

TEST_CASE("programs: an order of additions is its program, bit by bit", "[arith][order][catalog]") {
  Random random(6);
  for (const std::size_t n : {1U, 2U, 7U, 33U, 140U})
    for (const MacSpec& mac : {test::specs[0], test::specs[1], test::specs[4], test::specs[7]})
      for (const std::string& text : test::order_texts(random, n)) {
        const Order order = test::order_of(text);
        SumProgram program;
        if (row_of(order).kind != SumKind::tree) continue;
        REQUIRE(write_program(order, n, program));
        const Operands o = operands(random, Terms::cancelling, n);
        INFO(text << ", n " << n);
        CHECK(same_bits(run(program, GeneralArithmetic(mac), o),
                        dot({.mac = mac, .order = order}, o.x, o.y)));
      }
}

TEST_CASE("programs: compensated and exact sums have none", "[arith][order][catalog]") {
  SumProgram program;
  for (const Order& order : {Order(Kahan{}), Order(Neumaier{}), Order(Exact{})})
    CHECK_FALSE(write_program(order, 5, program));
}

}  // namespace lamp
