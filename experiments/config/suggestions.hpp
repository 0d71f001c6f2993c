// What a word that is not legal was meant to be: "did you mean ..?"
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace lamp::experiments {

/// A word that other libraries and papers have for something that is called otherwise here. Theirs
/// is in small letters, without '_', '-' and ' ', and without the library ("torch.").
struct WordElsewhere {
  std::string_view theirs, ours;
};
std::span<const WordElsewhere> words_elsewhere();

/// The first legal word that is written as `word` is, but for case, '_' and '-', or that means what
/// `word` means elsewhere; empty where there is none.
std::string same_word(std::string_view word, const std::function<bool(std::string_view)>& is_legal);

/// The candidate that is the same word; else the nearest one by edit distance (insert, delete,
/// replace, swap neighbours); empty where none is near. Of dotted paths the parts that they begin
/// with in common count for nothing.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// `; did you mean "near"?`; empty where there is none.
std::string did_you_mean(std::string_view near);

/// A format, or another number system, for a name that is none; empty where none is near.
std::string nearest_format(std::string_view name);

}  // namespace lamp::experiments
