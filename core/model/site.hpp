// The sites of all networks: the operations at which arithmetic is chosen and values are tapped.
// What is known of one without a model stands here; the rest in the table of a network that has it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/names.hpp"

namespace lamp {

enum class Site : std::uint8_t {
  embed,
  ln_1,
  qkv,
  scores,
  softmax,
  values,
  attn_proj,
  resid_1,
  ln_2,
  mlp_fc,
  gelu,
  mlp_proj,
  resid_2,
  ln_f,
  logits,
  q,
  k,
  v,
  rope_q,
  rope_k,
  gate,
  up,
  silu,
  gated
};

struct SiteInfo {
  Site site;
  std::string_view name;
  std::uint32_t draw;  // the site in the coordinates of a random draw: never changes, < 32
  bool per_layer;
  bool per_head;
  bool causal = false;  // (T, T), of which row i has the entries j <= i
};

/// The components of a row of a site: the causal ones, or all.
enum class Entries : std::uint8_t { causal, all };

inline constexpr std::array<SiteInfo, 24> sites{{
    {Site::embed, "embed", 0, false, false},
    {Site::ln_1, "ln_1", 1, true, false},
    {Site::qkv, "qkv", 2, true, false},
    {Site::scores, "scores", 3, true, true, true},
    {Site::softmax, "softmax", 4, true, true, true},
    {Site::values, "values", 5, true, true},
    {Site::attn_proj, "attn_proj", 6, true, false},
    {Site::resid_1, "resid_1", 7, true, false},
    {Site::ln_2, "ln_2", 8, true, false},
    {Site::mlp_fc, "mlp_fc", 9, true, false},
    {Site::gelu, "gelu", 10, true, false},
    {Site::mlp_proj, "mlp_proj", 11, true, false},
    {Site::resid_2, "resid_2", 12, true, false},
    {Site::ln_f, "ln_f", 13, false, false},
    {Site::logits, "logits", 14, false, false},
    {Site::q, "q", 15, true, false},
    {Site::k, "k", 16, true, false},
    {Site::v, "v", 17, true, false},
    {Site::rope_q, "rope_q", 18, true, false},
    {Site::rope_k, "rope_k", 19, true, false},
    {Site::gate, "gate", 20, true, false},
    {Site::up, "up", 21, true, false},
    {Site::silu, "silu", 22, true, false},
    {Site::gated, "gated", 23, true, false},
}};

constexpr const SiteInfo& info(Site site) { return sites[static_cast<std::size_t>(site)]; }

constexpr Entries entries_of(Site site) {
  return info(site).causal ? Entries::causal : Entries::all;
}

constexpr std::optional<Site> parse_site(std::string_view name) {
  for (const SiteInfo& s : sites)
    if (s.name == name) return s.site;
  return std::nullopt;
}

static_assert(sites.size() == enumerators<Site>() && [] {
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (static_cast<std::size_t>(sites[i].site) != i) return false;
  return true;
}());

/// Draws of two sites never meet, and those of old results are what they were.
static_assert([] {
  std::uint32_t taken = 0;
  for (const SiteInfo& s : sites) {
    if (s.draw >= 32 || (taken >> s.draw & 1) != 0) return false;
    taken |= std::uint32_t{1} << s.draw;
  }
  return true;
}());
static_assert([] {
  constexpr std::array<std::string_view, 24> drawn{
      "embed", "ln_1",   "qkv",    "scores",   "softmax", "values", "attn_proj", "resid_1",
      "ln_2",  "mlp_fc", "gelu",   "mlp_proj", "resid_2", "ln_f",   "logits",    "q",
      "k",     "v",      "rope_q", "rope_k",   "gate",    "up",     "silu",      "gated"};
  for (std::uint32_t draw = 0; draw < drawn.size(); ++draw)
    if (const std::optional<Site> site = parse_site(drawn[draw]); !site || info(*site).draw != draw)
      return false;
  return true;
}());

}  // namespace lamp
