#include "experiments/config/suggestions.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>
#include <vector>

#include "core/fp/number_system.hpp"

namespace lamp::experiments {
namespace {

// Sources: PyTorch's and JAX's dtypes (ml_dtypes), CUDA and cuBLAS, MPFR, C's <fenv.h>, the
// configs and the modules of Hugging Face's transformers.
constexpr std::array elsewhere{
    // formats
    WordElsewhere{"fp16", "binary16"},
    WordElsewhere{"f16", "binary16"},
    WordElsewhere{"float16", "binary16"},
    WordElsewhere{"half", "binary16"},
    WordElsewhere{"bf16", "bfloat16"},
    WordElsewhere{"brainfloat16", "bfloat16"},
    WordElsewhere{"fp32", "binary32"},
    WordElsewhere{"f32", "binary32"},
    WordElsewhere{"float32", "binary32"},
    WordElsewhere{"float", "binary32"},
    WordElsewhere{"single", "binary32"},
    WordElsewhere{"fp64", "binary64"},
    WordElsewhere{"f64", "binary64"},
    WordElsewhere{"float64", "binary64"},
    WordElsewhere{"double", "binary64"},
    WordElsewhere{"tensorfloat32", "tf32"},
    WordElsewhere{"fp8", "e4m3fn"},
    WordElsewhere{"float8", "e4m3fn"},
    WordElsewhere{"e4m3", "e4m3fn"},  // E4M3 of OFP8; the lower-case e4m3 is a name here
    WordElsewhere{"fp8e4m3", "e4m3fn"},
    WordElsewhere{"fp8e4m3fn", "e4m3fn"},
    WordElsewhere{"float8e4m3", "e4m3fn"},
    WordElsewhere{"float8e4m3fn", "e4m3fn"},
    WordElsewhere{"float8e4m3fnuz", "e4m3fnuz"},
    WordElsewhere{"fp8e5m2", "e5m2"},
    WordElsewhere{"float8e5m2", "e5m2"},
    WordElsewhere{"float8e5m2fnuz", "e5m2fnuz"},
    WordElsewhere{"e8m0", "e8m0fnu"},
    WordElsewhere{"ue8m0", "e8m0fnu"},
    WordElsewhere{"float8e8m0fnu", "e8m0fnu"},
    WordElsewhere{"e3m2", "e3m2fn"},
    WordElsewhere{"fp6e3m2", "e3m2fn"},
    WordElsewhere{"float6e3m2fn", "e3m2fn"},
    WordElsewhere{"e2m3", "e2m3fn"},
    WordElsewhere{"fp6e2m3", "e2m3fn"},
    WordElsewhere{"float6e2m3fn", "e2m3fn"},
    WordElsewhere{"fp4", "e2m1fn"},
    WordElsewhere{"e2m1", "e2m1fn"},
    WordElsewhere{"fp4e2m1", "e2m1fn"},
    WordElsewhere{"float4e2m1fn", "e2m1fn"},
    WordElsewhere{"float4e2m1fnx2", "e2m1fn"},
    WordElsewhere{"mxfp8", "mxfp8-e4m3"},
    WordElsewhere{"mxfp6", "mxfp6-e3m2"},
    // rounding
    WordElsewhere{"rn", "RNE"},
    WordElsewhere{"rte", "RNE"},
    WordElsewhere{"nearest", "RNE"},
    WordElsewhere{"nearesteven", "RNE"},
    WordElsewhere{"roundtonearesteven", "RNE"},
    WordElsewhere{"halfeven", "RNE"},
    WordElsewhere{"tonearest", "RNE"},
    WordElsewhere{"fetonearest", "RNE"},
    WordElsewhere{"mpfrrndn", "RNE"},
    WordElsewhere{"away", "RNA"},
    WordElsewhere{"nearestaway", "RNA"},
    WordElsewhere{"halfaway", "RNA"},
    WordElsewhere{"rz", "RTZ"},
    WordElsewhere{"trunc", "RTZ"},
    WordElsewhere{"truncate", "RTZ"},
    WordElsewhere{"truncation", "RTZ"},
    WordElsewhere{"chop", "RTZ"},
    WordElsewhere{"towardzero", "RTZ"},
    WordElsewhere{"fetowardzero", "RTZ"},
    WordElsewhere{"mpfrrndz", "RTZ"},
    WordElsewhere{"ru", "RTP"},
    WordElsewhere{"up", "RTP"},
    WordElsewhere{"ceil", "RTP"},
    WordElsewhere{"feupward", "RTP"},
    WordElsewhere{"mpfrrndu", "RTP"},
    WordElsewhere{"rd", "RTN"},
    WordElsewhere{"down", "RTN"},
    WordElsewhere{"floor", "RTN"},
    WordElsewhere{"fedownward", "RTN"},
    WordElsewhere{"mpfrrndd", "RTN"},
    WordElsewhere{"odd", "RTO"},
    WordElsewhere{"roundtoodd", "RTO"},
    WordElsewhere{"stochastic", "SR"},
    WordElsewhere{"stochasticrounding", "SR"},
    // overflow
    WordElsewhere{"saturate", "max"},
    WordElsewhere{"saturating", "max"},
    WordElsewhere{"sat", "max"},
    WordElsewhere{"satfinite", "max"},
    WordElsewhere{"clamp", "max"},
    WordElsewhere{"clip", "max"},
    WordElsewhere{"infinity", "inf"},
    WordElsewhere{"ieee", "inf"},
    // orders of summation
    WordElsewhere{"naive", "sequential"},
    WordElsewhere{"linear", "sequential"},
    WordElsewhere{"recursive", "sequential"},
    WordElsewhere{"lefttoright", "sequential"},
    WordElsewhere{"backward", "reverse"},
    WordElsewhere{"righttoleft", "reverse"},
    WordElsewhere{"splitk", "split"},
    WordElsewhere{"simd", "lanes"},
    WordElsewhere{"openblas", "panels"},
    WordElsewhere{"numpy", "numpy-sum"},
    WordElsewhere{"compensated", "kahan"},
    WordElsewhere{"chunked", "blocked"},
    WordElsewhere{"binarytree", "pairwise"},
    // keys of an arithmetic, of a format, of a config
    WordElsewhere{"accumulator", "format"},
    WordElsewhere{"accumulate", "format"},
    WordElsewhere{"accumulation", "format"},
    WordElsewhere{"acc", "format"},
    WordElsewhere{"acctype", "format"},
    WordElsewhere{"accdtype", "format"},
    WordElsewhere{"accumdtype", "format"},
    WordElsewhere{"dtype", "format"},
    WordElsewhere{"torchdtype", "format"},
    WordElsewhere{"precision", "format"},
    WordElsewhere{"inputs", "operands"},
    WordElsewhere{"input", "operands"},
    WordElsewhere{"inputdtype", "operands"},
    WordElsewhere{"round", "rounding"},
    WordElsewhere{"roundingmode", "rounding"},
    WordElsewhere{"saturate", "overflow"},
    WordElsewhere{"saturation", "overflow"},
    WordElsewhere{"gpu", "engine"},
    WordElsewhere{"tensorcore", "engine"},
    WordElsewhere{"mantissa", "p"},
    WordElsewhere{"mantissabits", "p"},
    WordElsewhere{"significand", "p"},
    WordElsewhere{"precision", "p"},
    WordElsewhere{"mantissa", "mu"},
    WordElsewhere{"mantissabits", "mu"},
    WordElsewhere{"denormals", "subnormals"},
    WordElsewhere{"threshold", "tau"},
    WordElsewhere{"ratio", "rate"},
    WordElsewhere{"fraction", "rate"},
    WordElsewhere{"budget", "rate"},
    WordElsewhere{"method", "rule"},
    WordElsewhere{"policy", "rule"},
    WordElsewhere{"name", "title"},
    WordElsewhere{"seqlen", "sequence_length"},
    WordElsewhere{"maxlength", "sequence_length"},
    WordElsewhere{"blocksize", "sequence_length"},
    WordElsewhere{"contextlength", "sequence_length"},
    WordElsewhere{"batchsize", "sequences"},
    WordElsewhere{"kvcache", "keys"},
    // names in place of an arithmetic, an activation, a rule, a norm
    WordElsewhere{"mpfr", "mpfr:256"},
    WordElsewhere{"gelutanh", "gelu_new"},
    WordElsewhere{"gelupytorchtanh", "gelu_new"},
    WordElsewhere{"swish", "silu"},
    WordElsewhere{"topk", "largest-logit"},
    WordElsewhere{"slidingwindow", "window"},
    WordElsewhere{"l1", "normwise1"},
    // sites
    WordElsewhere{"wte", "embed"},
    WordElsewhere{"embedding", "embed"},
    WordElsewhere{"embeddings", "embed"},
    WordElsewhere{"embedtokens", "embed"},
    WordElsewhere{"inputlayernorm", "ln_1"},
    WordElsewhere{"postattentionlayernorm", "ln_2"},
    WordElsewhere{"cattn", "qkv"},
    WordElsewhere{"attention", "scores"},
    WordElsewhere{"attn", "scores"},
    WordElsewhere{"attnscores", "scores"},
    WordElsewhere{"attentionscores", "scores"},
    WordElsewhere{"qk", "scores"},
    WordElsewhere{"attnweights", "softmax"},
    WordElsewhere{"probs", "softmax"},
    WordElsewhere{"attnprobs", "softmax"},
    WordElsewhere{"pv", "values"},
    WordElsewhere{"oproj", "attn_proj"},
    WordElsewhere{"cproj", "attn_proj"},
    WordElsewhere{"cfc", "mlp_fc"},
    WordElsewhere{"upproj", "up"},
    WordElsewhere{"qproj", "q"},
    WordElsewhere{"kproj", "k"},
    WordElsewhere{"vproj", "v"},
    WordElsewhere{"gateproj", "gate"},
    WordElsewhere{"downproj", "mlp_proj"},
    WordElsewhere{"act", "gelu"},
    WordElsewhere{"residual", "resid_2"},
    WordElsewhere{"finalnorm", "ln_f"},
    WordElsewhere{"lmhead", "logits"},
};

/// "float8e4m3fn" of "torch.float8_e4m3fn".
std::string plain(std::string_view word) {
  std::string letters;
  for (const char c : word.substr(word.rfind('.') + 1))
    if (c != '_' && c != '-' && c != ' ')
      letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return letters;
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

/// Optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      current[j] = std::min(
          {previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before.swap(previous);
    previous.swap(current);
  }
  return previous[b.size()];
}

constexpr std::size_t longest_word =
    200;  // beyond it nothing is near, and the distance is not worth its quadratic time

/// Bytes of the dotted parts that two paths begin with in common; the last part of neither counts.
std::size_t common_parts(std::string_view a, std::string_view b) {
  std::size_t common = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()) && a[i] == b[i]; ++i)
    if (a[i] == '.') common = i + 1;
  return common;
}

