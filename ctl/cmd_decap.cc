#include "ctl/cmd_decap.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// The words of one command line; shared by the option parser and the action.
struct DecapWords {
  std::string interface;
  std::vector<std::string> from, to, vips;
  uint16_t mss = 0;
};
using SharedDecapWords = std::shared_ptr<DecapWords>;

template <class T>
json texts(const std::vector<T>& values) {
  json out = json::array();
  for (const T& value : values) out.push_back(value.to_string());
  return out;
}

json decap_json(const std::string& interface, const model::DecapSettings& s) {
  return {{"interface", interface},
          {"from", texts(s.from)},
          {"to", texts(s.to)},
          {"vips", texts(s.vips)},
          {"mss", s.mss == 0 ? json() : json(s.mss)}};
}

void tell_settings(const json& result, Text& text) {
  const json& mss = member(result, "mss");
  text.facts({{"from", {.text = join(texts_of(result, "from"))}},
              {"to", {.text = join(texts_of(result, "to"))}},
              {"vips", {.text = join(texts_of(result, "vips"))}},
              {"mss", {.text = mss.is_number() ? fmt::format("at most {}", mss.get<unsigned>()) : ""}}});
}

void view_attach(const json& result, Text& text) {
  const char* what = !flag_of(result, "changed")   ? "is there already"
                     : flag_of(result, "dry_run")  ? "would be attached"
                     : flag_of(result, "replaced") ? "attached in place of the former settings, the counters go on"
                                                   : "attached";
  text.line(fmt::format("decapsulation on {}: {}", text_of(result, "interface"), what));
  tell_settings(result, text);
}

void view_detach(const json& result, Text& text) {
  const char* what = !flag_of(result, "changed")  ? "there was none"
                     : flag_of(result, "dry_run") ? "would be detached"
                                                  : "detached";
  text.line(fmt::format("decapsulation on {}: {}", text_of(result, "interface"), what));
}

void view_show(const json& result, Text& text) {
  text.line(fmt::format("decapsulation on {}", text_of(result, "interface")), Tone::kBold);
  for (const std::string& address : texts_of(result, "not_expected"))
    text.line(fmt::format("{} came to the interface later: tunnel packets to it are left alone until you attach again",
                          address),
              Tone::kBad);
  tell_settings(result, text);
  text.blank();
  std::vector<std::vector<Cell>> rows;
  for (const json& counter : member(result, "counters")) {
    const bool bad = flag_of(counter, "dropped") && number_of(counter, "value") != 0;
    rows.push_back({{.text = text_of(counter, "name"), .tone = bad ? Tone::kBad : Tone::kPlain},
                    exact_cell(counter, "value"),
                    {.text = text_of(counter, "help"), .tone = Tone::kDim}});
  }
  text.table({"COUNTER", "VALUE", "MEANING"}, rows);
}

// ERRORS: the first text that is none, with the option's name in front.
template <class T>
net::Result<std::vector<T>> parse_all(const char* option, const std::vector<std::string>& texts) {
  std::vector<T> out;
  for (const std::string& text : texts) {
    auto value = T::parse(text);
    if (!value) return net::Error{value.error().code, fmt::format("{}: {}", option, value.error().message)};
    out.push_back(std::move(*value));
  }
  return out;
}

net::Result<model::DecapSettings> parse(const DecapWords& words) {
  if (words.from.empty())
    return net::Error{
        net::Code::kInvalid,
        "decap attach needs --from PREFIX, the load balancers' addresses: without it anybody could reach a VIP "
        "past every filter"};
  if (words.vips.empty())
    return net::Error{net::Code::kInvalid,
                      "decap attach needs --vip ADDRESS, the virtual addresses that this server answers"};
  auto from = parse_all<net::Prefix>("--from", words.from);
  if (!from) return from.error();
  auto to = parse_all<net::Address>("--to", words.to);
  if (!to) return to.error();
  auto vips = parse_all<net::Address>("--vip", words.vips);
  if (!vips) return vips.error();
  return model::DecapSettings{
      .from = std::move(*from), .to = std::move(*to), .vips = std::move(*vips), .mss = words.mss};
}

model::Run run_of(const Session& session) {
  return session.options.dry_run ? model::Run::kDry : model::Run::kReal;
}

int attach(Session& session, model::Decapsulation& decap, const DecapWords& words) {
  const auto settings = parse(words);
  if (!settings) return session.usage(settings.error().message);
  const auto change = decap.attach(words.interface, *settings, run_of(session));
  if (!change) return session.fail(change.error());
  json result = decap_json(words.interface, change->settings);
  result["changed"] = change->changed;
  result["replaced"] = change->replaced;
  result["dry_run"] = session.options.dry_run;
  session.show(result, view_attach);
  return kDone;
}

int detach(Session& session, model::Decapsulation& decap, const DecapWords& words) {
  const auto change = decap.detach(words.interface, run_of(session));
  if (!change) return session.fail(change.error());
  session.show({{"interface", words.interface}, {"changed", change->changed}, {"dry_run", session.options.dry_run}},
               view_detach);
  return kDone;
}

int show(Session& session, model::Decapsulation& decap, const DecapWords& words) {
  const auto state = decap.show(words.interface);
  if (!state) return session.fail(state.error());
  json result = decap_json(words.interface, state->settings);
  result["not_expected"] = texts(state->not_expected);
  result["counters"] = json::array();
  for (const model::DecapCounter& c : state->counters)
    result["counters"].push_back({{"name", c.name}, {"value", c.packets}, {"dropped", c.dropped}, {"help", c.help}});
  session.show(result, view_show);
  return kDone;
}

void add_list(CLI::App& command, const char* name, std::vector<std::string>& values, const char* help) {
  command.add_option(name, values, help)->allow_extra_args(false)->delimiter(',');
}

using DecapAction = int (*)(Session&, model::Decapsulation&, const DecapWords&);

CLI::App* add(CLI::App& decap_app, const char* name, const char* help, Session& session, model::Decapsulation& decap,
              const SharedDecapWords& words, DecapAction action) {
  CLI::App* command = decap_app.add_subcommand(name, help);
  command->add_option("INTERFACE", words->interface, "where tunnel packets come in")->required();
  command->callback([&session, &decap, words, action] {
    session.action = [&session, &decap, words, action] { return action(session, decap, *words); };
  });
  return command;
}

}  // namespace

void add_decap_commands(CLI::App& app, Session& session, model::Decapsulation& decap) {
  CLI::App* noun = app.add_subcommand("decap", "On a backend server: take the tunnel header (IPIP, GUE) off");
  noun->require_subcommand(1);
  const auto words = std::make_shared<DecapWords>();
  CLI::App* command =
      add(*noun, "attach", "Start, or change the settings of what is attached", session, decap, words, attach);
  add_list(*command, "--from", words->from, "Outer sources that may, the load balancers: PREFIX; repeatable");
  add_list(*command, "--vip", words->vips, "Virtual addresses, inner destinations: ADDRESS; repeatable");
  add_list(*command, "--to", words->to, "Outer destinations: ADDRESS; repeatable; default: those of the interface");
  command->add_option(
      "--mss", words->mss,
      "Largest MSS that a VIP announces in SYN-ACKs leaving by the interface, so that clients send no more "
      "than fits the tunnel");
  add(*noun, "show", "Settings and counters", session, decap, words, show);
  add(*noun, "detach", "Stop", session, decap, words, detach);
}

}  // namespace lb::ctl
