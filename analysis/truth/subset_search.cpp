#include "analysis/truth/subset_tables.hpp"

// Vectors of SVE have no size that a member could have.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "analysis/truth/subset_search.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace lamp::truth::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<double, HalfTable::lanes>;
using Sets = hn::RebindToUnsigned<D>;
using Vector = hn::Vec<D>;
constexpr std::size_t width = hn::MaxLanes(D());

/// The best set that each lane has met. A set with a NaN error is no better than another.
class Best {
 public:
  HWY_INLINE Best()
      : error_(hn::Set(D(), std::numeric_limits<double>::infinity())),
        set_(hn::Set(Sets(), ~std::uint64_t{0})) {}
  HWY_INLINE void take(Vector error, Vector sum, hn::Vec<Sets> set) {
    const auto better =
        hn::And(hn::Lt(error, error_), hn::Ge(sum, hn::Set(D(), LocalRow::smallest_sum)));
    error_ = hn::IfThenElse(better, error, error_);
    set_ = hn::IfThenElse(hn::RebindMask(Sets(), better), set, set_);
  }

  /// A lane meets its sets in ascending order and keeps the first of the best.
  HWY_INLINE void store(BestSet& best) const {
    double errors[HalfTable::lanes];
    std::uint64_t sets[HalfTable::lanes];
    hn::StoreU(error_, D(), errors), hn::StoreU(set_, Sets(), sets);
    for (std::size_t l = 0; l < width; ++l)
      if (errors[l] < best.error || (errors[l] == best.error && sets[l] < best.set))
        best = {errors[l], sets[l]};
  }

 private:
  Vector error_;
  hn::Vec<Sets> set_;
};

/// All pairs of a group of each table, `error(s, i, k)` of the sets k of `a` with i, i + 1, .. of
/// `b`. Those of b are the outer loop: they are the high bits of a set.
template <class Error>
HWY_INLINE void search_groups(const HalfTable& a, const HalfTable& b, std::span<BestSet> best,
                              const Error& error) {
  const D d;
  for (std::size_t of_a = 0; of_a <= a.count; ++of_a)
    for (std::size_t of_b = 0; of_b <= b.count; ++of_b) {
      Best found;
      for (std::size_t i = b.begin[of_b]; i < b.begin[of_b + 1]; i += width) {
        const Vector sum_b = hn::LoadU(d, b.sum.data() + i);
        const auto set_b = hn::LoadU(Sets(), b.set.data() + i);
        for (std::size_t k = a.begin[of_a]; k < a.begin[of_a + 1]; ++k) {
          const Vector sum = hn::Add(hn::Set(d, a.sum[k]), sum_b);
          found.take(error(sum, i, k), sum, hn::Or(hn::Set(Sets(), a.set[k]), set_b));
        }
      }
      found.store(best[of_a + of_b]);
    }
}

/// abs(r c - 1) grows with the distance of r c from 1 on either side and rounding keeps the order,
/// so the extreme ratios have the largest: with high >= low it is max(high c - 1, 1 - low c).
void rel_of_all(const LocalRow& row, const HalfTable& a, const HalfTable& b,
                std::span<BestSet> best) {
  const D d;
  const Vector one = hn::Set(d, 1.0), sum_reference = hn::Set(d, row.sum_reference());
  search_groups(a, b, best, [&](Vector sum, std::size_t i, std::size_t k) HWY_ATTR {
    const Vector high = hn::Max(hn::Set(d, a.high[k]), hn::LoadU(d, b.high.data() + i)),
                 low = hn::Min(hn::Set(d, a.low[k]), hn::LoadU(d, b.low.data() + i));
    const Vector c = hn::Div(sum_reference, sum);
    return hn::Max(hn::Sub(hn::Mul(high, c), one), hn::Sub(one, hn::Mul(low, c)));
  });
}

void l1_of_all(const LocalRow& row, const HalfTable& a, const HalfTable& b,
               std::span<BestSet> best) {
  const D d;
  const double *z_a = row.z_reference().data(), *z_b = z_a + b.first;
  search_groups(a, b, best, [&](Vector sum, std::size_t i, std::size_t k) HWY_ATTR {
    const double* e_a = a.e.data() + k * a.count;
    const double* e_b =
        b.e.data() + i / HalfTable::lanes * HalfTable::lanes * b.count + i % HalfTable::lanes;
    Vector total = hn::Zero(d);
    for (std::size_t j = 0; j < a.count; ++j)
      total =
          hn::Add(total, hn::Abs(hn::Sub(hn::Div(hn::Set(d, e_a[j]), sum), hn::Set(d, z_a[j]))));
    for (std::size_t j = 0; j < b.count; ++j)
      total = hn::Add(total, hn::Abs(hn::Sub(hn::Div(hn::LoadU(d, e_b + j * HalfTable::lanes), sum),
                                             hn::Set(d, z_b[j]))));
    return total;
  });
}

}  // namespace lamp::truth::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::truth {

HWY_EXPORT(rel_of_all);
HWY_EXPORT(l1_of_all);

void search_rel(const LocalRow& row, const HalfTable& a, const HalfTable& b,
                std::span<BestSet> best) {
  HWY_DYNAMIC_DISPATCH(rel_of_all)(row, a, b, best);
}

void search_l1(const LocalRow& row, const HalfTable& a, const HalfTable& b,
               std::span<BestSet> best) {
  HWY_DYNAMIC_DISPATCH(l1_of_all)(row, a, b, best);
}

}  // namespace lamp::truth
#endif  // HWY_ONCE
