#include "core/selection/distances.hpp"

#include "core/base/contract.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/distances.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include <array>
#include <cstddef>

#include "core/fp/vector-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

constexpr std::size_t chains = 8;  // sums that do not wait for each other

/// Elements [first, first + count) of o = v z.
template <std::size_t count>
HWY_INLINE void sums_of_rows(std::span<const double> z, MatrixView<const double> v,
                             std::size_t first, double* o) {
  std::array<const double*, count> rows;
  std::array<double, count> sums{};
  for (std::size_t l = 0; l < count; ++l) rows[l] = v.row(first + l).data();
  for (std::size_t j = 0; j < z.size(); ++j)
    for (std::size_t l = 0; l < count; ++l) sums[l] = mul_add(z[j], rows[l][j], sums[l]);
  for (std::size_t l = 0; l < count; ++l) o[first + l] = sums[l];
}

#if LAMP_HAS_VECTOR
/// norm2(v_j - o) of the columns j, j + 1, .. that `count` vectors hold.
template <std::size_t count>
HWY_INLINE void norms_of_vectors(MatrixView<const double> v, std::span<const double> o,
                                 std::size_t j, double* to) {
  const D64 d;
  const std::size_t lanes = hn::Lanes(d);
  hn::Vec<D64> sums[count];
  for (std::size_t l = 0; l < count; ++l) sums[l] = hn::Zero(d);
  for (std::size_t c = 0; c < o.size(); ++c) {
    const double* row = v.data + c * v.row_stride + j;
    const auto center = hn::Set(d, o[c]);
    for (std::size_t l = 0; l < count; ++l) {
      const auto difference = hn::Sub(hn::LoadU(d, row + l * lanes), center);
      sums[l] = hn::MulAdd(difference, difference, sums[l]);
    }
  }
  for (std::size_t l = 0; l < count; ++l) hn::StoreU(hn::Sqrt(sums[l]), d, to + j + l * lanes);
}
#endif

/// The same of one column: the definition.
HWY_INLINE double norm_of_column(MatrixView<const double> v, std::span<const double> o,
                                 std::size_t j) {
  double square = 0.0;
  for (std::size_t c = 0; c < o.size(); ++c) {
    const double difference = v(c, j) - o[c];
    square = mul_add(difference, difference, square);
  }
  return square_root(square);
}

double distances(std::span<const double> z, MatrixView<const double> v, std::span<double> o,
                 std::span<double> to) {
  const std::size_t n = z.size();
  std::size_t c = 0;
  for (; c + chains <= o.size(); c += chains) sums_of_rows<chains>(z, v, c, o.data());
  for (; c < o.size(); ++c) sums_of_rows<1>(z, v, c, o.data());
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const std::size_t lanes = hn::Lanes(D64());
  for (; j + 4 * lanes <= n; j += 4 * lanes) norms_of_vectors<4>(v, o, j, to.data());
  for (; j + lanes <= n; j += lanes) norms_of_vectors<1>(v, o, j, to.data());
#endif
  for (; j < n; ++j) to[j] = norm_of_column(v, o, j);
  double square = 0.0;
  for (const double x : o) square = mul_add(x, x, square);
  return square_root(square);
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(distances);

double distances_to_output(std::span<const double> z, MatrixView<const double> v,
                           std::span<double> o, std::span<double> distances) {
  expects(
      v.rows == o.size() && v.cols == z.size() && v.col_stride == 1 && distances.size() == z.size(),
      "distances_to_output: v (width, n), rows contiguous");
  return HWY_DYNAMIC_DISPATCH(distances)(z, v, o, distances);
}

}  // namespace lamp
#endif  // HWY_ONCE
