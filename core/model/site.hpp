// The sites: the operations of a GPT-2 at which arithmetic is chosen and values are tapped, in the
// order data meets them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

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
  logits
};

struct SiteInfo {
  Site site;
  std::string_view name;
  bool per_layer;
  bool per_head;
  bool causal = false;  // (T, T), entries (i, j > i) do not exist
};

inline constexpr std::array<SiteInfo, 15> sites{{
    {Site::embed, "embed", false, false},
    {Site::ln_1, "ln_1", true, false},
    {Site::qkv, "qkv", true, false},
    {Site::scores, "scores", true, true, true},
    {Site::softmax, "softmax", true, true, true},
    {Site::values, "values", true, true},
    {Site::attn_proj, "attn_proj", true, false},
    {Site::resid_1, "resid_1", true, false},
    {Site::ln_2, "ln_2", true, false},
    {Site::mlp_fc, "mlp_fc", true, false},
    {Site::gelu, "gelu", true, false},
    {Site::mlp_proj, "mlp_proj", true, false},
    {Site::resid_2, "resid_2", true, false},
    {Site::ln_f, "ln_f", false, false},
    {Site::logits, "logits", false, false},
}};

constexpr const SiteInfo& info(Site site) { return sites[static_cast<std::size_t>(site)]; }

constexpr std::optional<Site> parse_site(std::string_view name) {
  for (const SiteInfo& s : sites)
    if (s.name == name) return s.site;
  return std::nullopt;
}

static_assert([] {
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (static_cast<std::size_t>(sites[i].site) != i) return false;
  return true;
}());

}  // namespace lamp
