// `lamp formats`: the catalog as a table, or everything about the formats and matrix engines that
// are named.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::experiments {

struct FormatsOptions {
  std::vector<std::string> names{};  // empty: the catalog, one line each
  bool json = false;
};

/// What the command prints, without its last line end. An unknown name is an error, which lists the
/// known ones.
Result<std::string> formats_text(const FormatsOptions& options);

/// Exit code 0, or 65 with one line on standard error.
int formats_command(const FormatsOptions& options);

}  // namespace lamp::experiments
