// A config for tests, as text, and ways to change it.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/config.hpp"

namespace lamp::test {

inline const std::string base_config = R"(schema_version = 1
title = "a title"
[model]
path = "models/gpt2-tiny"
[tokens]
path = "texts/prose.txt"
sequence_length = 64
[arithmetic.low]
preset = "lamp-paper"
mu = 7
[arithmetic.high]
format = "binary32"
[plan]
default = "high"
scores = "low"
[lamp.scores]
recompute = "high"
)";

inline Result<experiments::Config> parse(const std::string& text,
                                         const std::vector<std::string>& sets = {}) {
  return experiments::parse_config(text, "c.toml", "/folder", sets);
}

/// The base config with text put in place of another; the other must be there.
inline std::string with(const std::string& from, const std::string& to) {
  std::string text = base_config;
  const std::size_t at = text.find(from);
  expects(at != std::string::npos, "with: `from` is part of the base config");
  return text.replace(at, from.size(), to);
}

inline std::string with_grid(const std::string& axes) {
  return base_config + "[grid]\n" + axes + "\n";
}

}  // namespace lamp::test
