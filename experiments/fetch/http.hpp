// HTTP as a download needs it: one file, from a byte on, over libcurl. Nothing else of lamp knows
// the network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "experiments/fetch/http_answer.hpp"

namespace lamp::experiments {

struct HttpRequest {
  std::string url{};
  std::uint64_t offset = 0;  // of the first byte asked for
  std::string validator{};   // the rest only if the file is still this one, else all; empty: any
  bool plain = false;        // http is allowed, in redirects too; else https alone
};

/// Takes what comes. A function that returns false ends the transfer.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  /// Before the first byte, also where there is none.
  virtual bool begin(const HttpAnswer& answer) = 0;
  virtual bool write(std::span<const std::byte> bytes) = 0;
  /// Asked at least once a second.
  virtual bool goes_on() = 0;
};

enum class HttpEnd {
  complete,     // every byte that the server announced
  stopped,      // by the sink
  cut,          // after an answer had begun, or by a server that does not answer
  unreachable,  // no connection, or none that can be trusted
  refused,  // by us: a redirect to another protocol, too many redirects, an address that is none
};

struct HttpOutcome {
  HttpEnd end = HttpEnd::complete;
  std::string message{};  // why not complete
};

/// Keeps connections open between its requests.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpOutcome get(const HttpRequest& request, HttpSink& sink);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace lamp::experiments
