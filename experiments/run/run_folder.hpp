// The folder of a run: DIR/{study.toml, shards/, .lock, result.h5}. Who may write to it, and whose
// it is.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"

namespace lamp::experiments {

struct Experiment;  // experiment.hpp

/// Part K of N of the sequences; 1/1 is all of them.
struct ShardPart {
  std::size_t part = 1, of = 1;
};

class RunFolder {
 public:
  /// Creates or opens the folder and takes its lock (`flock`: it goes with the process, so a stale
  /// lock file is no obstacle). Whole runs exclude each other and every part; parts exclude only
  /// the same part. A folder that holds another experiment, which is told apart in words, or
  /// something else, is refused (cannot_create); one in use is `partial` (locked) and names host,
  /// process and start.
  static Result<RunFolder> open(const std::filesystem::path& folder, const ShardPart& part,
                                const Experiment& experiment);

  /// A folder that only its shards are read of; takes no lock, since a shard is replaced whole.
  static RunFolder for_reading(const std::filesystem::path& folder, const Digest& experiment) {
    return {folder, experiment};
  }

  /// Publishes study.toml: a header that names the experiment, then the resolved config.
  [[nodiscard]] Result<void> write_study(const std::string& resolved_config) const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path result() const { return path_ / "result.h5"; }
  /// A sequence's shard file, named by the sequence's identity: it does not depend on the order of
  /// texts.
  [[nodiscard]] std::filesystem::path shard(std::size_t sequence, const Digest& sequence_id) const;

 private:
  RunFolder(std::filesystem::path path, const Digest& experiment)
      : path_(std::move(path)), experiment_(experiment) {}
  std::filesystem::path path_;
  Digest experiment_;
  Descriptor lock_{}, part_lock_{};
};

/// Who holds the folder's locks: one line each, "host .., process .., since ..". Opens nothing for
/// writing; looking takes each lock for a moment, shared, which a run that starts waits for.
std::vector<std::string> holders(const std::filesystem::path& folder);

/// Whether a run of the experiment may go on, or begin, in the folder, which need not be there.
/// Errors: cannot_create for one that holds another experiment, which is told apart in words, or
/// something else.
Result<void> check_own(const std::filesystem::path& folder, const Experiment& experiment);

/// The experiment a folder's study.toml names, as 64 hexadecimal digits.
Result<std::string> experiment_of(const std::filesystem::path& folder);

}  // namespace lamp::experiments
