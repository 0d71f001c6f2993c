// lamp completion: the script of a shell, which asks this program what a command line may go on
// with, by `lamp completion --words WORD...`; so a script knows what the program knows that is
// typed.
#include <array>
#include <iostream>

#include "experiments/commands/complete.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view bash =
    R"script(# Completion of lamp for bash; in ~/.bashrc: source <(lamp completion bash)
_lamp() {
  local at line word cut words=('')
  for ((at = 1; at <= COMP_CWORD; at++)); do  # bash cuts words at '=' and ':'
    word=${COMP_WORDS[at]}
    if [[ $word == [=:] || ${words[-1]} == *[=:] && ${COMP_WORDS[at-1]} == [=:] ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  cut=$word
  [[ $cut == [=:] ]] && cut=
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      ':files '*)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -X "!*${line#:files }" -- "$cut"; compgen -d -- "$cut") ;;
      ':files')
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cut") ;;
      ':folders')
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cut") ;;
      *)
        line=${line%%$'\t'*}
        [[ $line == *[=.:] ]] && compopt -o nospace 2>/dev/null
        word=${words[-1]}
        COMPREPLY+=("${line:${#word}-${#cut}}") ;;
    esac
  done < <("${COMP_WORDS[0]/#~\//$HOME/}" completion --words "${words[@]:1}" 2>/dev/null)
}
complete -F _lamp lamp
)script";

constexpr std::string_view zsh = R"script(#compdef lamp
# Completion of lamp for zsh; in ~/.zshrc, after compinit: source <(lamp completion zsh)
_lamp() {
  local line word program=${(Q)words[1]}
  local -a whole parts whole_shown parts_shown
  for line in "${(@f)$(${~program} completion --words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      ':files '*) compset -P '--*='; _files -g "*${line#:files }(-.)"; return ;;
      ':files') compset -P '--*='; _files; return ;;
      ':folders') compset -P '--*='; _files -/; return ;;
      '') ;;
      *)
        word=${line%%$'\t'*} line=${line/$'\t'/  -- }
        if [[ $word == *[=.:] ]]; then
          parts+=("$word") parts_shown+=("$line")
        else
          whole+=("$word") whole_shown+=("$line")
        fi ;;
    esac
  done
  (( $#parts )) && compadd -l -S '' -d parts_shown -a parts
  (( $#whole )) && compadd -l -d whole_shown -a whole
  (( $#parts + $#whole ))
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then _lamp "$@"; else compdef _lamp lamp; fi
)script";

constexpr std::string_view fish =
    R"script(# Completion of lamp for fish; in ~/.config/fish/config.fish: lamp completion fish | source
function __lamp_complete
  set -l words (commandline -opc)
  set -l typed (commandline -ct)
  set -l program $words[1]
  set -e words[1]
  set -l before (string match -r -- '^--[^=]*=' "$typed")  # of --option=VALUE
  set -l value (string replace -r -- '^--[^=]*=' '' "$typed")
  for line in ($program completion --words $words "$typed" 2>/dev/null)
    switch $line
      case ':files*'
        set -l ending (string replace -r '^:files ?' '' -- $line)
        for path in $value*$ending $value*/
          echo "$before$path"
        end
      case ':folders'
        for path in $value*/
          echo "$before$path"
        end
      case '*'
        echo $line
    end
  end
end
complete -c lamp -f -a '(__lamp_complete)'
)script";

struct Script {
  std::string_view shell, text;
};
constexpr std::array scripts{Script{"bash", bash}, Script{"zsh", zsh}, Script{"fish", fish}};

}  // namespace

std::vector<std::string> completed_shells() {
  std::vector<std::string> names;
  for (const Script& script : scripts) names.emplace_back(script.shell);
  return names;
}

bool completion_command(std::string_view shell) {
  for (const Script& script : scripts)
    if (script.shell == shell) return std::cout << script.text, true;
  return false;
}

int words_command(std::span<const CommandInfo> commands, std::span<const std::string> words) {
  const Completion completion = complete(commands, words);
  if (completion.paths == Paths::folders) std::cout << ":folders\n";
  if (completion.paths == Paths::files)
    std::cout << ":files" << (completion.ending.empty() ? "" : " .") << completion.ending << '\n';
  for (const Offer& offer : completion.offers)
    std::cout << offer.word << (offer.meaning.empty() ? "" : "\t") << offer.meaning << '\n';
  return 0;
}

}  // namespace lamp::experiments
