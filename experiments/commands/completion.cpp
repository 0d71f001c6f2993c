// lamp completion bash: the script is made of the commands' usages, the config keys and the
// formats' names.
#include <algorithm>
#include <array>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/fp/number_system.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

/// How what a usage names is completed; anything else is not.
struct Completer {
  std::string_view word;
  std::string_view call;  // a function of the script
};

constexpr std::array completers{
    Completer{"CONFIG.toml", "_lamp_files toml"},
    Completer{"FILE.h5", "_lamp_files h5"},
    Completer{"FILE_OR_MODEL_DIR", "_lamp_files"},
    Completer{"DIR", "_lamp_folders"},
    Completer{"MODEL_DIR", "_lamp_folders"},
    Completer{"KEY=VALUE", "_lamp_keys"},
    Completer{"NAME", "_lamp_words \"$_lamp_formats\""},
};

std::string completer_of(const std::string& word) {
  for (const Completer& completer : completers)
    if (completer.word == word) return std::string(completer.call);
  if (std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
    return ":";  // a number
  std::string words = word;
  std::replace(words.begin(), words.end(), '|', ' ');
  return "_lamp_words \"" + words + "\"";
}

/// What `lamp formats` takes.
std::vector<std::string_view> names_of_formats() {
  std::vector<std::string_view> names = catalog_names();
  for (const std::string_view name : system_names()) names.push_back(name);
  for (const Engine& engine : engines()) names.push_back(engine.name);
  return names;
}

/// A usage taken apart: [--flag], [--option VALUE], OPERAND.
struct Usage {
  std::vector<std::string> options{"-h", "--help"};
  std::vector<std::pair<std::string, std::string>> values;  // option, the word for its value
  std::string operand;
};

Usage read_usage(std::string_view text) {
  Usage usage;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool flag = word.ends_with(']');
    std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
    word = word.substr(0, word.find("..."));
    if (!word.starts_with("--")) {
      usage.operand = word;
      continue;
    }
    usage.options.push_back(word);
    if (std::string value; !flag && words >> value)
      usage.values.emplace_back(word, value.substr(0, value.find(']')));
  }
  return usage;
}

/// Keys that can be set, and axes; NAME stands for the arithmetics of the config.
std::vector<std::string> settable_keys() {
  std::vector<std::string> keys, axes;
  for (const Field& field : fields()) {
    if (!field.available || field.key.starts_with("grid.")) continue;
    std::vector<std::string> names{""};
    if (field.key.starts_with("arithmetic.") || field.key.starts_with("cost.")) names = {"NAME"};
    if (field.key.starts_with("lamp.")) names = selectable_names();
    if (field.key.starts_with("lamp.layer."))
      std::erase_if(names,
                    [](const std::string& name) { return !info(*parse_site(name)).per_layer; });
    if (field.key.starts_with("lamp.layer."))
      for (std::string& name : names) name.insert(0, "0.");
    if (field.key == "plan.*" || field.key == "store.*") names = site_names();
    for (const std::string& name : names) {
      keys.push_back(path_of(field.key, name));
      if (field.key.starts_with("arithmetic.") || field.key.starts_with("lamp.") ||
          field.key.starts_with("plan.") || field.key.starts_with("store."))
        axes.push_back("grid." + keys.back());
    }
  }
  keys.insert(keys.end(), axes.begin(), axes.end());
  return keys;
}

template <class List>
std::string spaced(const List& words) {
  std::string text;
  for (const auto& word : words) text.append(text.empty() ? "" : " ").append(word);
  return text;
}

constexpr std::string_view helpers = R"(
_lamp_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }
_lamp_folders() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); }
_lamp_files() {  # of one ending, and folders
  compopt -o filenames 2>/dev/null
  if [[ -n $1 ]]; then
    mapfile -t COMPREPLY < <(compgen -f -X "!*.$1" -- "$cur"; compgen -d -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}
_lamp_keys() {  # with the arithmetics of the config on the command line
  compopt -o nospace 2>/dev/null
  local word name keys=
  for word in "${COMP_WORDS[@]:2}"; do
    [[ $word == *.toml && -f $word ]] || continue
    for name in $(sed -n 's/^[[:space:]]*\[arithmetic\.\([A-Za-z0-9_-]*\)\].*/\1/p' "$word"); do
      for key in $_lamp_set_keys; do [[ $key == *NAME* ]] && keys+=" ${key/NAME/$name}="; done
    done
  done
  for word in $_lamp_set_keys; do [[ $word == *NAME* ]] || keys+=" $word="; done
  _lamp_words "$keys"
}
)";

}  // namespace

int completion_command(std::span<const CommandInfo> commands) {
  std::string names, cases;
  for (const CommandInfo& command : commands) {
    const Usage usage = read_usage(command.usage);
    const std::string name(command.name);
    names += name + " ";
    cases += "    " + name + ")\n      case $prev in\n";
    for (const auto& [option, value] : usage.values)
      cases += "        " + option + ") " + completer_of(value) + "; return ;;\n";
    cases += "      esac\n      if [[ $cur == -* ]]; then _lamp_words \"" + spaced(usage.options) +
             "\"; else " + (usage.operand.empty() ? ":" : completer_of(usage.operand)) +
             "; fi ;;\n";
  }
  std::cout << "# Completion of lamp for bash; in ~/.bashrc: source <(lamp completion "
               "bash)\n_lamp_formats='"
            << spaced(names_of_formats()) << "'\n_lamp_set_keys='" << spaced(settable_keys())
            << "'\n"
            << helpers << "_lamp() {\n"
            << "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} key\n"
            << "  COMPREPLY=()\n"
            << "  [[ $cur == = ]] && cur=\n"
            << "  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
            << "  if ((COMP_CWORD == 1)); then _lamp_words \"" << names
            << "-h --help --version\"; return; fi\n"
            << "  case ${COMP_WORDS[1]} in\n"
            << cases << "  esac\n}\ncomplete -F _lamp lamp\n";
  return 0;
}

}  // namespace lamp::experiments
