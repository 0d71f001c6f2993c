#include "core/arith/gemm/by_tiles.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/arith/gemm/many_outputs.hpp"
#include "core/arith/gemm/tile_operands.hpp"

namespace lamp::gemm_detail {
namespace {

using View = MatrixView<const double>;

constexpr std::size_t tile_size = tile_rows * panel_cols;

/// The kernels of an order's steps: of its blocks, of products that are added, of what joins their
/// sums, and of stored parts; or of all of it.
template <class T>
struct TilePlan {
  Plan<T> steps, blocks;
  AdditionPlan<T> additions;
  std::optional<Plan<T>> products{}, whole{};
  std::optional<Round> round_part{};
  Target<float> part{};
};

template <class T>
std::optional<TilePlan<T>> tile_plan(const Arithmetic& arithmetic, bool binary32_operands,
                                     const KernelSet& set) {
  const auto plan_of = [&](const MacSpec& mac) {
    if constexpr (std::is_same_v<T, float>)
      return plan32(mac, set);
    else
      return plan64(mac, binary32_operands && mac.format != binary64, set);
  };
  const auto additions_of = [&](const MacSpec& mac) {
    if constexpr (std::is_same_v<T, float>)
      return additions32(mac, set);
    else
      return additions64(mac, set);
  };
  if (std::is_same_v<T, float> && !binary32_operands) return std::nullopt;
  const auto steps = plan_of(arithmetic.mac), blocks = plan_of(arithmetic.steps());
  const auto additions = additions_of(arithmetic.mac);
  if (!steps || !blocks || !additions) return std::nullopt;
  TilePlan<T> plan{.steps = *steps, .blocks = *blocks, .additions = *additions};
  const auto plan_of_summation = [&](Summation summation) {
    if constexpr (std::is_same_v<T, float>)
      return summation32(arithmetic.mac, summation, set);
    else
      return summation64(arithmetic.mac, summation, set);
  };
  plan.products = plan_of_summation(Summation::alone);
  if (is<Kahan>(arithmetic.order)) plan.whole = plan_of_summation(Summation::kahan);
  if (is<Neumaier>(arithmetic.order)) plan.whole = plan_of_summation(Summation::neumaier);
  if (const FloatFormat* part = part_of(arithmetic.order)) {
    if constexpr (!std::is_same_v<T, float>) return std::nullopt;
    plan.round_part = round32(*part);
    if (!plan.round_part) return std::nullopt;
    plan.part = target32(*part);
  }
  return plan;
}

/// Of the rows of a tile, and of its panel.
struct Ranges {
  MagnitudeRange a{}, b{};
};

/// Tiles of partial sums that are used again when nothing refers to them any more.
template <class T>
class TilePool {
  struct Counted {
    AlignedVector<T> numbers;
    std::uint32_t uses = 0;
  };

 public:
  /// A tile that a partial sum is in; none: +0. The last one to refer to a tile may change it.
  class Reference {
   public:
    Reference() = default;
    Reference(TilePool& pool, Counted& tile) : pool_(&pool), tile_(&tile) { ++tile.uses; }
    Reference(const Reference& other) : pool_(other.pool_), tile_(other.tile_) {
      if (tile_ != nullptr) ++tile_->uses;
    }
    Reference(Reference&& other) noexcept
        : pool_(other.pool_), tile_(std::exchange(other.tile_, nullptr)) {}
    Reference& operator=(Reference other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(tile_, other.tile_);
      return *this;
    }
    ~Reference() {  // clang-tidy loses track of the pair that by_magnitude returns
      // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
      if (tile_ != nullptr && --tile_->uses == 0) pool_->free_.push_back(tile_);
    }
    [[nodiscard]] bool is_zero() const { return tile_ == nullptr; }
    [[nodiscard]] bool is_only_one() const { return tile_->uses == 1; }
    [[nodiscard]] T* data() const { return tile_->numbers.data(); }