/// How far a candidate may be from a word of so many letters: "rum" is "run", "kl" is not "qkv".
constexpr std::size_t farthest(std::size_t letters) {
  return letters <= 3 ? 1 : std::max<std::size_t>(2, letters / 3);
}

/// The candidate nearest to a path among those whose last part is as `matches` says.
std::string nearest_with(std::string_view path, std::span<const std::string> candidates,
                         const std::function<bool(std::string_view)>& matches) {
  const std::string* found = nullptr;
  std::size_t best = 0;
  for (const std::string& candidate : candidates) {
    if (!matches(last_part(candidate))) continue;
    const std::size_t distance = edit_distance(path, candidate);
    if (found == nullptr || distance < best) found = &candidate, best = distance;
  }
  return found == nullptr ? std::string() : *found;
}

/// Nothing where the nearest one is too far.
std::string nearest_by_distance(std::string_view word, std::span<const std::string> candidates) {
  std::string found;
  std::size_t best = word.size() + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t common = common_parts(word, candidate);
    const std::string_view rest = word.substr(common);
    const std::string_view other = std::string_view(candidate).substr(common);
    const std::size_t distance = edit_distance(rest, other);
    if (distance < best && distance <= farthest(rest.size()) && distance < other.size())
      best = distance, found = candidate;
  }
  return found;
}

}  // namespace

