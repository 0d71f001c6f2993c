#include "analysis/error_blocks.hpp"

// Vectors of SVE have no size that a member could have.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "analysis/error_blocks.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<double, ErrorSums::lanes>;
using Vector = hn::Vec<D>;
constexpr std::size_t lanes = ErrorSums::lanes, width = hn::MaxLanes(D()), parts = lanes / width;

/// Bins wait in memory and are counted many at a time, which costs less than each out of its
/// vector.
class Histogram {
 public:
  explicit HWY_INLINE Histogram(LaneBins& bins) : bins_(bins) {}
  /// Where the bins of a block go; take() tells how many of them count.
  HWY_INLINE std::uint64_t* next() { return waiting_.data() + count_; }
  HWY_INLINE void take(std::size_t n) {
    if (n < lanes) {
      for (std::size_t l = 0; l < n; ++l) ++bins_[l][waiting_[count_ + l]];
    } else if ((count_ += lanes) == waiting_.size()) {
      flush();
    }
  }
  HWY_INLINE void flush() {
    for (std::size_t i = 0; i < count_; i += lanes)
      for (std::size_t l = 0; l < lanes; ++l) ++bins_[l][waiting_[i + l]];
    count_ = 0;
  }

 private:
  LaneBins& bins_;
  std::size_t count_ = 0;
  alignas(64) std::array<std::uint64_t, 32 * lanes> waiting_;
};

/// The sums in registers: a block of 8 is as many vectors as it takes.
///
/// A relative error is 0 or at least 2^-54, because two different numbers differ by more than 2^-54
/// of either; so bins are found without a test for subnormals: the bin is the exponent, moved, of
/// the relative error clamped to [2^-65 u, 2^63 u].
class Blocks {
 public:
  HWY_INLINE Blocks(const ErrorRows& rows, const ErrorSums& sums)
      : smallest_(hn::Set(D(), rows.smallest_normal)),
        low_(hn::Set(D(), 0x1p-65 / rows.units)),
        high_(hn::Set(D(), 0x1p63 / rows.units)),
        bin_0_(hn::Set(Integers(), std::bit_cast<std::uint64_t>(0x1p-65 / rows.units) >> 52)),
        max_abs_(hn::Set(D(), sums.max_abs)),
        max_rel_(hn::Set(D(), sums.max_rel)) {
    for (std::size_t v = 0; v < parts; ++v) {
      squares_abs_[v] = hn::LoadU(D(), sums.squares_abs.data() + v * width);
      squares_rel_[v] = hn::LoadU(D(), sums.squares_rel.data() + v * width);
    }
  }

  /// Returns false, and does nothing, where a component is not regular.
  HWY_INLINE bool add(const double* x, const double* r, std::size_t n, Histogram& histogram) {
    const D d;
    Vector size[parts], difference[parts];
    bool regular = true;
    for (std::size_t v = 0; v < parts; ++v) {
      const Vector xs = hn::LoadU(d, x + v * width), rs = hn::LoadU(d, r + v * width);
      size[v] = hn::Abs(rs), difference[v] = hn::Abs(hn::Sub(xs, rs));
      const auto finite =
          hn::Lt(difference[v], hn::Set(d, std::numeric_limits<double>::infinity()));
      const auto fine =
          hn::And(hn::And(finite, hn::Gt(size[v], hn::Zero(d))), hn::Ge(hn::Abs(xs), smallest_));
      regular = hn::AllTrue(d, fine) && regular;
    }
    if (!regular) return false;
    std::uint64_t* bin = histogram.next();
    for (std::size_t v = 0; v < parts; ++v) {
      const Vector relative = hn::Div(difference[v], size[v]);
      squares_abs_[v] = hn::Add(squares_abs_[v], hn::Mul(difference[v], difference[v]));
      squares_rel_[v] = hn::Add(squares_rel_[v], hn::Mul(relative, relative));
      max_abs_ = hn::Max(max_abs_, difference[v]);
      max_rel_ = hn::Max(max_rel_, relative);
      const Vector clamped = hn::Min(hn::Max(relative, low_), high_);
      hn::Store(hn::Sub(hn::ShiftRight<52>(hn::BitCast(Integers(), clamped)), bin_0_), Integers(),
                bin + v * width);
    }
    histogram.take(n);
    return true;
  }

  HWY_INLINE void store(ErrorSums& sums) const {
    for (std::size_t v = 0; v < parts; ++v) {
      hn::StoreU(squares_abs_[v], D(), sums.squares_abs.data() + v * width);
      hn::StoreU(squares_rel_[v], D(), sums.squares_rel.data() + v * width);
    }
    sums.max_abs = hn::GetLane(hn::MaxOfLanes(D(), max_abs_));
    sums.max_rel = hn::GetLane(hn::MaxOfLanes(D(), max_rel_));
  }

 private:
  using Integers = hn::RebindToUnsigned<D>;
  Vector smallest_, low_, high_;
  hn::Vec<Integers> bin_0_;
  Vector max_abs_, max_rel_;
  Vector squares_abs_[parts], squares_rel_[parts];
};

ErrorBlock regular_blocks(const ErrorRows& rows, ErrorBlock at, ErrorSums& sums, LaneBins& bins) {
  // The reference is asked for early: rows of a triangle are too short for the processor to foresee
  // the next one.
  constexpr std::size_t most_ahead = 512;
  const std::size_t ahead = std::min(2 * rows.r.row_stride, most_ahead);
  Blocks blocks(rows, sums);
  Histogram histogram(bins);
  bool regular = true;
  for (; at.row < rows.x.rows; ++at.row, at.column = 0) {
    const double *x = rows.x.row(at.row).data(), *r = rows.r.row(at.row).data();
    const std::size_t length = rows.length(at.row);
    for (; at.column + lanes <= length && regular; at.column += regular ? lanes : 0) {
      hwy::Prefetch(r + at.column + ahead);
      regular = blocks.add(x + at.column, r + at.column, lanes, histogram);
    }
    if (at.column < length && regular) {  // filled up with components without an error
      std::array<double, lanes> x_rest, r_rest;
      x_rest.fill(rows.smallest_normal), r_rest.fill(rows.smallest_normal);
      std::copy(x + at.column, x + length, x_rest.begin());
      std::copy(r + at.column, r + length, r_rest.begin());
      regular = blocks.add(x_rest.data(), r_rest.data(), length - at.column, histogram);
    }
    if (!regular) break;
  }
  histogram.flush();
  blocks.store(sums);
  return at;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(regular_blocks);

ErrorBlock add_regular_blocks(const ErrorRows& rows, ErrorBlock first, ErrorSums& sums,
                              LaneBins& bins) {
  return HWY_DYNAMIC_DISPATCH(regular_blocks)(rows, first, sums, bins);
}

}  // namespace lamp
#endif
