#include "experiments/commands/complete.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

namespace lamp::experiments {
namespace {

/// An option, and the word for its value; empty: it is a flag.
struct UsedOption {
  std::string name, value;
};

/// A usage taken apart: [--flag], [--option VALUE], OPERAND.
struct Usage {
  std::vector<UsedOption> options{{"-h", {}}, {"--help", {}}};
  std::vector<std::string> operands;
  bool goes_on = false;  // the last operand may come again
};

Usage read_usage(std::string_view text) {
  Usage usage;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool flag = word.ends_with(']'), again = word.ends_with("...");
    std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
    word = word.substr(0, word.find("..."));
    if (!word.starts_with("--")) {
      usage.operands.push_back(word);
      usage.goes_on = again;
      continue;
    }
    UsedOption& option = usage.options.emplace_back(UsedOption{word, {}});
    if (std::string value; !flag && words >> value) {
      option.value = value.substr(0, value.find(']'));
    }
  }
  return usage;
}

const UsedOption* find_option(const Usage& usage, std::string_view name) {
  for (const UsedOption& option : usage.options)
    if (option.name == name) return &option;
  return nullptr;
}

std::vector<Offer> words_of(std::string_view text, char separator) {
  std::vector<Offer> list;
  std::istringstream in{std::string(text)};
  for (std::string word; std::getline(in, word, separator);) list.push_back({word});
  return list;
}

std::vector<Offer> command_names(std::span<const CommandInfo> commands) {
  std::vector<Offer> list;
  for (const CommandInfo& command : commands)
    list.push_back({std::string(command.name), command.meaning});
  return list;
}

/// What stands for a word of a usage.
Completion complete_word(std::string_view stands, std::string_view typed,
                         std::span<const CommandInfo> commands,
                         std::span<const std::string> before) {
  if (stands == "CONFIG.toml") return {.offers = {}, .paths = Paths::files, .ending = "toml"};
  if (stands == "FILE.h5") return {.offers = {}, .paths = Paths::files, .ending = "h5"};
  if (stands == "FILE_OR_MODEL_DIR") return {.offers = {}, .paths = Paths::files};
  if (stands == "DIR" || stands == "MODEL_DIR") return {.offers = {}, .paths = Paths::folders};
  if (stands == "KEY=VALUE") return {.offers = complete_key(typed, before)};
  if (stands == "NAME") return {.offers = names_of_formats()};
  if (stands == "COMMAND") return {.offers = command_names(commands)};
  const bool is_name =
      std::none_of(stands.begin(), stands.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return {.offers = is_name ? std::vector<Offer>{} : words_of(stands, '|')};
}

/// The operand that the next word is; nothing where there are as many as there can be.
std::optional<std::string> next_operand(const Usage& usage, std::span<const std::string> words) {
  std::size_t given = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with('-'))
      ++given;
    else if (const UsedOption* option = find_option(usage, words[i]);
             option != nullptr && !option->value.empty())
      ++i;  // its value
  }
  if (usage.operands.empty()) return std::nullopt;
  if (given < usage.operands.size()) return usage.operands[given];
  return usage.goes_on ? std::optional(usage.operands.back()) : std::nullopt;
}

Completion all_options(const Usage& usage) {
  Completion completion;
  for (const UsedOption& option : usage.options) completion.offers.push_back({option.name});
  return completion;
}

/// Of the words after the command's name.
Completion complete_command(const Usage& usage, std::span<const CommandInfo> commands,
                            std::span<const std::string> words) {
  const std::string& typed = words.back();
  const std::span<const std::string> before = words.first(words.size() - 1);
  const UsedOption* option = before.empty() ? nullptr : find_option(usage, before.back());
  if (option != nullptr && !option->value.empty())
    return complete_word(option->value, typed, commands, before);
  const std::size_t equals = typed.find('=');
  if (typed.starts_with("--") && equals != std::string::npos) {  // --option=VALUE
    option = find_option(usage, std::string_view(typed).substr(0, equals));
    if (option == nullptr || option->value.empty()) return {};
    Completion completion =
        complete_word(option->value, std::string_view(typed).substr(equals + 1), commands, before);
    for (Offer& offer : completion.offers) offer.word.insert(0, typed.substr(0, equals + 1));
    return completion;
  }
  const std::optional<std::string> operand = next_operand(usage, before);
  if (typed.starts_with('-') || !operand) return all_options(usage);
  return complete_word(*operand, typed, commands, before);
}

}  // namespace

Completion complete(std::span<const CommandInfo> commands, std::span<const std::string> words) {
  if (words.empty()) return {};
  Completion completion;
  if (words.size() == 1) {
    completion.offers = command_names(commands);
    for (const char* option : {"-h", "--help", "--version"}) completion.offers.push_back({option});
  } else {
    const auto command = std::find_if(commands.begin(), commands.end(),
                                      [&](const CommandInfo& c) { return c.name == words[0]; });
    if (command == commands.end()) return {};
    completion = complete_command(read_usage(command->usage), commands, words.subspan(1));
  }
  std::erase_if(completion.offers,
                [&](const Offer& offer) { return !offer.word.starts_with(words.back()); });
  return completion;
}

}  // namespace lamp::experiments
