// What a command line may go on with: what all shells ask (`lamp completion --words`).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/commands/commands.hpp"

namespace lamp::experiments {

/// One that begins with what is typed is offered. Where it ends with '=', '.' or ':', it is no
/// whole word yet.
struct Offer {
  std::string word;
  std::string_view meaning{};
};

/// Instead of offers: the shell's own files of an ending ("toml"; empty: all) and folders, or
/// folders alone.
enum class Paths { none, files, folders };

struct Completion {
  std::vector<Offer> offers;
  Paths paths = Paths::none;
  std::string_view ending{};  // of files
};

/// Of the words after `lamp`, of which the last is being typed (empty: none yet).
Completion complete(std::span<const CommandInfo> commands, std::span<const std::string> words);

/// KEY, KEY=VALUE of --set. The config among the words before gives the names of arithmetics, and
/// its model the layers, heads and sites.
std::vector<Offer> complete_key(std::string_view typed, std::span<const std::string> before);

/// What names a format, a number system or an engine.
std::vector<Offer> names_of_formats();

}  // namespace lamp::experiments
