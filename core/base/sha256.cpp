#include "core/base/sha256.hpp"

#include <openssl/evp.h>

#include <new>

#include "core/base/contract.hpp"

namespace lamp {

struct Sha256::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  // libcrypto has SHA-256; what it may lack is memory
  if (context_->md == nullptr || EVP_DigestInit_ex(context_->md, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  expects(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1,
          "SHA-256 update succeeds");
}

Digest Sha256::finish() {
  Digest digest{};
  expects(EVP_DigestFinal_ex(context_->md, digest.data(), nullptr) == 1,
          "SHA-256 is finished once");
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string to_hex(const Digest& digest) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : digest) hex += {digits[byte >> 4], digits[byte & 15]};
  return hex;
}

std::optional<Digest> digest_from_hex(std::string_view hex) {
  constexpr std::string_view digits = "0123456789abcdef";
  Digest digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const std::size_t high = digits.find(hex[2 * i]), low = digits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  return digest;
}

}  // namespace lamp
