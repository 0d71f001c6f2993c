#include "experiments/fetch/http.hpp"

#include <curl/curl.h>

#include <array>
#include <cstdlib>
#include <new>

#include "experiments/build_info.hpp"

namespace lamp::experiments {
namespace {

constexpr long most_redirects = 10;
constexpr long connect_seconds = 20, silent_seconds = 30;

struct Transfer {
  HttpSink& sink;
  HeaderReader headers{};
  bool begun = false;
  bool stopped = false;

  bool begin() {
    begun = true;
    return sink.begin(headers.answer());
  }
};

extern "C" {

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  static_cast<Transfer*>(user)->headers.line({data, size});
  return size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const bool goes_on = (transfer.begun || transfer.begin()) &&
                       transfer.sink.write(std::as_bytes(std::span(data, size)));
  if (!goes_on) transfer.stopped = true;
  return goes_on ? size : 0;
}

int take_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (!transfer.sink.goes_on()) transfer.stopped = true;
  return transfer.stopped ? 1 : 0;
}

}  // extern "C"

HttpEnd end_of(CURLcode code, const Transfer& transfer) {
  if (code == CURLE_OK) return HttpEnd::complete;
  if (transfer.stopped) return HttpEnd::stopped;
  if (code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_UNSUPPORTED_PROTOCOL ||
      code == CURLE_URL_MALFORMAT)
    return HttpEnd::refused;
  if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
      code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
      code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
    return HttpEnd::unreachable;
  return HttpEnd::cut;
}

std::string message_of(CURLcode code, const char* details) {
  if (code == CURLE_TOO_MANY_REDIRECTS)
    return "more than " + std::to_string(most_redirects) + " redirects";
  if (code == CURLE_UNSUPPORTED_PROTOCOL) return "a redirect to something that is not https";
  return *details != '\0' ? details : curl_easy_strerror(code);
}

/// Certificates to trust instead of the system's: what the program curl looks at too.
const char* trusted_certificates() {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (const char* file = std::getenv(name); file != nullptr && *file != '\0') return file;
  return nullptr;
}

/// The headers of one request, freed with it.
class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list_ = longer;
  }
  [[nodiscard]] curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

}  // namespace

struct HttpClient::Handle {
  CURL* curl = nullptr;
  Handle() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::bad_alloc();
    curl = curl_easy_init();
    if (curl == nullptr) throw std::bad_alloc();
  }
  ~Handle() {
    curl_easy_cleanup(curl);
    curl_global_cleanup();
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

HttpClient::HttpClient() : handle_(std::make_unique<Handle>()) {}
HttpClient::~HttpClient() = default;

HttpOutcome HttpClient::get(const HttpRequest& request, HttpSink& sink) {
  CURL* curl = handle_->curl;
  curl_easy_reset(curl);  // options alone: connections stay
  Transfer transfer{.sink = sink};
  std::array<char, CURL_ERROR_SIZE> details{};
  const char* protocols = request.plain ? "http,https" : "https";
  const std::string range = std::to_string(request.offset) + "-";
  const std::string agent = "lamp/" + std::string(build_info().version);
  HeaderList headers;
  if (request.offset > 0 && !request.validator.empty())
    headers.add("If-Range: " + request.validator);

  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, agent.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  if (const char* file = trusted_certificates(); file != nullptr)
    curl_easy_setopt(curl, CURLOPT_CAINFO, file);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, most_redirects);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, connect_seconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);  // bytes a second
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, silent_seconds);
  if (request.offset > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, details.data());
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, take_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);

  const CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code == CURLE_OK && !transfer.begun && !transfer.begin()) return {HttpEnd::stopped, ""};
  const HttpEnd end = end_of(code, transfer);
  if (end == HttpEnd::complete || end == HttpEnd::stopped) return {end, ""};
  return {end, message_of(code, details.data())};
}

}  // namespace lamp::experiments
