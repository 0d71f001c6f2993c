// What this binary was made from and with: for `lamp version` and the provenance of results.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lamp::experiments {

struct BuildInfo {
  std::string_view version;
  std::string_view commit;    // of git, "unknown" outside a repository
  bool dirty = false;         // the tree had changes
  std::string_view compiler;  // name and version
  std::string_view flags;
  std::string_view build_type;
};

/// The commit is that of the moment of the build.
const BuildInfo& build_info();

/// Name and version of every library in use; shared ones as loaded, not as compiled against.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace lamp::experiments
