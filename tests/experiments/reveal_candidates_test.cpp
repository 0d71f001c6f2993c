// Which arithmetic lamp reveal names: one that gives every answer, probes among them. Commands here
// are sums of this library, rounded once more at the end where no arithmetic says so.
#include "experiments/reveal/candidates.hpp"

#include <catch2/catch.hpp>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/fp/rounding.hpp"
#include "experiments/reveal/questions.hpp"

namespace lamp::experiments {
namespace {

using Command = std::function<double(const DotProduct&)>;

Command sums(const Arithmetic& arithmetic) {
  return [arithmetic](const DotProduct& product) { return answer({arithmetic}, product); };
}
Command rounded(const Arithmetic& arithmetic, const FloatFormat& format,
                Rounding mode = Rounding::rne) {
  return
      [=](const DotProduct& product) { return round(answer({arithmetic}, product), format, mode); };
}

std::vector<double> ask(const Command& command, std::span<const DotProduct> products) {
  std::vector<double> answers;
  for (const DotProduct& product : products) answers.push_back(command(product));
  return answers;
}

struct Asked {
  Answers answers;
  std::optional<AdditionTree> tree{};
};

Asked asked(const Command& command, std::size_t n, const FloatFormat& format) {
  Asked all{.answers = {.n = n, .format = format}};
  const Result<RevealedTree> revealed =
      reveal(n, format, [&](std::span<const DotProduct> products) -> Result<std::vector<double>> {
        const std::vector<double> given = ask(command, products);
        all.answers.to_probes.insert(all.answers.to_probes.end(), given.begin(), given.end());
        return given;
      });
  if (revealed) all.tree = revealed->tree;
  all.answers.more = ladder_products(n, format);
  for (const DotProduct& product : type_products(n, format)) all.answers.more.push_back(product);
  all.answers.to_more = ask(command, all.answers.more);
  all.answers.random = random_products(n, format, 1000),
  all.answers.to_random = ask(command, all.answers.random);
  return all;
}

std::string keys(const Arithmetic& arithmetic) {
  std::string text;
  for (const auto& [key, value] : keys_of(arithmetic))
    text += (text.empty() ? "" : " ") + key + "=" + value;
  return text;
}

/// What is found: the keys of the arithmetic, then what its sum is rounded to; "none", or how many
/// products where not all agree.
std::string found(const Command& command, std::size_t n, const FloatFormat& format) {
  const Asked all = asked(command, n, format);
  const std::optional<Agreement> best =
      best_candidate(candidates(all.tree ? &*all.tree : nullptr, n, format), all.answers);
  if (!best) return "none";
  if (best->products < all.answers.random.size())
    return "some: " + keys(best->candidate.arithmetic);
  CHECK(answers_probes(best->candidate, all.answers));
  const std::optional<FinalRounding>& last = best->candidate.last;
  return keys(best->candidate.arithmetic) +
         (last ? " then " + format_name(last->format) + " " + std::string(rounding_name(last->mode))
               : "");
}

Order order(const std::string& text) { return parse_order(text).value(); }
Arithmetic whole_block(std::size_t n, const FloatFormat& format, const MacSpec& block,
                       Rounding mode = Rounding::rne) {
  return {.mac = {.format = format, .rounding = mode},
          .order = order("blocked:" + std::to_string(n)),
          .block = block};
}

TEST_CASE("reveal: a sum that is exact for random products is refuted by a probe", "[reveal]") {
  constexpr std::size_t n = 20;
  const Asked all = asked(rounded({.mac = {}, .order = {}}, bfloat16), n, bfloat16);
  REQUIRE(all.tree.has_value());
  const Candidate exact{{.mac = {.format = bfloat16}, .order = order("exact")}};
  CHECK(ask([&](const DotProduct& product) { return answer(exact, product); },
            all.answers.random) == all.answers.to_random);
  CHECK_FALSE(answers_probes(exact, all.answers));
  CHECK(answers_probes({whole_block(n, bfloat16, {})}, all.answers));
}

TEST_CASE("reveal: a sum in something wider, rounded once, is blocked:n", "[reveal]") {
  const auto wide = [](const MacSpec& mac, const FloatFormat& format,
                       Rounding mode = Rounding::rne) {
    return found(rounded({.mac = mac, .order = {}}, format, mode), 20, format);
  };
  CHECK(wide({}, bfloat16) == "format=bfloat16 order=blocked:20 block.format=binary32");
  CHECK(wide({}, binary16) == "format=binary16 order=blocked:20 block.format=binary32");
  CHECK(wide({.format = binary64}, bfloat16) ==
        "format=bfloat16 order=blocked:20 block.format=binary64");
  CHECK(wide({.format = binary64}, binary16) ==
        "format=binary16 order=blocked:20 block.format=binary64");
  CHECK(wide({.format = binary64}, binary32) ==
        "format=binary32 order=blocked:20 block.format=binary64");
  CHECK(wide({.product = bfloat16}, bfloat16) ==
        "format=bfloat16 order=blocked:20 block.format=binary32 block.product=bfloat16");
  CHECK(wide({}, bfloat16, Rounding::rtz) ==
        "format=bfloat16 rounding=RTZ order=blocked:20 block.format=binary32");
  CHECK(wide({.rounding = Rounding::rtz}, bfloat16) ==
        "format=bfloat16 order=blocked:20 block.format=binary32 block.rounding=RTZ");
  CHECK(wide({.operands = tf32, .format = binary64}, binary32) ==
        "format=binary32 order=blocked:20 block.format=binary64 block.operands=tf32");
  CHECK(wide({.product = tf32, .format = tf32}, *parse_format("e4m3")) ==
        "format=e4m3 order=blocked:20 block.format=binary16");
}

TEST_CASE("reveal: blocks and operands of another format are named", "[reveal]") {
  const Arithmetic blocks{.mac = {.format = bfloat16},
                          .order = order("blocked:4"),
                          .block = MacSpec{.product = bfloat16}};
  CHECK(found(sums(blocks), 18, bfloat16) ==
        "format=bfloat16 order=blocked:4 block.format=binary32 block.product=bfloat16");
  const Arithmetic narrow_blocks{
      .mac = {}, .order = order("blocked:4"), .block = MacSpec{.format = bfloat16}};
  CHECK(found(sums(narrow_blocks), 18, bfloat16) ==
        "format=binary32 order=blocked:4 block.format=bfloat16");
  CHECK(found(sums({.mac = {.operands = tf32}, .order = order("lanes:2")}), 9, binary32) ==
        "format=binary32 operands=tf32 order=lanes:2");
  CHECK(found(sums({.mac = {.operands = tf32, .operand_rounding = Rounding::rtz},
                    .order = order("lanes:2")}),
              9, binary32) == "format=binary32 operands=tf32 operand_rounding=RTZ order=lanes:2");
}

TEST_CASE("reveal: parts whose sums are rounded are named", "[reveal]") {
  CHECK(found(sums({.mac = {}, .order = Split{4, bfloat16}}), 18, bfloat16) ==
        "format=binary32 order=split:4 part=bfloat16");
  const Arithmetic engine = engine_arithmetic("h100", binary16, binary32).value();
  const SplitEngine parts{*engine_step(engine.order), 2, binary16};
  CHECK(found(sums({.mac = engine.mac, .order = parts}), 40, binary16) ==
        "engine=h100 operands=binary16 format=binary32 order=split:2 part=binary16");
}

TEST_CASE("reveal: another tree in something wider, rounded once, is told and not named",
          "[reveal]") {
  const auto told = [](const char* text, const MacSpec& mac, const FloatFormat& format) {
    return found(rounded({.mac = mac, .order = order(text)}, format), 20, format);
  };
  CHECK(told("lanes:2", {}, bfloat16) == "format=binary32 order=lanes:2 then bfloat16 RNE");
  CHECK(told("reverse", {}, binary16) == "format=binary32 order=reverse then binary16 RNE");
  CHECK(told("pairwise:1", {.product = bfloat16}, bfloat16) ==
        "format=binary32 product=bfloat16 order=pairwise:1 then bfloat16 RNE");
  const Arithmetic engine = engine_arithmetic("h100", bfloat16, binary32).value();
  CHECK(found(rounded(engine, bfloat16), 40, bfloat16) ==
        "engine=h100 operands=bfloat16 format=binary32 then bfloat16 RNE");
  CHECK(found(sums(engine), 40, bfloat16) == "engine=h100 operands=bfloat16 format=binary32");
}

TEST_CASE("reveal: orders without a tree are tried where there is none", "[reveal]") {
  CHECK(found(sums({.mac = {.format = bfloat16}, .order = order("exact")}), 9, bfloat16) ==
        "format=bfloat16 order=exact");
  CHECK(found(sums({.mac = {}, .order = order("neumaier")}), 9, binary32) ==
        "format=binary32 order=neumaier");
  CHECK(found(sums({.mac = {.format = bfloat16}, .order = order("kahan")}), 9, bfloat16) ==
        "format=bfloat16 order=kahan");
  const auto kinds = [](const char* text) {
    std::string names;
    const AdditionTree tree = tree_of(order(text), 9).value();
    for (const Candidate& candidate : candidates(&tree, 9, bfloat16))
      for (const Order& without_tree : {Order(Kahan{}), Order(Neumaier{}), Order(Exact{})})
        if (candidate.arithmetic.order == without_tree &&
            names.find(order_text(without_tree)) == std::string::npos)
          names += order_text(without_tree) + " ";
    return names;
  };
  CHECK(kinds("sequential") == "kahan ");
  CHECK(kinds("lanes:2").empty());
  CHECK(kinds("multiterm:4,23").empty());
  CHECK(kinds("tree:(0 8 (1 7 2) (3 4 5 6))").empty());
}

TEST_CASE("reveal: no arithmetic is named that a probe refutes, even where none has all bits",
          "[reveal]") {
  // Lanes in binary32, rounded to binary16 and then to 9 bits: nothing that is tried. Every
  // candidate has some of the random products.
  const Arithmetic lanes{.mac = {}, .order = order("lanes:2")};
  const Command twice = [&](const DotProduct& product) {
    return round(round(answer({lanes}, product), binary16), ps(8), Rounding::rto);
  };
  const Asked all = asked(twice, 20, binary16);
  REQUIRE(all.tree.has_value());
  const std::optional<Agreement> best =
      best_candidate(candidates(&*all.tree, 20, binary16), all.answers);
  if (best)
    CHECK((answers_probes(best->candidate, all.answers) && best->products < 1000 &&
           !best->candidate.last));
}

TEST_CASE(
    "negative control: one other answer among the probes refutes the arithmetic that has all "
    "others",
    "[reveal][control]") {
  constexpr std::size_t n = 12;
  const Candidate right{whole_block(n, bfloat16, {})};
  Asked all = asked(rounded({.mac = {}, .order = {}}, bfloat16), n, bfloat16);
  REQUIRE(answers_probes(right, all.answers));
  REQUIRE(all.answers.to_probes.size() > 64);
  for (std::vector<double>* answers : {&all.answers.to_probes, &all.answers.to_more})
    for (double& one : *answers) {
      const double before = one;
      one = std::signbit(one) ? 0.0 : -one;  // of +0 the other zero
      CHECK_FALSE(answers_probes(right, all.answers));
      one = before;
    }
  all.answers.to_probes.push_back(0.0);  // a probe more than the search asks for
  CHECK_FALSE(answers_probes(right, all.answers));
}

TEST_CASE(
    "reveal: the ladder tells binary32, binary64 and exact sums apart that are rounded to few bits",
    "[reveal]") {
  for (const FloatFormat& format : {bfloat16, binary16, *parse_format("e5m2")}) {
    const std::vector<DotProduct> ladder = ladder_products(20, format);
    const std::vector<double> single = ask(rounded({.mac = {}, .order = {}}, format), ladder);
    const std::vector<double> twice =
        ask(rounded({.mac = {.format = binary64}, .order = {}}, format), ladder);
    const std::vector<double> exact =
        ask(sums({.mac = {.format = format}, .order = order("exact")}), ladder);
    CAPTURE(format_name(format));
    CHECK(single != twice);
    CHECK(single != exact);
    if (format.p > 3) CHECK(twice != exact);  // 2^-53 M rounds to zero in e5m2
  }
  for (const DotProduct& product : ladder_products(5, *parse_format("e4m3")))
    for (std::size_t k = 0; k < 5; ++k) {
      CHECK(round(product.a[k], *parse_format("e4m3")) == product.a[k]);
      CHECK(round(product.b[k], *parse_format("e4m3")) == product.b[k]);
    }
  CHECK(ladder_products(2, binary32).empty());
}

TEST_CASE("reveal: a command whose type is narrower than the format is told", "[reveal]") {
  const auto says = [](const FloatFormat& format, const Command& command, std::size_t n = 4) {
    return narrower_type(n, format, ask(command, type_products(n, format)));
  };
  const auto type = [](const FloatFormat& format) {
    return sums({.mac = {.operands = format, .format = format}, .order = {}});
  };
  for (const FloatFormat& format :
       {binary64, binary32, binary16, bfloat16, *parse_format("e4m3fn"), *parse_format("e2m1fn")}) {
    CHECK_FALSE(says(format, type(format)));
    CHECK_FALSE(says(format, sums({.mac = {.format = binary64}, .order = {}})));
  }
  const std::optional<NarrowerType> single = says(binary64, type(binary32));
  REQUIRE(single);
  CHECK(single->what.find("1 + 2^-24 comes back as 0x1p+0") == 0);
  CHECK(single->what.find("24 bits wide") != std::string::npos);
  CHECK_FALSE(single->probes_hold);  // +M is infinite there
  CHECK(says(binary32, type(bfloat16), 256)->probes_hold);
  CHECK_FALSE(
      says(binary32, type(bfloat16), 257)->probes_hold);  // 257 units are no number of 8 bits
  const std::optional<NarrowerType> half = says(tf32, type(binary16));  // as many bits
  REQUIRE(half);
  CHECK(half->what.find("2^127 comes back as inf") == 0);
  CHECK_FALSE(half->probes_hold);
  for (const double constant : {7.0, 1.0, 0.5})
    CHECK_FALSE(says(binary32, [=](const DotProduct&) { return constant; }));
}

}  // namespace
}  // namespace lamp::experiments
