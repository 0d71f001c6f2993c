// lamp bench: becomes the program lamp-bench, which lies beside this one where the libraries that
// it is linked with were there.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "experiments/commands/commands.hpp"

namespace lamp::experiments {

namespace {

std::filesystem::path bench_program() {
  std::error_code failure;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failure);
  return self.parent_path() / "lamp-bench";
}

}  // namespace

bool bench_is_there() {
  std::error_code failure;
  return std::filesystem::exists(bench_program(), failure);
}

int bench_command(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{bench_program().string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(argv[0], argv.data());  // returns where it fails
  if (errno == ENOENT)
    return report("bench",
                  {ExitCode::missing_input,
                   "no " + words[0] +
                       ": this lamp was built without Google Benchmark or "
                       "OpenBLAS; install both (Debian: libbenchmark-dev, libopenblas-dev), "
                       "configure and build again"});
  return report("bench", {ExitCode::io, words[0] + ": " + std::strerror(errno)});
}

}  // namespace lamp::experiments
