// lamp fetch: a published checkpoint over the network, or what is missing of it.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/model/files/strict_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/config/suggestions.hpp"
#include "experiments/config/value.hpp"
#include "experiments/fetch/fetch.hpp"
#include "experiments/run/bar.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/interrupt.hpp"
#include "experiments/run/progress.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// Standard error: a bar on a terminal, a line now and then elsewhere.
class FetchProgress {
 public:
  ~FetchProgress() { end_bar(); }
  FetchProgress() = default;
  FetchProgress(const FetchProgress&) = delete;
  FetchProgress& operator=(const FetchProgress&) = delete;

  void note(const std::string& words) {
    end_bar();
    std::fprintf(stderr, "lamp fetch: %s\n", one_line(words).c_str());
  }

  void moved(const std::string& name, std::uint64_t here, std::optional<std::uint64_t> all) {
    if (name != name_ || here < first_) start(name, here);
    const bool last = all && here == *all;
    const double interval = bar_ ? 0.1 : 10.0;  // seconds
    if (last ? !bar_ : seconds(printed_) < interval) return;
    printed_ = Clock::now();
    const double speed =
        static_cast<double>(here - first_) / std::max(seconds(started_), 1e-3);  // bytes a second
    std::vector<std::string> words{name + ": " + bytes_text(static_cast<double>(here))};
    if (all) words.back() += " of " + bytes_text(static_cast<double>(*all));
    if (all && speed > 0.0)
      words.push_back(duration_text(static_cast<double>(*all - here) / speed) + " left");
    words.push_back(bytes_text(speed) + "/s");
    if (!bar_) return note(join(words));
    const double share = all ? static_cast<double>(here) / static_cast<double>(*all) : -1.0;
    draw_over(bar_line(share, words, "", terminal_columns()));
    drawn_ = true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }
  void start(const std::string& name, std::uint64_t here) {
    end_bar();
    name_ = name, first_ = here;
    started_ = printed_ = Clock::now();
  }
  void end_bar() {
    if (drawn_) std::fputc('\n', stderr);
    drawn_ = false;
  }

  bool bar_ = isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  std::string name_{};
  std::uint64_t first_ = 0;
  Clock::time_point started_{}, printed_{};
};

/// data/models/NAME of the tree that this program was built in, where it still lies there.
std::filesystem::path default_folder_of(const std::string& name) {
  std::error_code failure;
  std::filesystem::path at = std::filesystem::read_symlink("/proc/self/exe", failure);
  for (at = at.parent_path(); at.has_relative_path(); at = at.parent_path())
    if (std::filesystem::exists(at / "data" / "MANIFEST", failure) &&
        std::filesystem::is_directory(at / "data" / "models", failure))
      return at / "data" / "models" / name;
  return name;
}

/// The address of a folder, without a slash at its end; empty where it is none that we ask.
std::string base_of(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  const bool known = url.starts_with("https://") || url.starts_with("http://");
  return known && !host_of(url).empty() && is_header_value(url) &&
                 url.find_first_of(" ?#@\\\"<>") == std::string::npos
             ? url
             : "";
}

Result<FetchRequest> request_of(const FetchOptions& options) {
  const std::span<const PublishedCheckpoint> published = published_checkpoints();
  const auto checkpoint =
      std::find_if(published.begin(), published.end(),
                   [&](const PublishedCheckpoint& c) { return c.name == options.name; });
  if (checkpoint == published.end()) {
    std::vector<std::string> names;
    for (const PublishedCheckpoint& c : published) names.emplace_back(c.name);
    return Error{ExitCode::missing_input, "unknown checkpoint " + toml_string(options.name) +
                                              "; legal: " + join(names) +
                                              did_you_mean(nearest(options.name, names))};
  }
  const std::string base = base_of(options.from.value_or(std::string(checkpoint->base)));
  if (base.empty())
    return Error{ExitCode::usage,
                 "--from " + toml_string(*options.from) +
                     " is not legal; legal: https://HOST/FOLDER or http://HOST/FOLDER, without "
                     "user, query or fragment"};
  return FetchRequest{.checkpoint = *checkpoint,
                      .folder = options.dir.value_or(default_folder_of(options.name)),
                      .base = base,
                      .time = utc_now()};
}

std::uint64_t downloaded(const std::vector<FetchedFile>& files) {
  std::uint64_t bytes = 0;
  for (const FetchedFile& file : files) bytes += file.downloaded;
  return bytes;
}

Json as_json(const FetchRequest& request, const std::vector<FetchedFile>& files) {
  Json rows = Json::array();
  for (const FetchedFile& file : files)
    rows.push_back({{"name", file.name},
                    {"url", file.pin.url.empty() ? Json() : Json(file.pin.url)},
                    {"size", file.pin.size},
                    {"sha256", file.pin.sha256},
                    {"checked", name_of(file.pin.checked)},
                    {"downloaded", file.downloaded}});
  return {{"checkpoint", request.checkpoint.name},
          {"folder", request.folder.string()},
          {"downloaded", downloaded(files)},
          {"files", std::move(rows)}};
}

std::string in_words(CheckedBy checked) {
  switch (checked) {
    case CheckedBy::known:
      return "as published";
    case CheckedBy::stated:
      return "as the server states it";
    case CheckedBy::length:
      return "length checked, no hash stated";
  }
  return "";
}

void print(const FetchRequest& request, const std::vector<FetchedFile>& files) {
  for (const FetchedFile& file : files)
    std::cout << padded(file.name, 18) << ' ' << padded(std::to_string(file.pin.size), 11)
              << " bytes  SHA-256 " << file.pin.sha256 << "  " << in_words(file.pin.checked)
              << '\n';
  std::cout << request.folder.string() << ": complete, "
            << (downloaded(files) == 0
                    ? "nothing was downloaded"
                    : bytes_text(static_cast<double>(downloaded(files))) + " downloaded")
            << '\n';
}

}  // namespace

int fetch_command(const FetchOptions& options) {
  const Result<FetchRequest> request = request_of(options);
  if (!request) return report("fetch", request.error());
  const InterruptGuard guard("stopping the download; what was downloaded is kept",
                             "what was downloaded and not written yet");
  FetchProgress progress;
  const FetchListener listener{
      .moved = [&](const std::string& name, std::uint64_t here,
                   std::optional<std::uint64_t> all) { progress.moved(name, here, all); },
      .note = [&](const std::string& words) { progress.note(words); },
      .goes_on = [] { return interrupted_by() == 0; }};
  const Result<std::vector<FetchedFile>> files = fetch(*request, listener);
  if (const int signal = interrupted_by(); signal != 0 && !files) {
    progress.note("stopped by signal " + std::to_string(signal) +
                  "; what was downloaded is kept, run the same command again to continue");
    return 128 + signal;
  }
  if (!files) return report("fetch", files.error());
  if (options.json)
    std::cout << json_text(as_json(*request, *files)) << '\n';
  else
    print(*request, *files);
  return 0;
}

}  // namespace lamp::experiments
