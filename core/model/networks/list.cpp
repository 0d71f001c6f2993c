// The networks. One more: its file, and its two lines here.
#include <array>

#include "core/model/networks/network.hpp"

namespace lamp {

extern const Network gpt2;
extern const Network llama, qwen2, mistral;

std::span<const Network* const> networks() {
  static constexpr std::array list{
      &gpt2,
      &llama,
      &qwen2,
      &mistral,
  };
  return list;
}

}  // namespace lamp
