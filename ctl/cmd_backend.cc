// lbctl backend list|show|add|set|remove|drain|ready|wait
#include <fmt/format.h>

#include "ctl/backend_wait.h"
#include "ctl/cmd_common.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct BackendArgs {
  std::vector<std::string> names, labels, new_labels;
  std::string name, address;
  std::optional<uint32_t> weight;
  bool all = false, no_labels = false;
  std::string state, expires, wait, idle;
};

net::Result<json> read_select(const BackendArgs& args) {
  json select = json::object();
  if (!args.names.empty()) select["names"] = args.names;
  auto labels = read_labels(args.labels);
  if (!labels) return labels.error();
  if (!labels->empty()) select["labels"] = std::move(*labels);
  return select;
}

void add_select(CLI::App& verb, BackendArgs& args) {
  verb.add_option("BACKEND", args.names, "POOL/NAME, * for any part: fe/fe11, */fe11, fe/*");
  add_repeated(verb, "--label", args.labels, "Only those with this label; repeat for more").type_name("KEY=VALUE");
}

int list(Session& session, const BackendArgs& args) {
  auto select = read_select(args);
  if (!select) return session.usage(select.error().message);
  json params = json::object();
  if (!select->empty()) params["select"] = *select;
  return session.ask("backend.list", params, view_backends);
}

int show(Session& session, const BackendArgs& args) {
  auto select = read_select(args);
  if (!select) return session.usage(select.error().message);
  if (select->empty()) return session.usage("which backend? Name it as POOL/NAME or select it with --label");
  return session.ask("backend.show", {{"select", *select}}, view_backend);
}

int add(Session& session, const BackendArgs& args) {
  auto name = read_backend_name(args.name);
  if (!name) return session.usage(name.error().message);
  json backend = {{"name", name->second}, {"address", args.address}};
  if (args.weight) backend["weight"] = *args.weight;
  auto labels = read_labels(args.labels);
  if (!labels) return session.usage(labels.error().message);
  if (!labels->empty()) backend["labels"] = std::move(*labels);
  return session.change("backend.add", {{"pool", name->first}, {"backend", backend}});
}

int change_selected(Session& session, const BackendArgs& args, std::string_view method, json params) {
  auto select = read_select(args);
  if (!select) return session.usage(select.error().message);
  if (select->empty()) return session.usage("which backend? Name it as POOL/NAME or select it with --label");
  params["select"] = std::move(*select);
  if (args.all) params["all"] = true;
  return session.change(method, std::move(params));
}

int set(Session& session, const BackendArgs& args) {
  json set = json::object();
  if (!args.address.empty()) set["address"] = args.address;
  if (args.weight) set["weight"] = *args.weight;
  auto labels = read_labels(args.new_labels);
  if (!labels) return session.usage(labels.error().message);
  if (args.no_labels || !labels->empty()) set["labels"] = std::move(*labels);
  if (set.empty()) return session.usage("nothing to set: give --weight, --address, --set-label or --no-labels");
  return change_selected(session, args, "backend.set", {{"set", set}});
}

// Times of the command line. RETURNS: what is wrong with one.
std::optional<net::Error> read_waiting(const BackendArgs& args, WaitFor& what) {
  if (!args.idle.empty()) {
    auto idle = read_duration("--idle", args.idle);
    if (!idle) return idle.error();
    what.idle_s = *idle;
  }
  if (args.wait.empty()) return std::nullopt;
  auto wait = read_duration("--wait", args.wait);
  if (!wait) return wait.error();
  what.timeout_s = *wait;
  return std::nullopt;
}

int drain(Session& session, const BackendArgs& args) {
  json params = json::object();
  if (!args.expires.empty()) {
    auto expires = read_duration("--expires", args.expires);
    if (!expires) return session.usage(expires.error().message);
    params["expires_s"] = *expires;
  }
  WaitFor what;
  if (auto wrong = read_waiting(args, what)) return session.usage(wrong->message);
  if (!args.idle.empty() && args.wait.empty()) return session.usage("--idle is for waiting: give --wait, too");
  const int done = change_selected(session, args, "backend.drain", std::move(params));
  if (done != kDone || args.wait.empty() || session.options.dry_run) return done;
  const auto select = read_select(args);
  return wait_for(session, *select, what);
}

