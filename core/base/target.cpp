#include "core/base/target.hpp"

#include <hwy/highway.h>

#include <array>
#include <cstdint>
#include <string>

namespace lamp {
namespace {

struct Target {
  std::string_view name;
  std::int64_t needed;   // 0: nothing
  std::int64_t allowed;  // of the targets that this project compiles for
};

constexpr std::int64_t up_to_avx2 = HWY_STATIC_TARGET | HWY_SSSE3 | HWY_SSE4 | HWY_AVX2;
constexpr std::array targets{Target{"scalar", 0, HWY_STATIC_TARGET},
                             Target{"avx2", HWY_AVX2, up_to_avx2},
                             Target{"avx512", HWY_AVX3, up_to_avx2 | HWY_AVX3 | HWY_AVX3_DL}};

}  // namespace

Result<void> force_target(std::string_view name) {
  for (const Target& target : targets)
    if (target.name == name) {
      if ((hwy::SupportedTargets() & target.needed) != target.needed)
        return Error{ExitCode::usage, "this machine has no " + std::string(name)};
      hwy::DisableTargets(~target.allowed);
      return {};
    }
  return Error{ExitCode::usage, "unknown instruction set \"" + std::string(name) +
                                    "\"; legal: scalar, avx2, avx512"};
}

}  // namespace lamp
