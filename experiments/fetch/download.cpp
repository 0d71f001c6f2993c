#include "experiments/fetch/download.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace lamp::experiments {
namespace {

constexpr int most_vain_tries = 5;  // in a row, without a new byte
constexpr std::chrono::milliseconds first_pause{200};

std::string bytes_of(std::uint64_t count) { return std::to_string(count) + " bytes"; }

/// Waits before the next of the tries in vain, longer each time.
void wait_before(int vain_try, const FetchListener& listener) {
  const auto until = std::chrono::steady_clock::now() + first_pause * (1 << (vain_try - 1));
  while (listener.goes_on() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

/// Takes one answer of the server.
class Taker : public HttpSink {
 public:
  enum class Verdict {
    go_on,    // all that came was taken
    again,    // not this time: `message` says why
    restart,  // the bytes that are here are of another file
    there,    // the file under the name is the server's
    failed,   // `error` says why, and trying again will not help
  };

  Taker(const Download& d, std::uint64_t offset) : d_(d), offset_(offset) {}

  bool begin(const HttpAnswer& answer) override {
    has_answer = true;
    if (!check_status(answer) || !check_file(answer) || !take_offset(answer)) return false;
    return remember(answer);
  }

  bool write(std::span<const std::byte> bytes) override {
    if (const std::uint64_t most = size.value_or(d_.wanted.most_bytes);
        d_.partial.size() + bytes.size() > most) {
      if (Result<void> cleared = d_.partial.clear(); !cleared) return fail(cleared.error());
      return fail(ExitCode::bad_data, "the server sends more than " + bytes_of(most));
    }
    if (Result<void> written = d_.partial.append(bytes); !written) return fail(written.error());
    received += bytes.size();
    d_.listener.moved(d_.wanted.name, d_.partial.size(), size);
    return true;
  }

  bool goes_on() override { return d_.listener.goes_on(); }

  Verdict verdict = Verdict::go_on;
  Error error{};
  std::string message{};
  bool has_answer = false;
  std::uint64_t received = 0;
  std::optional<std::uint64_t> size{};  // of the whole file
  [[nodiscard]] const std::string& stated() const { return stated_; }

 private:
  bool end(Verdict how) { return verdict = how, false; }
  bool fail(Error what) { return error = std::move(what), end(Verdict::failed); }
  bool fail(ExitCode code, const std::string& what) {
    return fail({code, d_.wanted.name + ": " + what + " (" + d_.wanted.url + ")"});
  }

  bool check_status(const HttpAnswer& answer) {
    const int status = answer.status;
    if (status == 200 || status == 206) return true;
    const std::string said = "the server answers " + std::to_string(status);
    if (status == 416 && offset_ > 0) return end(Verdict::restart);
    if (status == 404 || status == 410)
      return fail(ExitCode::missing_input, said + ": no such file");
    if (status == 401 || status == 403) return fail(ExitCode::permission, said + ": not allowed");
    if (status >= 500 || status == 408 || status == 425 || status == 429)
      return message = said, end(Verdict::again);
    return fail(ExitCode::bad_data, said + "; legal: 200, or 206 for a part");
  }

  /// Whether it can be the file that is wanted.
  bool check_file(const HttpAnswer& answer) {
    const Wanted& wanted = d_.wanted;
    if (answer.type.starts_with("text/html"))
      return fail(ExitCode::bad_data, "the server sends a page (text/html), not the file");
    if (!answer.encoding.empty())
      return fail(ExitCode::bad_data,
                  "the server sends it encoded, which was not asked for (Content-Encoding)");
    size = wanted.size ? wanted.size : answer.size;
    if (!size && answer.status == 206) size = entry().size;
    if (!size && !answer.has_end)
      return fail(ExitCode::bad_data, "the server states no length: a cut could not be told");
    if (size && (*size == 0 || *size > wanted.most_bytes))
      return fail(ExitCode::bad_data, "the server states " + bytes_of(*size) + "; legal: 1 to " +
                                          std::to_string(wanted.most_bytes));
    if (answer.size && answer.size != size)
      return fail(ExitCode::bad_data,
                  differs("size", std::to_string(*answer.size), std::to_string(*wanted.size)));
    if (!answer.sha256.empty() && !wanted.sha256.empty() && answer.sha256 != wanted.sha256)
      return fail(ExitCode::bad_data, differs("SHA-256", answer.sha256, wanted.sha256));
    if (!wanted.there || answer.sha256.empty()) return true;
    if (answer.sha256 == wanted.there->sha256) return stated_ = answer.sha256, end(Verdict::there);
    return fail(ExitCode::bad_data, "is in " + d_.folder.path().string() + " with SHA-256 " +
                                        wanted.there->sha256 + ", the server's has " +
                                        answer.sha256 + "; remove it, or name another --dir");
  }

  std::string differs(const std::string& what, const std::string& server, const std::string& ours) {
    return "has changed at the server: " + what + " " + server + ", but " + ours + " is what " +
           d_.wanted.who_knows + " says" +
           (d_.wanted.who_knows == "fetched.json"
                ? "; to take the new one, remove its entry there and the file"
                : "; another mirror may have the published one (--from)");
  }

  /// Where the bytes that come belong.
  bool take_offset(const HttpAnswer& answer) {
    if (answer.status == 206) {
      const Unfinished& begun = entry();
      const bool other_bytes =
          !begun.sha256.empty() && !answer.sha256.empty() && begun.sha256 != answer.sha256;
      const bool other_size = begun.size && answer.size && begun.size != answer.size;
      return answer.offset == offset_ && !other_bytes && !other_size ? true : end(Verdict::restart);
    }
    if (offset_ > 0)
      d_.listener.note(d_.wanted.name + ": the server sends it from the start again");
    if (Result<void> cleared = d_.partial.clear(); !cleared) return fail(cleared.error());
    const std::optional<std::uint64_t> free = d_.folder.free_bytes();
    if (free && size && *free < *size)
      return fail({ExitCode::io, d_.partial.path().string() + ": no space: " + bytes_of(*size) +
                                     " are needed, " + std::to_string(*free) + " are free"});
    return true;
  }

  Unfinished& entry() { return d_.fetched.unfinished[d_.wanted.name]; }

  /// For a later process: what these bytes are of.
  bool remember(const HttpAnswer& answer) {
    Unfinished now{d_.wanted.url, size, answer.sha256, answer.validator};
    if (answer.status == 206 && now.sha256.empty()) now.sha256 = entry().sha256;
    stated_ = now.sha256;
    if (entry() == now) return true;
    entry() = now;
    if (Result<void> written = write_fetched(d_.folder.path(), d_.fetched); !written)
      return fail(written.error());
    return true;
  }

  const Download& d_;
  std::uint64_t offset_;
  std::string stated_{};
};

/// What an earlier try, of this process or another, left to be gone on with.
struct Begun {
  bool same_place = false;  // from the same address
  Unfinished entry{};
};

Begun begun_of(const Download& d) {
  const auto at = d.fetched.unfinished.find(d.wanted.name);
  if (at == d.fetched.unfinished.end()) return {};
  return {at->second.url == d.wanted.url, at->second};
}

/// Whether every byte is here, and something can tell that they are the right ones.
bool is_whole(const Download& d, const Begun& begun) {
  const bool stated = begun.same_place && !begun.entry.sha256.empty();
  const std::optional<std::uint64_t> size =
      d.wanted.size ? d.wanted.size : (stated ? begun.entry.size : std::nullopt);
  return size && d.partial.size() == *size;
}

/// What is asked for now, after bytes that nothing can tell to be of the same file were dropped.
Result<HttpRequest> next_request(const Download& d, const Begun& begun) {
  HttpRequest request{.url = d.wanted.url, .plain = d.plain_http};
  const bool can_tell = !d.wanted.sha256.empty() ||
                        (begun.same_place && !(begun.entry.validator + begun.entry.sha256).empty());
  if (d.partial.size() > 0 && !can_tell) {
    d.listener.note(d.partial.path().string() + ": its " + bytes_of(d.partial.size()) +
                    " may be of another file; starting again");
    if (Result<void> cleared = d.partial.clear(); !cleared) return cleared.error();
  }
  request.offset = d.partial.size();
  if (begun.same_place) request.validator = begun.entry.validator;
  return request;
}

Error gives_up(const Download& d, const std::string& why) {
  return {ExitCode::partial, host_of(d.wanted.url) + ": " + why + "; " +
                                 bytes_of(d.partial.size()) + " of " + d.wanted.name +
                                 " are here, and the same command continues from there"};
}

}  // namespace

std::string host_of(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t first = scheme == std::string::npos ? 0 : scheme + 3;
  return url.substr(first, url.find('/', first) - first);
}

Result<Downloaded> download(HttpClient& client, const Download& d) {
  Downloaded result;
  bool reached = false;
  std::uint64_t most = d.partial.size();  // that were ever here
  for (int vain_tries = 0;;) {
    const Begun begun = begun_of(d);
    if (is_whole(d, begun)) return result.stated_sha256 = begun.entry.sha256, result;
    const Result<HttpRequest> request = next_request(d, begun);
    if (!request) return request.error();
    Taker taker(d, request->offset);
    const HttpOutcome outcome = client.get(*request, taker);
    if (!d.listener.goes_on()) return Error{ExitCode::partial, "stopped"};
    result.bytes += taker.received;
    reached = reached || taker.has_answer;
    std::string why = outcome.message;
    switch (taker.verdict) {
      case Taker::Verdict::failed:
        return taker.error;
      case Taker::Verdict::there:
        result.is_there = true;
        return result;
      case Taker::Verdict::restart:
        why = "the file at the server changes";
        d.listener.note(d.wanted.name + ": has changed at the server; starting again");
        if (Result<void> cleared = d.partial.clear(); !cleared) return cleared.error();
        break;
      case Taker::Verdict::again:
        why = taker.message;
        break;
      case Taker::Verdict::go_on:
        if (taker.size ? d.partial.size() == *taker.size : outcome.end == HttpEnd::complete)
          return result.stated_sha256 = taker.stated(), result;
        if (outcome.end == HttpEnd::refused)
          return Error{ExitCode::bad_data,
                       d.wanted.name + ": " + outcome.message + " (" + d.wanted.url + ")"};
        if (outcome.end == HttpEnd::unreachable && !reached)
          return Error{ExitCode::partial,
                       "cannot reach " + host_of(d.wanted.url) + ": " + outcome.message +
                           "; the download can be resumed by the same command, or copy the "
                           "folder by hand: " +
                           d.by_hand};
        break;
    }
    const bool in_vain = d.partial.size() <= most;
    most = std::max(most, d.partial.size());
    vain_tries = in_vain ? vain_tries + 1 : 0;
    if (vain_tries == most_vain_tries) return gives_up(d, why);
    if (in_vain)
      wait_before(vain_tries, d.listener);
    else
      d.listener.note(d.wanted.name + ": cut at " + bytes_of(d.partial.size()) + "; going on");
  }
}

}  // namespace lamp::experiments