int wait(Session& session, const BackendArgs& args) {
  WaitFor what;
  if (args.state == "removable")
    what.until = Until::kRemovable;
  else if (args.state == "up")
    return session.usage("backend wait up: not in this version");
  else if (args.state != "drained")
    return session.usage(fmt::format("wait for what? `{}` is not drained or removable", args.state));
  if (auto wrong = read_waiting(args, what)) return session.usage(wrong->message);
  auto select = read_select(args);
  if (!select) return session.usage(select.error().message);
  if (select->empty()) return session.usage("which backend? Name it as POOL/NAME or select it with --label");
  const int done = wait_for(session, *select, what);
  if (done == kDone) session.show({{"state", args.state}}, view_waited);
  return done;
}

void add_drain_commands(CLI::App& noun, Session& session, const std::shared_ptr<BackendArgs>& args) {
  const auto add_wait = [&](CLI::App& verb, const std::string& help) {
    verb.add_option("--wait", args->wait, help)->type_name("TIME");
    verb.add_option("--idle", args->idle, "A flow without packets for so long does not count")->type_name("TIME");
  };
  CLI::App& draining = add_verb(noun, "drain", "No new flows for a backend; it keeps those that it has", session,
                                [&session, args] { return drain(session, *args); });
  add_select(draining, *args);
  draining.add_flag("--all", args->all, "All that are selected, not just one");
  draining.add_option("--expires", args->expires, "Ready again after that: 30s, 5m, 1h, 2d")->type_name("TIME");
  add_wait(draining, "Wait until it has no flow, at most so long: exit 4 when it still has");

  CLI::App& readying = add_verb(noun, "ready", "Ends a drain", session, [&session, args] {
    return change_selected(session, *args, "backend.ready", json::object());
  });
  add_select(readying, *args);
  readying.add_flag("--all", args->all, "All that are selected, not just one");

  CLI::App& waiting = add_verb(noun, "wait", "Wait until backends have no flow", session,
                               [&session, args] { return wait(session, *args); });
  waiting.add_option("STATE", args->state, "drained: no flow; removable: no new ones either")->required();
  add_select(waiting, *args);
  add_wait(waiting, "At most so long (default 5m): exit 4 when they still have");
}

}  // namespace

void add_backend_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "backend", "Backends: the servers in the pools");
  const auto args = std::make_shared<BackendArgs>();

  add_select(add_verb(noun, "list", "List backends, all or the selected ones", session,
                      [&session, args] { return list(session, *args); }),
             *args);
  add_select(add_verb(noun, "show", "Show one backend, its next hop and its share of each service", session,
                      [&session, args] { return show(session, *args); }),
             *args);

  CLI::App& adding =
      add_verb(noun, "add", "Add a backend to a pool", session, [&session, args] { return add(session, *args); });
  adding.add_option("BACKEND", args->name, "POOL/NAME")->required();
  adding.add_option("ADDRESS", args->address, "Its IPv4 or IPv6 address")->required();
  adding.add_option("--weight", args->weight, "0 to 1000, 0 takes no new flows (default 100)")->type_name("N");
  add_repeated(adding, "--label", args->labels, "A label; repeat for more").type_name("KEY=VALUE");

  CLI::App& setting = add_verb(noun, "set", "Change what is given, leave the rest", session,
                               [&session, args] { return set(session, *args); });
  add_select(setting, *args);
  setting.add_option("--weight", args->weight, "0 to 1000, 0 takes no new flows")->type_name("N");
  setting.add_option("--address", args->address, "A new address: to flows it is a new backend")->type_name("ADDRESS");
  CLI::Option& labels =
      add_repeated(setting, "--set-label", args->new_labels, "Replaces all its labels; repeat for more");
  labels.type_name("KEY=VALUE");
  setting.add_flag("--no-labels", args->no_labels, "Takes all its labels away")->excludes(&labels);
  setting.add_flag("--all", args->all, "All that are selected, not just one");

  CLI::App& removing = add_verb(noun, "remove", "Remove a backend from its pool", session, [&session, args] {
    return change_selected(session, *args, "backend.remove", json::object());
  });
  add_select(removing, *args);
  removing.add_flag("--all", args->all, "All that are selected, not just one");
  add_drain_commands(noun, session, args);
}

}  // namespace lb::ctl