   private:
    TilePool* pool_ = nullptr;
    Counted* tile_ = nullptr;
  };

  Reference fresh() {
    if (free_.empty()) {
      tiles_.emplace_back().numbers.resize(tile_size);
      return Reference(*this, tiles_.back());
    }
    Counted& tile = *free_.back();
    free_.pop_back();
    return Reference(*this, tile);
  }

 private:
  std::deque<Counted> tiles_;  // which stay where they are
  std::vector<Counted*> free_;
};

/// What definitions of orders add (core/arith/orders/row.hpp), as tiles: `tile` says which rows and
/// columns. Where its rows have different numbers of terms, in ascending order, a block of a row
/// that has ended is no block, and nothing is added there (order blocked).
template <class T>
class SumOfTiles {
 public:
  using Value = typename TilePool<T>::Reference;
  const std::size_t n;
  const Value c{};

  /// ranges: of the operands.
  SumOfTiles(const KernelSet& set, const TilePlan<T>& plan, const Tile<T>& tile,
             const Ranges& ranges, TilePool<T>& pool)
      : n(tile.steps[tile.rows - 1]),
        set_(set),
        plan_(plan),
        tile_(tile),
        ranges_(ranges),
        pool_(pool) {}

  [[nodiscard]] Value mac(std::size_t k, Value x) const { return chain(k, k + 1, 1, std::move(x)); }
  [[nodiscard]] Value product(std::size_t k) const { return chain(k, k + 1); }
  [[nodiscard]] Value chain(std::size_t first, std::size_t last, std::size_t step = 1,
                            Value x = {}) const {
    return chain_by(plan_.steps, first, last, step, std::move(x));
  }
  [[nodiscard]] bool adds_products() const { return plan_.products.has_value(); }
  [[nodiscard]] Value add_products(std::size_t first, std::size_t last, std::size_t step,
                                   Value x) const {
    return chain_by(*plan_.products, first, last, step, std::move(x));
  }
  [[nodiscard]] Value chain_down(std::size_t first, std::size_t last, Value x) const {
    if (first >= last) return x;
    return run(
        plan_.steps, last - 1, -1, [&](std::size_t) { return last - first; }, std::move(x));
  }
  [[nodiscard]] Value block(std::size_t first, std::size_t last) const {
    first_of_block_ = first;
    return run(plan_.blocks, first, 1,
               [&](std::size_t r) { return std::clamp(tile_.steps[r], first, last) - first; });
  }
  [[nodiscard]] Value stored(Value x, const std::optional<FloatFormat>& part) const {
    if constexpr (std::is_same_v<T, float>)
      if (part && !x.is_zero()) {
        x = own(std::move(x));
        MagnitudeRange range;
        set_.round_values(plan_.part, *plan_.round_part, x.data(), size(), x.data(), range);
      }
    return x;
  }
  [[nodiscard]] Value add(const Value& x, const Value& y) const {
    return joined(plan_.additions.adders.add, x, y);
  }
  [[nodiscard]] Value sub(const Value& x, const Value& y) const {
    return joined(plan_.additions.adders.subtract, x, y);
  }
  [[nodiscard]] std::pair<Value, Value> by_magnitude(const Value& x, const Value& y) const {
    const Value a = made(x), b = made(y);
    std::pair<Value, Value> sorted{pool_.fresh(), pool_.fresh()};
    const auto sort = [&] {
      if constexpr (std::is_same_v<T, float>)
        return set_.by_magnitude32;
      else
        return set_.by_magnitude64;
    }();
    sort(a.data(), b.data(), size(), sorted.first.data(), sorted.second.data());
    return sorted;
  }
  /// x as numbers.
  [[nodiscard]] Value made(const Value& x) const {
    if (!x.is_zero()) return x;
    Value zeros = pool_.fresh();
    std::fill_n(zeros.data(), size(), T{0});
    return zeros;
  }

 private:
  [[nodiscard]] std::size_t size() const { return tile_.rows * panel_cols; }

