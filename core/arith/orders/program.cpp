#include "core/arith/orders/program.hpp"

#include <limits>
#include <utility>

namespace lamp {
namespace {

/// The number of a partial sum; absent for +0.
struct SumNumber {
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t sum = none;
  [[nodiscard]] bool is_zero() const { return sum == none; }
};

/// What definitions of orders add (row.hpp), as numbers of partial sums: every call writes its
/// operation.
class WrittenSum {
 public:
  using Value = SumNumber;
  const std::size_t n;
  const Value c{};

  WrittenSum(std::size_t n_, SumProgram& program) : n(n_), program_(program) {}

  [[nodiscard]] Value mac(std::size_t k, Value x) const {
    const bool starts = x.is_zero();
    if (starts) x = fresh();
    put(starts ? Kind::start : Kind::mac, x.sum, static_cast<std::uint32_t>(k));
    return x;
  }
  [[nodiscard]] Value product(std::size_t k) const { return mac(k, {}); }
  [[nodiscard]] Value add(Value x, Value y) const {
    if (x.is_zero() && y.is_zero()) return {};
    if (x.is_zero() || y.is_zero()) {
      if (x.is_zero()) x = y;
      put(Kind::add_zero, x.sum, 0);
      return x;
    }
    SumOperation& before = program_.operations.back();
    if (before.kind == Kind::start && before.sum == y.sum)  // one product, which nothing else needs
      before = {Kind::add_product, x.sum, before.from};
    else
      put(Kind::add, x.sum, y.sum);
    free_.push_back(y);
    return x;
  }
  [[nodiscard]] Value chain(std::size_t first, std::size_t last, std::size_t step = 1,
                            Value x = {}) const {
    for (std::size_t k = first; k < last; k += step) x = mac(k, x);
    return x;
  }
  [[nodiscard]] Value chain_down(std::size_t first, std::size_t last, Value x) const {
    for (std::size_t k = last; k > first; --k) x = mac(k - 1, x);
    return x;
  }
  [[nodiscard]] Value block(std::size_t first, std::size_t last) const {
    return chain(first, last);
  }

  /// A rounding: nothing that is added.
  [[nodiscard]] static Value stored(Value x, const std::optional<FloatFormat>&) { return x; }

  [[nodiscard]] Value multiterm_step(int, std::size_t first, std::size_t last, Value x) const {
    return together(
        first, last, [](std::size_t) { return true; }, x);
  }
  [[nodiscard]] static Value start_on_engine(Value x) { return x; }
  template <class Takes>
  [[nodiscard]] Value engine_pass(const EngineStep&, std::size_t first, std::size_t last,
                                  Takes&& takes, Value x) const {
    return together(first, last, takes, x);
  }
  [[nodiscard]] Value engine(const EngineStep& how, std::size_t first, std::size_t last,
                             Value x) const {
    return engine_steps(*this, how, first, last, x);
  }

 private:
  using Kind = SumOperation::Kind;

  void put(Kind kind, std::uint32_t sum, std::uint32_t from) const {
    program_.operations.push_back({kind, sum, from});
  }
  [[nodiscard]] Value fresh() const {
    if (free_.empty()) return {static_cast<std::uint32_t>(program_.sums++)};
    const Value sum = free_.back();
    free_.pop_back();
    return sum;
  }
  template <class Takes>
  Value together(std::size_t first, std::size_t last, Takes&& takes, Value x) const {
    SumStep step{.terms = {}, .from_sum = !x.is_zero()};
    for (std::size_t k = first; k < last; ++k)
      if (takes(k - first)) step.terms.push_back(static_cast<std::uint32_t>(k));
    if (step.terms.empty()) return x;
    if (x.is_zero()) x = fresh();
    put(Kind::step, x.sum, static_cast<std::uint32_t>(program_.steps.size()));
    program_.steps.push_back(std::move(step));
    return x;
  }

  SumProgram& program_;
  mutable std::vector<Value> free_;
};

}  // namespace

bool write_program(const Order& order, std::size_t n, SumProgram& program) {
  program = {};
  expects(n > 0, "write_program: n > 0");
  return std::visit(
      [&]<class O>(const O& o) {
        if constexpr (O::row.fixed_length)
          expects(o.terms() == n, "write_program: a sum of the order's length (check_length)");
        if constexpr (O::row.kind == SumKind::tree || O::row.kind == SumKind::steps) {
          program.result = o.sum(WrittenSum(n, program)).sum;
          return true;
        } else {
          return false;
        }
      },
      order);
}

}  // namespace lamp
