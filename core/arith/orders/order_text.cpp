#include "core/arith/orders/order_text.hpp"

#include <bit>
#include <charconv>
#include <optional>
#include <vector>

namespace lamp {
namespace {

/// The parameters of an order: an array of numbers, or a tree.
template <class O>
constexpr auto parameters_of() {
  if constexpr (requires { O::parameters(); }) {
    return O::parameters();
  } else {
    static_assert(std::is_empty_v<O>, "an order with members says which are its parameters");
    return std::array<Parameter<O>, 0>{};
  }
}

template <class O>
constexpr bool takes_tree = std::is_same_v<decltype(parameters_of<O>()), TreeParameter<O>>;

constexpr std::string_view tree_form = "((0 1) (2 3))";

/// What follows the name, as help writes it: "", ":B", ":Q,U".
template <class O>
std::string form_of() {
  if constexpr (takes_tree<O>) {
    return ":" + std::string(tree_form);
  } else {
    std::string form;
    for (const Parameter<O>& p : parameters_of<O>())
      form.append(form.empty() ? ":" : ",").append(p.letter);
    return form;
  }
}

template <class O>
std::string range_text(const Parameter<O>& p) {
  return "from " + std::to_string(p.least) + " to " + std::to_string(p.most);
}

/// "an integer from 1 to 9", "L a power of two, 1 to 8", "Q and U from 1 to 9", "N from 1 to 9, F
/// from 0 to 3".
template <class O, std::size_t n>
std::string ranges(const std::array<Parameter<O>, n>& parameters) {
  const Parameter<O>& p = parameters.front();
  if (n == 1 && p.power_of_two)
    return std::string(p.letter) + " a power of two, " + std::to_string(p.least) + " to " +
           std::to_string(p.most);
  if (n == 1) return "an integer " + range_text(p);
  std::string text;
  bool alike = true;
  for (const Parameter<O>& q : parameters) alike = alike && range_text(q) == range_text(p);
  for (const Parameter<O>& q : parameters) {
    text.append(text.empty() ? "" : alike ? " and " : ", ").append(q.letter);
    if (!alike) text.append(" ").append(range_text(q));
  }
  return alike ? text + " " + range_text(p) : text;
}

/// What is legal where the order's name stands: "blocked:B with an integer from 1 to 1000000000
/// (the terms of a block)".
template <class O>
std::string legal_range() {
  std::string text = std::string(O::row.name) + form_of<O>();
  if constexpr (!takes_tree<O>) {
    if constexpr (parameters_of<O>().empty())
      text += " alone";
    else
      text += " with " + ranges(parameters_of<O>());
  }
  if (!O::row.meaning.empty()) text.append(" (").append(O::row.meaning).append(")");
  return text;
}

std::optional<std::size_t> whole_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class O>
bool is_legal(const Parameter<O>& p, std::size_t value) {
  return value >= p.least && value <= p.most && (!p.power_of_two || std::has_single_bit(value));
}

/// The order whose parameters are the numbers of a text, one number for each.
template <class O>
std::optional<Order> read_numbers(std::string_view text) {
  O order{};
  bool more = true;  // text is to be read, which may be empty
  for (const Parameter<O>& p : parameters_of<O>()) {
    if (!more) return std::nullopt;
    const std::size_t comma = text.find(',');
    const std::optional<std::size_t> value = whole_number(text.substr(0, comma));
    if (!value || !is_legal(p, *value)) return std::nullopt;
    std::visit([&]<class M>(M O::*member) { order.*member = static_cast<M>(*value); }, p.member);
    more = comma != std::string_view::npos;
    text = more ? text.substr(comma + 1) : std::string_view{};
  }
  if (more) return std::nullopt;
  return order;
}

Error bad_order(std::string_view text, const std::string& legal) {
  constexpr std::size_t shown = 60;
  const std::string quoted(text.substr(0, shown));
  return {ExitCode::bad_data,
          "order is \"" + quoted + (text.size() > shown ? "...\"" : "\"") + "; legal: " + legal};
}

/// `text` begins with the order's name; the rest is `parameters`, where there is a colon.
template <class O>
Result<Order> read_order(std::string_view text, std::optional<std::string_view> parameters) {
  if constexpr (takes_tree<O>) {
    if (!parameters) return bad_order(text, legal_range<O>());
    constexpr TreeParameter<O> p = parameters_of<O>();
    Result<SummationTree> tree = SummationTree::parse(*parameters, p.keep_lone_leaves);
    if (!tree) return Error{tree.error().code, "order: " + tree.error().message};
    O order{};
    order.*p.member = std::move(tree).value();
    return Order{std::move(order)};
  } else {
    constexpr bool has_parameters = !parameters_of<O>().empty();
    if (parameters.has_value() != has_parameters) return bad_order(text, legal_range<O>());
    if constexpr (!has_parameters) {
      return Order{O{}};
    } else {
      std::optional<Order> order = read_numbers<O>(*parameters);
      if (!order) return bad_order(text, legal_range<O>());
      return *std::move(order);
    }
  }
}

}  // namespace

Result<Order> parse_order(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view head = text.substr(0, colon);
  std::optional<std::string_view> parameters;
  if (colon != std::string_view::npos) parameters = text.substr(colon + 1);
  std::optional<Result<Order>> read;
  for_each_order([&]<class O>(std::type_identity<O>) {
    if constexpr (!O::row.name.empty())
      if (O::row.name == head) read = read_order<O>(text, parameters);
  });
  return read ? *std::move(read) : Result<Order>(bad_order(text, order_forms()));
}

std::string order_text(const Order& order) {
  return std::visit(
      []<class O>(const O& o) {
        expects(!O::row.name.empty(), "order_text: an order that a text gives");
        std::string text(O::row.name);
        if constexpr (O::row.name.empty()) {
          return text;
        } else if constexpr (takes_tree<O>) {
          return text + ":" + (o.*parameters_of<O>().member).text();
        } else {
          char before = ':';
          for (const Parameter<O>& p : parameters_of<O>()) {
            std::visit([&](auto member) { text += before + std::to_string(o.*member); }, p.member);
            before = ',';
          }
          return text;
        }
      },
      order);
}

std::string order_forms() {
  std::string forms;
  for_each_order([&]<class O>(std::type_identity<O>) {
    if constexpr (!O::row.name.empty())
      forms.append(forms.empty() ? "" : ", ").append(O::row.name).append(form_of<O>());
  });
  return forms;
}

Result<void> check_length(const Order& order, std::size_t n) {
  return std::visit(
      [n]<class O>(const O& o) -> Result<void> {
        if constexpr (O::row.fixed_length) {
          if (o.terms() != n)
            return Error{ExitCode::bad_data, "the order is a tree of " + std::to_string(o.terms()) +
                                                 " terms, the sum has " + std::to_string(n) +
                                                 "; legal: as many terms as the tree has"};
        }
        return {};
      },
      order);
}

}  // namespace lamp
