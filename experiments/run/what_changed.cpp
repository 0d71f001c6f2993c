#include "experiments/run/what_changed.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "experiments/config/fields.hpp"
#include "experiments/config/value.hpp"
#include "experiments/config/variants.hpp"
#include "experiments/run/study_inputs.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t most_items = 8, most_characters = 80;  // of a line that people read

std::string shortened(const std::string& text) {
  return text.size() <= most_characters ? text : text.substr(0, most_characters) + "..";
}

/// One of the two experiments.
struct Side {
  const Config& config;
  std::vector<IdentityLine> lines;
  std::map<std::string, std::string> shown;  // value of each key as study.toml writes it
  std::vector<std::string> replaced;         // keys_of_axes

  Side(const Config& of, const Inputs& inputs, int semantics_number)
      : config(of),
        lines(experiment_lines(of, inputs, semantics_number)),
        replaced(keys_of_axes(of)) {
    for (auto& [key, value] : resolved_fields(of)) shown.emplace(key, std::move(value));
  }

  [[nodiscard]] std::vector<std::string> values(std::string_view name) const {
    std::vector<std::string> found;
    for (const IdentityLine& line : lines)
      if (line.name == name) found.push_back(line.value);
    return found;
  }

  /// That key, or the alternative in its place, and its value.
  [[nodiscard]] std::pair<std::string, std::string> written(const std::string& key) const {
    const std::string other = find_field(key).alternative();
    for (const std::string& each : {key, other})
      if (const auto found = shown.find(each); found != shown.end())
        return {each, shortened(found->second)};
    return {key, "absent"};
  }

  [[nodiscard]] bool has_section(const std::string& section) const {
    const auto at = shown.lower_bound(section + '.');
    return at != shown.end() && at->first.starts_with(section + '.');
  }
};

class Differences {
 public:
  Differences(const Side& was, const Side& is) : was_(was), is_(is) {
    contents();
    texts();
    axes();
    for (const Side* side : {&was, &is})
      for (const IdentityLine& line : side->lines)
        if (std::find(std::begin(no_keys), std::end(no_keys), line.name) == std::end(no_keys) &&
            differs(line.name))
          key(line.name);
  }

  [[nodiscard]] std::string in_words() const {
    std::string text;
    for (std::size_t i = 0; i < std::min(items_.size(), most_items); ++i)
      text += (i == 0 ? "" : "; ") + items_[i];
    if (items_.size() > most_items)
      text += "; and " + std::to_string(items_.size() - most_items) + " more";
    return text;
  }

 private:
  /// Names of lines that this class has words for; any other is a key.
  static constexpr std::string_view no_keys[] = {
      "semantics", "model", "activation", "reference_model", "tokenizer", "text", "axis"};

  void add(std::string item) {
    if (std::find(items_.begin(), items_.end(), item) == items_.end())
      items_.push_back(std::move(item));
  }
  void add(const std::string& what, const std::string& was, const std::string& is) {
    add(what + " was " + was + ", is " + is);
  }
  void add_lists(const std::string& what, const std::vector<std::string>& was,
                 const std::vector<std::string>& are) {
    add(what + " were [" + join(was) + "], are [" + join(are) + ']');
  }

  [[nodiscard]] bool differs(std::string_view name) const {
    return was_.values(name) != is_.values(name);
  }

  void contents() {
    if (differs("semantics"))
      add("lamp's semantics number", was_.values("semantics").front(),
          is_.values("semantics").front());
    const bool both = was_.values("model").size() == is_.values("model").size();  // else an axis
    if (both && differs("model"))
      add("the content of the model " + model_name(is_.config.model_path));
    if (both && differs("activation"))
      add("model.activation", was_.values("activation").front(), is_.values("activation").front());
    const auto reference = [](const Side& side) {  // its line is there where it is another model
      const std::vector<std::string> own = side.values("reference_model");
      return own.empty() ? side.values("model") : own;
    };
    const bool is_own = was_.config.reference_model.empty() && is_.config.reference_model.empty();
    if (!is_own && reference(was_) != reference(is_)) add("the content of the reference's model");
    if (differs("tokenizer") && was_.config.tokens.from_ids == is_.config.tokens.from_ids)
      add("the content of the tokenizer");
  }

  void texts() {
    const std::vector<std::string> was = was_.values("text"), is = is_.values("text"),
                                   names_before = text_names(was_.config),
                                   names = text_names(is_.config);
    if (was.size() != is.size()) return add_lists("the texts", names_before, names);
    for (std::size_t i = 0; i < is.size(); ++i)
      if (was[i] != is[i])
        add("the content of the text " + is_.config.tokens.paths[i].filename().string());
  }

  void axes() {
    if (!differs("axis")) return;
    const std::vector<std::string> was = was_.values("axis"), is = is_.values("axis");
    const bool same = std::is_permutation(was.begin(), was.end(), is.begin(), is.end());
    add_lists(same ? "the axes, in this order," : "the axes", was, is);
  }

  void key(const std::string& name) {
    const auto is_replaced = [&](const Side& side) {
      return std::find(side.replaced.begin(), side.replaced.end(), name) != side.replaced.end();
    };
    if (is_replaced(was_) || is_replaced(is_)) return;  // told of the axes
    const FieldMatch match = find_field(name);
    if (const std::size_t dot = match.field->key.rfind('.'); dot != std::string_view::npos) {
      const std::string section = path_of(match.field->key.substr(0, dot), match.name);
      if (!was_.has_section(section)) return add('[' + section + "] is new");
      if (!is_.has_section(section)) return add('[' + section + "] is gone");
    }
    const auto [before, old] = was_.written(name);
    const auto [now, value] = is_.written(name);
    if (before == now && old == value)
      add("the content of the rule " + value);
    else if (before == now)
      add(now, old, value);
    else
      add(before + " = " + old + " is now " + now + " = " + value);
  }

  const Side &was_, &is_;
  std::vector<std::string> items_;
};

}  // namespace

std::string what_changed(const std::filesystem::path& folder, const Config& config,
                         const Inputs& inputs) {
  const std::filesystem::path study = folder / "study.toml";
  const Result<Config> old = load_config(study, {});
  if (!old) return "this version of lamp cannot read it: " + old.error().message;
  const std::optional<RecordedInputs> recorded = read_inputs(study);
  // Of a study.toml that does not name its files' contents, the keys alone can be compared.
  const Inputs& old_inputs = recorded ? static_cast<const Inputs&>(*recorded) : inputs;
  const int number = recorded ? recorded->semantics.value_or(semantics) : semantics;
  const Side was(*old, old_inputs, number), is(config, inputs, semantics);
  std::string found = Differences(was, is).in_words();
  if (!found.empty()) return found;
  return recorded ? "nothing that its study.toml says: it was edited, or another version of lamp "
                    "wrote it"
                  : "the model, a text, the tokenizer or this program: its study.toml does not say";
}

}  // namespace lamp::experiments
