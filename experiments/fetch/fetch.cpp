#include "experiments/fetch/fetch.hpp"

#include <system_error>

namespace lamp::experiments {
namespace {

Error stopped() { return {ExitCode::partial, "stopped"}; }

/// What is known of a file before the server is asked: here, or since it was fetched.
Wanted wanted_of(const FetchRequest& request, const PublishedFile& file, const Fetched& fetched) {
  Wanted wanted{.name = std::string(file.name),
                .url = request.base + "/" + std::string(file.name),
                .most_bytes = file.most_bytes};
  if (file.size > 0) {
    wanted.size = file.size;
    wanted.sha256 = file.sha256;
    wanted.who_knows = "lamp";
  } else if (const auto pin = fetched.files.find(wanted.name); pin != fetched.files.end()) {
    wanted.size = pin->second.size;
    wanted.sha256 = pin->second.sha256;
    wanted.who_knows = "fetched.json";
  }
  return wanted;
}

/// The file under its name: nothing where there is none; else its content, which is the one that is
/// known, where one is.
Result<std::optional<Content>> look_at(const Wanted& wanted, const std::filesystem::path& folder,
                                       const FetchListener& listener) {
  const std::filesystem::path path = folder / wanted.name;
  Result<std::optional<Content>> found = content_of(path, listener.goes_on);
  if (!found) {
    if (found.error().code == ExitCode::missing_input) return std::optional<Content>();
    return found.error();
  }
  if (!*found) return stopped();
  const Content& content = **found;
  if (wanted.sha256.empty() || content.sha256 == wanted.sha256) return found;
  return Error{ExitCode::bad_data, path.string() + ": has " + std::to_string(content.size) +
                                       " bytes with SHA-256 " + content.sha256 + ", but " +
                                       std::to_string(*wanted.size) + " with " + wanted.sha256 +
                                       " is what " + wanted.who_knows +
                                       " says; remove it to fetch it again"};
}

/// The partial file's bytes against what is known or stated of them. Wrong ones are dropped.
Result<Pin> checked(const Download& d, const Downloaded& loaded, const std::string& time) {
  const Result<std::optional<Content>> content = content_of(d.partial.path(), d.listener.goes_on);
  if (!content) return content.error();
  if (!*content) return stopped();
  const std::string& found = (*content)->sha256;
  const bool known = !d.wanted.sha256.empty();
  const std::string& expected = known ? d.wanted.sha256 : loaded.stated_sha256;
  if (!expected.empty() && found != expected) {
    const std::string path = d.partial.path().string();
    if (Result<void> cleared = d.partial.clear(); !cleared) return cleared.error();
    return Error{ExitCode::bad_data, path + ": SHA-256 " + found + ", but " + expected +
                                         " is what " + (known ? d.wanted.who_knows : "the server") +
                                         " says; the wrong bytes were removed, try again"};
  }
  CheckedBy by = CheckedBy::length;
  if (d.wanted.who_knows == "lamp")
    by = CheckedBy::known;
  else if (const auto pin = d.fetched.files.find(d.wanted.name); pin != d.fetched.files.end())
    by = pin->second.checked;
  else if (!expected.empty())
    by = CheckedBy::stated;
  return Pin{d.wanted.url, (*content)->size, found, by, time};
}

/// What can be done without a network.
std::string by_hand(const FetchRequest& request) {
  std::string names;
  for (const PublishedFile& file : request.checkpoint.files)
    names.append(names.empty() ? "" : ", ").append(file.name);
  return names + " from " + request.base + " into " + request.folder.string();
}

/// One file that is missing, or that nobody has checked (wanted.there).
Result<FetchedFile> fetch_file(HttpClient& client, const FetchRequest& request,
                               const FetchFolder& folder, const Wanted& wanted, Fetched& fetched,
                               const FetchListener& listener) {
  Result<PartialFile> partial = PartialFile::open(folder, wanted.name);
  if (!partial) return partial.error();
  const bool plain_http = !request.base.starts_with("https://");
  const Download d{wanted, folder, *partial, plain_http, by_hand(request), fetched, listener};
  const Result<Downloaded> loaded = download(client, d);
  if (!loaded) return loaded.error();
  FetchedFile file{.name = wanted.name, .downloaded = loaded->bytes};
  if (loaded->is_there) {
    file.pin = {wanted.url, wanted.there->size, wanted.there->sha256, CheckedBy::stated,
                request.time};
  } else {
    Result<Pin> pin = checked(d, *loaded, request.time);
    if (!pin) return pin.error();
    if (wanted.there && wanted.there->sha256 != pin->sha256)
      return Error{ExitCode::bad_data, (folder.path() / wanted.name).string() +
                                           ": is another file than the server's, which is in " +
                                           partial->path().string() + "; remove one of them"};
    file.pin = *std::move(pin);
    if (Result<void> done = partial->publish(); !done) return done.error();
  }
  fetched.files[wanted.name] = file.pin;
  fetched.unfinished.erase(wanted.name);
  if (Result<void> written = write_fetched(folder.path(), fetched); !written)
    return written.error();
  return file;
}

}  // namespace

Result<std::vector<FetchedFile>> fetch(const FetchRequest& request, const FetchListener& listener) {
  const Result<FetchFolder> folder = FetchFolder::open(request.folder);
  if (!folder) return folder.error();
  Result<Fetched> fetched = read_fetched(request.folder, request.checkpoint.name);
  if (!fetched) return fetched.error();
  std::vector<Wanted> missing;
  std::vector<FetchedFile> files;
  for (const PublishedFile& file : request.checkpoint.files) {
    Wanted wanted = wanted_of(request, file, *fetched);
    Result<std::optional<Content>> there = look_at(wanted, request.folder, listener);
    if (!there) return there.error();
    files.push_back({.name = wanted.name});
    if (*there && !wanted.sha256.empty()) {
      const auto pin = fetched->files.find(wanted.name);
      files.back().pin = pin != fetched->files.end()
                             ? pin->second
                             : Pin{"", (*there)->size, (*there)->sha256, CheckedBy::known, ""};
    } else {
      wanted.there = *std::move(there);
      missing.push_back(std::move(wanted));
    }
  }
  HttpClient client;
  for (const Wanted& wanted : missing) {
    const Result<FetchedFile> file =
        fetch_file(client, request, *folder, wanted, *fetched, listener);
    if (!file) return file.error();
    for (FetchedFile& row : files)
      if (row.name == wanted.name) row = *file;
  }
  return files;
}

}  // namespace lamp::experiments