  /// x, where nothing else refers to it, or a copy.
  Value own(Value x) const {
    if (x.is_only_one()) return x;
    Value copy = pool_.fresh();
    std::copy_n(x.data(), size(), copy.data());
    return copy;
  }

  Value chain_by(const Plan<T>& plan, std::size_t first, std::size_t last, std::size_t step,
                 Value x) const {
    if (first >= last) return x;
    const std::size_t terms = (last - first + step - 1) / step;
    return run(
        plan, first, static_cast<std::ptrdiff_t>(step), [&](std::size_t) { return terms; },
        std::move(x));
  }

  template <class Terms>
  Value run(const Plan<T>& plan, std::size_t first, std::ptrdiff_t step, const Terms& terms,
            Value x = {}) const {
    Tile<T> part = tile_;
    part.from_c = !x.is_zero();
    x = part.from_c ? own(std::move(x)) : pool_.fresh();
    part.constants = plan.constants;
    part.a_stride = step;
    part.b = tile_.b + first * panel_cols;
    part.b_stride = step * static_cast<std::ptrdiff_t>(panel_cols);
    part.c = x.data();
    for (std::size_t r = 0; r < part.rows; ++r) {
      part.a[r] += first;
      part.steps[r] = terms(r);
    }
    // A sum from +0 keeps the guard's promise; another may start from anything.
    (part.from_c ? plan.kernel : plan.kernel_for(ranges_.a, ranges_.b))(part);
    return x;
  }

  Value joined(Adder<T> join, const Value& x, const Value& y) const {
    const Value a = made(x), b = made(y);
    // The rows that have ended before the block that is added.
    std::size_t ended = 0;
    while (ended + 1 < tile_.rows && tile_.steps[ended] <= first_of_block_) ++ended;
    if (tile_.steps[0] == n) ended = 0;
    Value sum = pool_.fresh();
    std::copy_n(a.data(), ended * panel_cols, sum.data());
    const std::size_t skipped = ended * panel_cols;
    join(plan_.additions.constants, a.data() + skipped, b.data() + skipped, size() - skipped,
         sum.data() + skipped);
    return sum;
  }

  const KernelSet& set_;
  const TilePlan<T>& plan_;
  const Tile<T>& tile_;
  Ranges ranges_;
  TilePool<T>& pool_;
  mutable std::size_t first_of_block_ = 0;
};

/// How many rows of a tile have one program: all of them where they have the same terms, where
/// blocks start at the same terms in every row, or where one kernel does the whole.
std::size_t rows_together(const Order& order, bool whole, Shape shape) {
  return whole || shape.kind != Shape::lower_operand || is<Blocked>(order) ? tile_rows : 1;
}

/// The sums of one tile, `rows` of A, into rows of out.
template <class T>
class TileGemm {
 public:
  TileGemm(const Order& order, const TilePlan<T>& plan, const KernelSet& set)
      : order_(order), plan_(plan), set_(set) {}

  void evaluate(const Tile<T>& tile, const Ranges& ranges, std::span<const std::size_t> rows,
                std::size_t j0, MatrixView<double> out, Shape shape) {
    const auto result = plan_.whole ? by_kernel(tile) : by_definition(tile, ranges);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::size_t width = shape.columns(rows[r], out.cols);
      const std::size_t count = width > j0 ? std::min(panel_cols, width - j0) : 0;
      store(set_, result.data() + r * panel_cols, count,
            out.data + rows[r] * out.row_stride + j0 * out.col_stride, out.col_stride);
    }
  }

 private:
  using Value = typename SumOfTiles<T>::Value;

