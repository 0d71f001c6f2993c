// SHA-256 of bytes (libcrypto), for the identity of configs, models, tokens and shards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lamp {

using Digest = std::array<std::uint8_t, 32>;

/// Incremental: update any number of times, then finish once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Digest sha256(std::span<const std::byte> bytes);
Digest sha256(std::string_view text);
/// 64 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);
/// What to_hex gives the text of; nothing for any other.
std::optional<Digest> digest_from_hex(std::string_view hex);

}  // namespace lamp
