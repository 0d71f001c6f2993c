#include "core/arith/vector/spec.hpp"

namespace lamp {
std::optional<VectorSpec> vector_spec(const MacSpec& mac) {
  VectorSpec spec;
  if (mac.operands) {
    if (mac.rounds_rows()) return std::nullopt;
    spec.operands = vector_rounding(*mac.float_operands(), mac.operand_rounding);
    if (!spec.operands) return std::nullopt;
  }
  if (mac.product) {
    spec.product = vector_rounding(*mac.product, mac.rounding, mac.random_bits);
    if (!spec.product) return std::nullopt;
  }
  const auto format = vector_rounding(mac.format, mac.rounding, mac.random_bits);
  if (!format) return std::nullopt;
  spec.first = *format;
  if (mac.via && (*mac.via != mac.format || mac.rounding != Rounding::rne)) {
    const auto via = vector_rounding(*mac.via, Rounding::rne);
    if (!via) return std::nullopt;
    spec.first = *via;
    spec.last = *format;
  }
  return spec;
}

}  // namespace lamp
