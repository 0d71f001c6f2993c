// Tests that run on every instruction set of this machine.
#pragma once

#include <hwy/targets.h>
#include <cstdint>
#include <vector>

namespace lamp::test {

/// Those of this machine, one bit each.
inline std::vector<std::int64_t> targets() {
  std::vector<std::int64_t> each;
  for (std::int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1)
    each.push_back(left & -left);
  return each;
}

/// Lets the dispatcher choose among `targets` only, until the end of the scope.
class OnlyTargets {
 public:
  explicit OnlyTargets(std::int64_t targets) {
    hwy::DisableTargets(~targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~OnlyTargets() {
    hwy::DisableTargets(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  OnlyTargets(const OnlyTargets&) = delete;
  OnlyTargets& operator=(const OnlyTargets&) = delete;
};

}  // namespace lamp::test
