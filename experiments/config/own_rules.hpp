// rule = "python:FILE:FUNCTION": how a config says it, and which files its own rules are in.
// Nothing here opens a file.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/sha256.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

inline constexpr std::string_view own_rule_prefix = "python:";
inline constexpr std::string_view own_rule_form = "python:FILE:FUNCTION";

/// Nothing where the text has another form; FUNCTION is an identifier in ASCII.
std::optional<OwnRuleName> parse_own_rule(std::string_view text);
/// "python:/home/ada/rules.py:largest", which parse_own_rule reads.
std::string own_rule_text(const OwnRuleName& rule);
/// What the result calls it: "python:rules.py:largest".
std::string own_rule_label(const OwnRuleName& rule);

/// Whether a key is a rule's, and a value of its axis an own rule: that one.
std::optional<OwnRuleName> own_rule_of_axis(std::string_view key, const Coordinate& value);

/// Makes the files absolute, which were relative to `folder`.
void resolve_own_rules(Config& config, const std::filesystem::path& folder);

/// Values of one axis are told apart by what the result calls them.
std::optional<Problem> check_own_rules(const Config& config);

/// The own rules that cells may have, each once: of [lamp.SITE], then of axes.
std::vector<OwnRuleName> own_rules_of(const Config& config);
/// Their files, each once, in this order.
std::vector<std::filesystem::path> own_rule_files(const Config& config);
/// The config, with what these files contain, which enters identities. What is not said of a file
/// is no content.
Config with_rule_contents(const Config& config, std::span<const Digest> contents);

}  // namespace lamp::experiments
