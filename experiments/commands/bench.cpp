// lamp bench: becomes the program lamp-bench, which lies beside this one where the libraries that
// it is linked with were there.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "experiments/commands/commands.hpp"

namespace lamp::experiments {

int bench_command(const std::vector<std::string>& arguments) {
  std::error_code failure;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failure);
  std::vector<std::string> words{(self.parent_path() / "lamp-bench").string()};
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
