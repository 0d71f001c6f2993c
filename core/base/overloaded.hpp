// Functions for std::visit, one for each alternative: an alternative that none takes does not
// compile.
#pragma once

namespace lamp {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace lamp
