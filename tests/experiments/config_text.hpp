// A config for tests, as text, ways to change it, and what its errors must say.
#pragma once

#include <catch2/catch.hpp>
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

/// The error holds every one of the words, on one line.
inline bool error_has(const Result<experiments::Config>& result,
                      const std::vector<std::string>& words, ExitCode code = ExitCode::bad_data) {
  if (result.ok()) return false;
  UNSCOPED_INFO(result.error().message);
  if (result.error().code != code || result.error().message.find('\n') != std::string::npos)
    return false;
  for (const std::string& word : words)
    if (result.error().message.find(word) == std::string::npos) {
      UNSCOPED_INFO("lacks: " << word);
      return false;
    }
  return true;
}

}  // namespace lamp::test
