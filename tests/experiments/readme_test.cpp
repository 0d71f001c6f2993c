// The worked examples of READMEs and calc.md: every ```calc block is lines for `lamp calc`, each followed by its answer.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "experiments/calc.hpp"

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

}  // namespace

TEST_CASE("READMEs: the answers of their calc blocks", "[calc][readme]") {
  const std::filesystem::path source = LAMP_SOURCE_DIR;
  std::map<std::string, std::size_t> count;
  for (const char* folder : {"core", "analysis", "experiments"})
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
  CHECK(count["core/lamp/README.md"] >= 6);
  CHECK(count["experiments/commands/calc.md"] >= 18);
}

}  // namespace lamp::experiments
