// lbctl node status|drain|ready
#include "ctl/cmd_common.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

int drain_node(Session& session, const std::string& word) {
  json params = json::object();
  if (!word.empty()) {
    auto expires = read_duration("--expires", word);
    if (!expires) return session.usage(expires.error().message);
    params["expires_s"] = *expires;
  }
  return session.change("node.drain", std::move(params));
}

}  // namespace

void add_node_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "node", "This node: which addresses it announces");
  add_verb(noun, "status", "Announced addresses, others and why not, flows that are left", session,
           [&session] { return session.ask("node.status", json::object(), view_node); });
  const auto expires = std::make_shared<std::string>();
  CLI::App& draining = add_verb(noun, "drain", "Announce nothing; what comes is forwarded", session,
                                [&session, expires] { return drain_node(session, *expires); });
  draining.add_option("--expires", *expires, "Ready again after that: 30s, 5m, 1h, 2d")->type_name("TIME");
  add_verb(noun, "ready", "Ends a drain", session, [&session] { return session.change("node.ready", json::object()); });
}

}  // namespace lb::ctl
