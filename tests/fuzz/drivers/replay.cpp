// Every harness over the files that are kept for it: FOLDER/{seeds,found}/HARNESS/*. Seeds are
// there to lead into the readers, so of each harness some must be accepted. usage: fuzz_replay
// FOLDER      or, one input: fuzz_replay HARNESS FILE
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/harness.hpp"

namespace {

using lamp::fuzz::Harness;
using std::filesystem::path;

std::string bytes_of(const path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<path> files_of(const path& folder) {
  std::vector<path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

bool run(const Harness& harness, const path& file) {
  std::fprintf(stderr, "%s\n", file.c_str());  // the last line tells which one ended the process
  return harness.run(bytes_of(file));
}

bool replay(const Harness& harness, const path& root) {
  std::size_t accepted = 0, seeds = 0, found = 0;
  for (const path& file : files_of(root / "seeds" / harness.name))
    ++seeds, accepted += run(harness, file) ? 1U : 0U;
  for (const path& file : files_of(root / "found" / harness.name)) ++found, run(harness, file);
  std::printf("%-16.*s %zu seeds, %zu of them accepted, %zu found earlier\n",
              static_cast<int>(harness.name.size()), harness.name.data(), seeds, accepted, found);
  return accepted > 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  std::vector<Harness>& list = lamp::fuzz::harnesses();
  std::sort(list.begin(), list.end(),
            [](const Harness& a, const Harness& b) { return a.name < b.name; });
  if (arguments.size() == 2) {
    for (const Harness& harness : list)
      if (harness.name == arguments[0])
        return std::puts(run(harness, arguments[1]) ? "accepted" : "refused"), 0;
    return std::fprintf(stderr, "no harness %s\n", arguments[0].c_str()), 2;
  }
  if (arguments.size() != 1)
    return std::fprintf(stderr, "usage: fuzz_replay FOLDER | HARNESS FILE\n"), 2;
  bool all = true;
  for (const Harness& harness : list)
    if (!replay(harness, arguments[0])) {
      std::printf("no seed of %s is accepted\n", std::string(harness.name).c_str());
      all = false;
    }
  return all ? 0 : 1;
}
