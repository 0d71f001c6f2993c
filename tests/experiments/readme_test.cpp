// What READMEs and calc.md say that a program can check: every ```calc block is lines for `lamp
// calc`, each followed by its answer; the keys they name are keys.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "experiments/calc/calc.hpp"
#include "experiments/config/arithmetic.hpp"
#include "experiments/config/fields.hpp"

namespace lamp::experiments {
namespace {

struct Example {
  std::string line, answer;
};

std::vector<Example> examples(const std::filesystem::path& file) {
  std::vector<Example> found;
  std::ifstream in(file);
  bool inside = false, complete = true;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      REQUIRE(complete);
      inside = line == "```calc";
    } else if (inside && complete) {
      found.push_back({.line = line, .answer = {}});
      complete = false;
    } else if (inside) {
      found.back().answer = line;
      complete = true;
    }
  }
  return found;
}

std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The pieces of the text that the pattern's group captures.
std::vector<std::string> captures(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    found.push_back((*at)[1]);
  return found;
}

/// The words of the first group that the pattern captures.
std::set<std::string> words_of(const std::string& text, const std::string& pattern) {
  const std::vector<std::string> found = captures(text, pattern);
  REQUIRE(found.size() == 1);
  const std::vector<std::string> words = captures(found[0], "([a-z_]+)");
  return {words.begin(), words.end()};
}

/// As the reader of formats tells them to who has written another.
std::set<std::string> format_keys() {
  const Result<FloatFormat> refused = parse_format_json(nlohmann::json{{"none", 1}});
  REQUIRE_FALSE(refused.ok());
  return words_of(refused.error().message, "legal: ([a-z_, ]*)");
}

/// Code within the lines of a README: its blocks left out.
std::string inline_code(const std::filesystem::path& file) {
  std::string code;
  bool inside = false;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) inside = !inside;
    if (inside || line.starts_with("    ")) continue;
    for (const std::string& piece : captures(line, "`([^`]*)`")) code += piece + "\n";
  }
  return code;
}

}  // namespace

TEST_CASE("READMEs: the keys of a format are those that are read", "[readme]") {
  const std::filesystem::path source = LAMP_SOURCE_DIR;
  std::set<std::string> optional = format_keys();
  REQUIRE(optional.size() == 11);
  for (const char* key : {"p", "emin", "emax"}) REQUIRE(optional.erase(key) == 1);
  std::string listed = slurp(source / "core/fp/README.md");
  listed = listed.substr(listed.find("The other fields say what there is:"));
  listed = listed.substr(0, listed.find("`e<w>m<t>`"));
  const std::vector<std::string> named = captures(listed, "`([a-z_]+)`");
  CHECK(std::set<std::string>(named.begin(), named.end()) == optional);
  CHECK(words_of(slurp(source / "experiments/README.md"), "the rest \\(`([a-z_ ]*)`\\)") ==
        optional);
}

TEST_CASE("READMEs: the keys of configs that they name are keys", "[readme]") {
  const std::filesystem::path source = LAMP_SOURCE_DIR;
  std::set<std::string> last = format_keys();  // the last part of every key
  for (const Field& field : fields()) last.emplace(field.key.substr(field.key.rfind('.') + 1));
  std::size_t values = 0, paths = 0;
  std::vector<std::filesystem::path> readmes{source / "README.md"};
  for (const char* folder : {"core", "analysis", "experiments", "notebooks", "data"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source / folder))
      if (entry.path().extension() == ".md") readmes.push_back(entry.path());
  for (const std::filesystem::path& readme : readmes) {
    const std::string code = inline_code(readme);
    for (const std::string& key : captures(code, "([a-z_][a-z_.]*) = [\"\\[{0-9]")) {
      INFO(readme << ": " << key << " = ..");
      CHECK(last.contains(key.substr(key.rfind('.') + 1)));
      ++values;
    }
    for (const std::string& key : captures(code,
                                           "(?:^|\n)((?:model|tokens|reference|record|continuation)"
                                           "\\.(?!safetensors)[a-z_]+)(?=\n)")) {
      INFO(readme << ": " << key);
      CHECK(find_field(key).field != nullptr);
      ++paths;
    }
  }
  CHECK(values >= 15);  // finding none is no success
  CHECK(paths >= 2);
}

TEST_CASE("READMEs: the answers of their calc blocks", "[calc][readme]") {
  const std::filesystem::path source = LAMP_SOURCE_DIR;
  std::map<std::string, std::size_t> count;
  for (const char* folder : {"core", "analysis", "experiments", "notebooks"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(source / folder)) {
      if (entry.path().extension() != ".md") continue;
      const std::string name = entry.path().lexically_relative(source).string();
      for (const Example& example : examples(entry.path())) {
        INFO(name << ": " << example.line);
        CHECK(calc_line(example.line).json == example.answer);
        ++count[name];
      }
    }
  // Finding none is no success.
  CHECK(count["core/fp/README.md"] >= 17);
  CHECK(count["core/arith/README.md"] >= 20);
  CHECK(count["core/selection/README.md"] >= 6);
  CHECK(count["experiments/commands/calc.md"] >= 18);
  CHECK(count["notebooks/tutorial/method.md"] >= 12);
}

}  // namespace lamp::experiments