std::span<const WordElsewhere> words_elsewhere() { return elsewhere; }

std::string same_word(std::string_view word,
                      const std::function<bool(std::string_view)>& is_legal) {
  const std::string letters = plain(word);
  for (const WordElsewhere& row : elsewhere)
    if (row.theirs == letters && is_legal(row.ours)) return std::string(row.ours);
  return is_legal(letters) ? letters : std::string();
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  const std::string letters = plain(word);
  if (letters.empty() || word.size() > longest_word) return {};
  const auto is_it = [&](std::string_view part) { return plain(part) == letters; };
  if (std::string same = nearest_with(word, candidates, is_it); !same.empty()) return same;
  std::string near = nearest_by_distance(word, candidates);
  if (!near.empty() && edit_distance(last_part(word), last_part(near)) <= 1) return near;
  for (const WordElsewhere& row : elsewhere) {
    const auto is_ours = [&](std::string_view part) { return part == row.ours; };
    if (row.theirs != letters) continue;
    if (std::string ours = nearest_with(word, candidates, is_ours); !ours.empty()) return ours;
  }
  return near;
}

std::string did_you_mean(std::string_view near) {
  return near.empty() ? std::string() : "; did you mean \"" + std::string(near) + "\"?";
}

std::string nearest_format(std::string_view name) {
  const auto is_format = [](std::string_view word) { return parse_number_system(word).ok(); };
  if (std::string same = same_word(name, is_format); !same.empty()) return same;
  std::vector<std::string> names;
  for (const std::string_view known : catalog_names()) names.emplace_back(known);
  for (const std::string_view known : system_names()) names.emplace_back(known);
  return nearest(name, names);
}

}  // namespace lamp::experiments
