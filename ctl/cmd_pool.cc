// lbctl pool list|show|add|set|remove
#include <fmt/format.h>

#include "ctl/cmd_common.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct PoolArgs {
  std::string name, file;
  std::vector<std::string> backends;
};

// --backend and the lines of --file, in this order.
net::Result<json> read_backends(Session& session, const PoolArgs& args) {
  json backends = json::array();
  for (const std::string& word : args.backends) {
    auto backend = read_backend_spec(word);
    if (!backend) return backend.error();
    backends.push_back(std::move(*backend));
  }
  if (args.file.empty()) return backends;
  auto text = read_input(session, args.file);
  if (!text) return text.error();
  for (const InputLine& line : input_lines(*text)) {
    auto backend = read_backend_spec(line.text);
    if (!backend) {
      return net::Error{net::Code::kInvalid, fmt::format("{}:{}: {}", args.file, line.number, backend.error().message)};
    }
    backends.push_back(std::move(*backend));
  }
  return backends;
}

int add(Session& session, const PoolArgs& args) {
  auto backends = read_backends(session, args);
  if (!backends) return session.usage(backends.error().message);
  return session.change("pool.add", {{"pool", {{"name", args.name}, {"backends", *backends}}}});
}

int set(Session& session, const PoolArgs& args) {
  if (args.backends.empty() && args.file.empty()) {
    return session.usage("nothing to set: give the pool's whole list with --backend or --file");
  }
  auto backends = read_backends(session, args);
  if (!backends) return session.usage(backends.error().message);
  return session.change("pool.set", {{"name", args.name}, {"set", {{"backends", *backends}}}});
}

}  // namespace

void add_pool_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "pool", "Pools: named sets of backends, shared by services");
  const auto args = std::make_shared<PoolArgs>();
  const auto named = [args](CLI::App& verb) -> CLI::App& {
    verb.add_option("NAME", args->name, "The pool")->required();
    return verb;
  };
  const auto filled = [args, named](CLI::App& verb) {
    add_repeated(named(verb), "--backend", args->backends, "NAME=ADDRESS[,weight=N][,label.KEY=VALUE]; repeat for more")
        .type_name("BACKEND");
    verb.add_option("-f,--file", args->file, "Backends in the same form, one a line, # for comments; - for stdin")
        ->type_name("FILE");
  };

  add_verb(noun, "list", "List pools and the services that use them", session,
           [&session] { return session.ask("pool.list", json::object(), view_pools); });
  named(add_verb(noun, "show", "Show one pool and its backends", session, [&session, args] {
    return session.ask("pool.show", {{"name", args->name}}, view_pool);
  }));
  filled(add_verb(noun, "add", "Add a pool", session, [&session, args] { return add(session, *args); }));
  filled(add_verb(noun, "set", "Replace a pool's whole list of backends", session,
                  [&session, args] { return set(session, *args); }));
  named(add_verb(noun, "remove", "Remove a pool that no service uses", session, [&session, args] {
    return session.change("pool.remove", {{"name", args->name}});
  }));
}

}  // namespace lb::ctl
