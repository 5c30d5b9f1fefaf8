// lbctl stats [services|backends|workers|ports|drops|flows]
#include "ctl/cmd_common.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// Workers, ports and drops in one.
int overview(Session& session) {
  json whole = json::object();
  for (const char* method : {"stats.workers", "stats.ports", "stats.drops", "stats.flows"}) {
    const auto part = session.call(method, json::object());
    if (!part) return session.failed();
    whole.update(*part);
  }
  session.show(whole, view_stats);
  return kDone;
}

}  // namespace

void add_stats_commands(CLI::App& app, Session& session) {
  CLI::App& noun =
      *app.add_subcommand("stats", "Counters since the start; without a verb: workers, ports, drops, flows");
  const auto one = [&](const char* name, const char* help, TextView view) {
    add_verb(noun, name, help, session, [&session, method = std::string("stats.") + name, view] {
      return session.ask(method, json::object(), view);
    });
  };
  one("services", "Packets and bytes of each service", view_stats_services);
  one("backends", "Packets and bytes of each backend", view_stats_backends);
  one("workers", "What each worker received, forwarded, left to the kernel and dropped", view_stats_workers);
  one("ports", "What each port received, sent and lost", view_stats_ports);
  one("flows", "How full the flow table is, and what it did", view_stats_flows);
  one("drops", "Dropped packets by reason", view_stats_drops);
  noun.callback([&session] {
    if (!session.action) session.action = [&session] { return overview(session); };
  });
}

}  // namespace lb::ctl
