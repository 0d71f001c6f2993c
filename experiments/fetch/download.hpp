// The bytes of one file, tried until they are all in NAME.partial: what comes of each answer of the
// server, and of each connection that is cut.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "experiments/fetch/fetch_folder.hpp"
#include "experiments/fetch/fetched.hpp"
#include "experiments/fetch/http.hpp"

namespace lamp::experiments {

/// A file that is to be fetched, and what is known of its bytes before anybody is asked.
struct Wanted {
  std::string name{};
  std::string url{};
  std::uint64_t most_bytes = 0;
  std::optional<std::uint64_t> size{};
  std::string sha256{};            // or empty
  std::string who_knows{};         // "lamp", "fetched.json"; empty where nobody does
  std::optional<Content> there{};  // a file under its name, which nobody has checked
};

/// Who is told what happens, and can end it.
struct FetchListener {
  /// Bytes of the file that are here, of all where that is known.
  std::function<void(const std::string& name, std::uint64_t here, std::optional<std::uint64_t> all)>
      moved{};
  std::function<void(const std::string& words)> note{};
  std::function<bool()> goes_on{};
};

/// What the download of a file needs and leaves behind.
struct Download {
  const Wanted& wanted;
  const FetchFolder& folder;
  PartialFile& partial;
  bool plain_http = false;
  std::string by_hand{};  // "FILES from WHERE into WHERE", for who has no network
  Fetched& fetched;       // also on disk
  const FetchListener& listener;
};

struct Downloaded {
  bool is_there = false;        // the server states the hash of the file that is there
  std::string stated_sha256{};  // or empty
  std::uint64_t bytes = 0;      // that came over the network and were kept
};

/// All bytes of the file in its partial file, not yet hashed. Errors: missing_input (404),
/// permission (401, 403), bad_data (another size or hash than known or pinned, or no file at all),
/// io (the disk), partial (everything that trying again may mend; also where the listener ended
/// it).
Result<Downloaded> download(HttpClient& client, const Download& download);

/// The host in an address, with its port.
std::string host_of(const std::string& url);

}  // namespace lamp::experiments
