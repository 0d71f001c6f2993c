#include "tests/fuzz/drivers/shared_counters.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

// Where the linker puts the counters of all files of this executable.
extern "C" {
extern char __start___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
extern char __stop___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
}

namespace lamp::fuzz {

void share_counters() {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(__start___sancov_cntrs) + page - 1) & -page;
  const auto last = reinterpret_cast<std::uintptr_t>(__stop___sancov_cntrs) & -page;
  if (first >= last) return;
  char* const begin = reinterpret_cast<char*>(first);
  const std::vector<char> before(begin, begin + (last - first));
  void* const shared = ::mmap(begin, last - first, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (shared == MAP_FAILED) return;  // NOLINT: the macro's cast
  std::copy(before.begin(), before.end(), begin);
}

}  // namespace lamp::fuzz
