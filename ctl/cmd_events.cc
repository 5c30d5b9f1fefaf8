// lbctl events: what happened, and what happens from now on.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <ostream>
#include <thread>

#include "ctl/cmd_common.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct EventArgs {
  std::string since, service;
  bool follow = false;
};

std::string event_text(const json& event) {
  const auto ms = number_of(event, "time_ms");
  std::string text =
      fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC  {:<7}  {}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)),
                  ms % 1000, text_of(event, "level"), text_of(event, "event"));
  for (const auto& [key, value] : member(event, "fields").items()) {
    const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    if (!shown.empty()) text += fmt::format("  {}: {}", key, shown);
  }
  return text;
}

void print(Session& session, const json& events) {
  for (const json& event : events) {
    session.out() << (session.options.json ? event.dump(-1, ' ', false, json::error_handler_t::replace)
                                           : event_text(event))
                  << '\n';
  }
  session.out().flush();
}

// A line an event, as text and as JSON: what follows others cannot be one document.
int events(Session& session, const EventArgs& args) {
  constexpr std::chrono::milliseconds kPause{300};
  json params = json::object();
  if (!args.service.empty()) params["service"] = args.service;
  if (!args.since.empty()) {
    const auto seconds = read_duration("--since", args.since);
    if (!seconds) return session.usage(seconds.error().message);
    params["since_s"] = *seconds;
  }
  for (;;) {
    const auto piece = session.call("events.list", params);
    if (!piece) return session.failed();
    print(session, member(*piece, "events"));
    if (!session.out()) return kDone;  // nobody reads any more
    params["after"] = number_of(*piece, "next");
    params.erase("since_s");
    if (flag_of(*piece, "more")) continue;
    if (!args.follow) return kDone;
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

void add_events_command(CLI::App& app, Session& session) {
  const auto args = std::make_shared<EventArgs>();
  CLI::App* verb = app.add_subcommand("events", "What happened: changes, next hops, drains, restarts; a line each");
  verb->add_option("--since", args->since, "Not older than that: 90s, 30m, 2h, 7d")->type_name("TIME");
  verb->add_option("--service", args->service, "About this service, its pool or its backends");
  verb->add_flag("--follow", args->follow, "Go on with what happens, until it is stopped");
  verb->callback([&session, args] { session.action = [&session, args] { return events(session, *args); }; });
}

}  // namespace lb::ctl
