// The one harness of this executable under libFuzzer. At its end it says how many inputs the reader
// accepted, and what befell children.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/drivers/shared_counters.hpp"
#include "tests/fuzz/harness.hpp"

// libFuzzer's own change of bytes in place; the new size.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace lamp::fuzz {
namespace {

std::size_t executions = 0, accepted = 0;

void report() {
  std::fprintf(stderr, "%sstat::accepted: %zu of %zu\n", counts().c_str(), accepted, executions);
}

}  // namespace
}  // namespace lamp::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  lamp::fuzz::share_counters();
  lamp::fuzz::scratch();  // made before report is registered, so removed after it
  std::atexit(lamp::fuzz::report);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ++lamp::fuzz::executions;
  if (lamp::fuzz::harnesses().front().run(bytes)) ++lamp::fuzz::accepted;
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  const auto mutate = lamp::fuzz::harnesses().front().mutate;
  if (mutate == nullptr || seed % 4 == 0) return LLVMFuzzerMutate(data, size, most);
  lamp::fuzz::Random random(seed);
  const std::string other =
      mutate(std::string_view(reinterpret_cast<const char*>(data), size), random);
  if (other.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(other.begin(), other.end(), data);
  return other.size();
}
