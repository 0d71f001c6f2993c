#include "tests/fuzz/drivers/shared_counters.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

// Where the linker puts the counters of all files of this executable, under names that are clang's.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier)
extern char __start___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
extern char __stop___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
// NOLINTEND(bugprone-reserved-identifier)
}

namespace lamp::fuzz {

void share_counters() {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(__start___sancov_cntrs);
  const std::uintptr_t first = (start + page - 1) & -page;
  const auto last = reinterpret_cast<std::uintptr_t>(__stop___sancov_cntrs) & -page;
  if (first >= last) return;
  char* const begin = __start___sancov_cntrs + (first - start);
  const std::vector<char> before(begin, begin + (last - first));
  void* const shared = ::mmap(begin, last - first, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (shared == MAP_FAILED) return;  // NOLINT: the macro's cast
  std::copy(before.begin(), before.end(), begin);
}

}  // namespace lamp::fuzz