  Value by_kernel(Tile<T> tile) {
    Value sums = pool_.fresh();
    tile.constants = plan_.whole->constants;
    tile.c = sums.data();
    plan_.whole->kernel(tile);
    return sums;
  }
  Value by_definition(const Tile<T>& tile, const Ranges& ranges) {
    const SumOfTiles<T> sum(set_, plan_, tile, ranges, pool_);
    return std::visit(
        [&]<class O>(const O& order) -> Value {
          if constexpr (adds<O>)
            return sum.made(order.sum(sum));
          else
            contract_violated("gemm_by_tiles: an order that adds");
        },
        order_);
  }

  const Order& order_;
  const TilePlan<T>& plan_;
  const KernelSet& set_;
  TilePool<T> pool_;
};

template <class T>
void gemm_in(const Arithmetic& arithmetic, const TilePlan<T>& plan, const KernelSet& set, View a,
             const PackedMatrix& b, MatrixView<double> out, Shape shape, const Marks* marks) {
  thread_local Workspace<T> work;
  OperandReader reader(set, arithmetic.steps(), work.values);
  const std::size_t stride = padded<T>(a.cols);
  const bool fits = read_rows(reader, a, shape, stride, work);
  expects(fits, "gemm_by_tiles: operands that are numbers of the lanes");
  const std::size_t rows = rows_at_a_time<T>(stride),
                    most = rows_together(arithmetic.order, plan.whole.has_value(), shape);
  TileGemm<T> tiles(arithmetic.order, plan, set);
  Tile<T> tile;
  for (std::size_t first = 0; first < a.rows; first += rows) {
    const std::size_t last = std::min(first + rows, a.rows);
    for (std::size_t q = 0; q < b.panels(); ++q) {
      const std::size_t j0 = q * panel_cols;
      if (shape.columns(last - 1, out.cols) <= j0) break;
      if (marks != nullptr) work.marked.find(*marks, first, last, q);
      const std::size_t count = marks != nullptr ? work.marked.rows.size() : last - first;
      if (count == 0) continue;
      const Panel<T> panel = read_panel(set, reader, b, q, work);
      expects(panel.b != nullptr, "gemm_by_tiles: operands that are numbers of the lanes");
      tile.b = panel.b;
      for (std::size_t p = 0; p < count; p += most) {
        tile.rows = std::min(most, count - p);
        std::array<std::size_t, tile_rows> of_tile{};
        Ranges ranges{.b = panel.range};
        for (std::size_t r = 0; r < tile.rows; ++r) {
          const std::size_t i =
              marks != nullptr ? std::size_t{work.marked.rows[p + r]} : first + p + r;
          of_tile[r] = i;
          tile.a[r] = work.a.data() + i * stride;
          tile.steps[r] = shape.terms(i, a.cols);
          ranges.a.extend(work.ranges[i / tile_rows]);
        }
        if (shape.columns(of_tile[tile.rows - 1], out.cols) <= j0) continue;
        tiles.evaluate(tile, ranges, std::span(of_tile).first(tile.rows), j0, out, shape);
      }
    }
  }
}

}  // namespace

bool tiles_serve(const Arithmetic& arithmetic, bool binary32_operands, Backend backend) {
  if (!runs_on_many_outputs(arithmetic.order)) return false;
  const KernelSet set = kernel_set(backend);
  return tile_plan<float>(arithmetic, binary32_operands, set) ||
         tile_plan<double>(arithmetic, binary32_operands, set);
}

void gemm_by_tiles(const Arithmetic& arithmetic, bool binary32_operands, View a,
                   const PackedMatrix& b, MatrixView<double> out, Shape shape, const Marks* marks,
                   Backend backend) {
  const KernelSet set = kernel_set(backend);
  if (const auto plan = tile_plan<float>(arithmetic, binary32_operands, set))
    return gemm_in<float>(arithmetic, *plan, set, a, b, out, shape, marks);
  const auto plan = tile_plan<double>(arithmetic, binary32_operands, set);
  expects(plan.has_value(), "gemm_by_tiles: kernels that have the arithmetic");
  gemm_in<double>(arithmetic, *plan, set, a, b, out, shape, marks);
}

}  // namespace lamp::gemm_detail
