// Integers of 128 bits: sums of a row's integers are exact in them.
#pragma once

namespace lamp {

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;

}  // namespace lamp
