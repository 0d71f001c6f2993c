// Strong indices: a layer is not a head.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace lamp {

template <class Tag>
struct Index {
  std::size_t value = 0;
  constexpr explicit Index(std::size_t v = 0) : value(v) {}
  friend constexpr auto operator<=>(const Index&, const Index&) = default;
};

using Layer = Index<struct LayerTag>;
using Head = Index<struct HeadTag>;
using Position = Index<struct PositionTag>;
using TokenId = std::uint32_t;

}  // namespace lamp
