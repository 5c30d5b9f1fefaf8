// lbctl service list|show|add|set|apply|remove|withdraw|announce
#include <charconv>

#include <fmt/format.h>

#include <filesystem>

#include "ctl/cmd_common.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct ServiceArgs {
  std::string name;
  std::vector<std::string> listen;
  std::string pool, forward, schedule, source_prefix, on_no_listener, file, announce, expires;
  std::optional<uint32_t> table_size;
};

net::Result<json> read_prefix(const std::string& word) {
  unsigned v4 = 0, v6 = 0;
  const char* end = word.data() + word.size();
  const auto first = std::from_chars(word.data(), end, v4);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == ',') {
    const auto second = std::from_chars(first.ptr + 1, end, v6);
    if (second.ec == std::errc() && second.ptr == end) return json{v4, v6};
  }
  return net::Error{net::Code::kInvalid,
                    "--source-prefix \"" + word + "\": write the bits of IPv4 and IPv6 that count, as in 32,64"};
}

net::Result<json> read_service(const ServiceArgs& args) {
  json service = json::object();
  if (!args.listen.empty()) service["listen"] = args.listen;
  if (!args.pool.empty()) service["pool"] = args.pool;
  if (!args.forward.empty()) service["forward"] = args.forward;
  if (!args.schedule.empty()) service["schedule"] = args.schedule;
  if (args.table_size) service["table_size"] = *args.table_size;
  if (!args.on_no_listener.empty()) service["on_no_listener"] = args.on_no_listener;
  if (!args.announce.empty()) service["announce"] = args.announce;
  if (args.source_prefix.empty()) return service;
  auto prefix = read_prefix(args.source_prefix);
  if (!prefix) return prefix.error();
  service["source_prefix"] = std::move(*prefix);
  return service;
}

void add_options(CLI::App& verb, ServiceArgs& args, bool required) {
  verb.add_option("NAME", args.name, "The service")->required();
  add_repeated(verb, "--listen", args.listen, "ADDRESS:PORT/PROTO, PORT also a range or *; repeat for more")
      .required(required)
      ->type_name("LISTENER");
  verb.add_option("--pool", args.pool, "The pool of its backends")->required(required)->type_name("POOL");
  verb.add_option("--forward", args.forward, "ipip (default) or dsr")->type_name("MODE");
  verb.add_option("--schedule", args.schedule, "maglev (default) or source-hash")->type_name("SCHEDULE");
  verb.add_option("--table-size", args.table_size, "Slots of its table, a prime from 251 to 655373 (default 65537)")
      ->type_name("N");
  verb.add_option("--source-prefix", args.source_prefix,
                  "Bits of a client's address that count for source-hash (default 32,64)")
      ->type_name("IPV4,IPV6");
  verb.add_option("--on-no-listener", args.on_no_listener,
                  "What other ports of its addresses get: auto (default), drop, reject or punt")
      ->type_name("WORD");
  verb.add_option("--announce", args.announce,
                  "on: its addresses have a host route while it takes new flows, for routing daemons; off (default)")
      ->type_name("WORD");
}

int add(Session& session, const ServiceArgs& args) {
  auto service = read_service(args);
  if (!service) return session.usage(service.error().message);
  (*service)["name"] = args.name;
  return session.change("service.add", {{"service", *service}});
}

int set(Session& session, const ServiceArgs& args) {
  auto service = read_service(args);
  if (!service) return session.usage(service.error().message);
  if (service->empty()) {
    return session.usage(
        "nothing to set: give --listen, --pool, --forward, --schedule, --table-size, --source-prefix, "
        "--on-no-listener or --announce");
  }
  return session.change("service.set", {{"name", args.name}, {"set", *service}});
}

// What runs, as lbd tells it: for places of problems in the file. lbd merges and judges again by itself.
std::optional<model::Config> running(Session& session) {
  const auto shown = session.call("config.show", json::object());
  if (!shown) return std::nullopt;
  model::Parsed parsed = model::parse_config(shown->value("text", ""), "what runs", model::no_includes());
  if (parsed.problems.empty()) return std::move(parsed.config);
  session.fail({kRefused,
                "unsupported",
                fmt::format("this lbctl cannot read what lbd runs ({}): take the lbctl of that lbd",
                            parsed.problems.front().to_string()),
                {}});
  return std::nullopt;
}

int apply_services(Session& session, const ServiceArgs& args) {
  const bool is_stdin = args.file == "-";
  auto text = is_stdin ? read_input(session, args.file) : model::file_reader().read(args.file);
  if (!text) return session.fail(text.error());
  const auto base = running(session);
  if (!base) return session.failed();
  const model::Merge merge = model::parse_merge(*text, is_stdin ? "stdin" : args.file, model::file_reader(), *base);
  if (!merge.whole.problems.empty()) {
    Failure failure{kRefused, "invalid", "", {}};
    for (const model::Problem& p : merge.whole.problems) failure.problems.push_back(p.to_string());
    failure.message = fmt::format("{} has {} problem{}; nothing was sent to lbd", args.file, failure.problems.size(),
                                  failure.problems.size() == 1 ? "" : "s");
    return session.fail(failure);
  }
  std::error_code none;
  const auto path = std::filesystem::absolute(args.file, none);
  return session.change("service.apply", {{"text", model::print_services(merge.document)},
                                          {"file", is_stdin || none ? args.file : path.string()}});
}

int withdraw(Session& session, const ServiceArgs& args) {
  json params = {{"name", args.name}};
  if (!args.expires.empty()) {
    auto expires = read_duration("--expires", args.expires);
    if (!expires) return session.usage(expires.error().message);
    params["expires_s"] = *expires;
  }
  return session.change("service.withdraw", std::move(params));
}

}  // namespace

void add_service_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "service", "Services: listeners, their pool, how to choose and forward");
  const auto args = std::make_shared<ServiceArgs>();
  const auto named = [args](CLI::App& verb) { verb.add_option("NAME", args->name, "The service")->required(); };

  add_verb(noun, "list", "List services with their traffic", session,
           [&session] { return session.ask("service.list", json::object(), view_services); });
  named(add_verb(noun, "show", "Show one service and its backends", session, [&session, args] {
    return session.ask("service.show", {{"name", args->name}}, view_service);
  }));
  add_options(add_verb(noun, "add", "Add a service", session, [&session, args] { return add(session, *args); }), *args,
              true);
  add_options(add_verb(noun, "set", "Change what is given, leave the rest; --listen replaces all listeners", session,
                       [&session, args] { return set(session, *args); }),
              *args, false);
  add_verb(noun, "apply", "Replace the services and pools that a file names by those of the file, leave all others",
           session, [&session, args] { return apply_services(session, *args); })
      .add_option("-f,--file", args->file, "A configuration of services and pools; - for stdin")
      ->required()
      ->type_name("FILE");
  named(add_verb(noun, "remove", "Remove a service", session, [&session, args] {
    return session.change("service.remove", {{"name", args->name}});
  }));
  CLI::App& withdrawing = add_verb(noun, "withdraw", "Announce its addresses no more; packets that come are forwarded",
                                   session, [&session, args] { return withdraw(session, *args); });
  named(withdrawing);
  withdrawing.add_option("--expires", args->expires, "Announced again after that: 30s, 5m, 1h, 2d")->type_name("TIME");
  named(add_verb(noun, "announce", "Ends a withdrawal", session, [&session, args] {
    return session.change("service.announce", {{"name", args->name}});
  }));
}

}  // namespace lb::ctl
