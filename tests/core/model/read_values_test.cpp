// What rules see of v against what the product of values reads: rows of z that pick one value.
#include "core/model/ops/read_values.hpp"

#include <catch2/catch.hpp>
#include <utility>

#include "core/arith/orders/order_text.hpp"
#include "core/model/ops/sites.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

using namespace lamp;

TEST_CASE("ReadValues: v as each row of the product reads it", "[model]") {
  constexpr std::size_t n = 11, width = 3;
  BlockFormat blocks = *BlockFormat::named("mxfp4");
  blocks.size = 4;  // the last block of a row of keys is short more often than not
  std::vector<Arithmetic> list{fused(binary64)};
  for (const NumberSystem& operands : {NumberSystem(binary16), NumberSystem(blocks)})
    list.push_back({.mac = {.operands = operands, .format = binary64}, .order = {}});
  list.push_back({.mac = {}, .order = *parse_order("blocked:4"), .block = list.back().mac});
  test::Random random(1);
  Matrix<double> v(n, width), z(n, n), out(n, width);
  for (double& value : v.flat()) value = random.with_exponent(-4, 4);
  const auto agree = [&](const Arithmetic& arithmetic, ReadValues& read) {
    bool same = true;
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < n; ++k) z(i, k) = k == j ? 1.0 : 0.0;
      values(arithmetic, std::as_const(z).view(), std::as_const(v).view(), out.view());
      read.assign(arithmetic, std::as_const(v).view());
      for (std::size_t i = 0; i < n; ++i) {
        const MatrixView<const double> seen = read.in_row_of(i + 1);
        REQUIRE((seen.rows == width && seen.cols == i + 1));
        for (std::size_t c = 0; c < width && j <= i; ++c)
          same = same && seen(c, j) == out(i, c);  // up to the sign of zero: sums start from +0
      }
    }
    return same;
  };
  ReadValues read;
  for (const Arithmetic& arithmetic : list) CHECK(agree(arithmetic, read));

  // From a later row on, as a pass does that goes on from earlier rows.
  ReadValues whole;
  for (ReadValues* from : {&read, &whole}) from->assign(list[2], std::as_const(v).view());
  for (std::size_t i = 0; i < 6; ++i) whole.in_row_of(i + 1);
  for (const std::size_t keys : {std::size_t{7}, n})
    for (std::size_t c = 0; c < width; ++c)
      CHECK(test::same_bits(read.in_row_of(keys).row(c), whole.in_row_of(keys).row(c)));
}
