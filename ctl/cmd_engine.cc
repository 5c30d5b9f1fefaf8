#include "ctl/cmd_engine.h"

#include <fmt/format.h>

#include "ctl/cmd_common.h"
#include "ctl/orphan_view.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

net::Error nothing(const Failure& failure) {
  return {net::Code::kUnavailable,
          fmt::format("{}; no XDP program of an lbd with that socket is attached here, and no flow table waits",
                      failure.message)};
}

int show(Session& session, model::Orphans& orphans) {
  auto answer = session.request("engine.show", json::object());
  const auto* failure = std::get_if<Failure>(&answer);
  if (failure == nullptr) {
    session.show(std::get<json>(answer), view_engine);
    return kDone;
  }
  if (failure->exit != kNoDaemon) return session.fail(*failure);
  const auto state = orphans.show(session.options.socket);
  if (!state) return session.fail(state.error());
  if (state->is_empty()) {
    const net::Error error = nothing(*failure);
    return session.fail({kNoDaemon, std::string(code_name(error.code)), error.message, {}});
  }
  session.err() << "lbctl: " << failure->message << '\n';
  session.show(to_json(*state), view_engine);
  return kDone;
}

// With a daemon nothing is detached: what it would be left with forwards nothing and says that it does.
int refuse_with_daemon(Session& session, const json& hello) {
  const uint64_t pid = hello.value("pid", uint64_t{0});
  if (hello.value("engine", "") != "xdp")
    return session.fail(net::Error{
        net::Code::kUnsupported,
        fmt::format("lbd (pid {}) runs with engine {}, which attaches nothing to the kernel: stopping lbd ends its "
                    "forwarding",
                    pid, hello.value("engine", "?"))});
  return session.fail(net::Error{
      net::Code::kConflict,
      fmt::format("lbd (pid {}) runs and has the programs in use: stop it (systemctl stop lbd), it takes them off as "
                  "it ends",
                  pid)});
}

int detach(Session& session, model::Orphans& orphans, bool force) {
  const auto answer = session.request("hello", json::object());
  if (const auto* hello = std::get_if<json>(&answer)) return refuse_with_daemon(session, *hello);
  if (const auto& failure = std::get<Failure>(answer); failure.exit != kNoDaemon) return session.fail(failure);
  const bool dry_run = session.options.dry_run;
  const auto state = orphans.detach(session.options.socket, force ? model::Force::kYes : model::Force::kNo,
                                    dry_run ? model::Run::kDry : model::Run::kReal);
  const bool nothing_there = !state && state.error().code == net::Code::kNotFound;
  if (!state && !nothing_there) return session.fail(state.error());
  json result = nothing_there ? json{{"message", state.error().message}} : to_json(*state);
  result["changed"] = !nothing_there;
  result["dry_run"] = dry_run;
  session.show(result, view_engine_detach);
  return kDone;
}

}  // namespace

void add_engine_commands(CLI::App& app, Session& session, model::Orphans& orphans) {
  CLI::App& noun = add_noun(app, "engine", "What moves the packets, and what of it outlives lbd");
  add_verb(noun, "show", "Engine, workers, memory; with engine xdp its programs, also after lbd died", session,
           [&session, &orphans] { return show(session, orphans); });
  const auto force = std::make_shared<bool>(false);
  add_verb(noun, "detach", "Without lbd: take its XDP programs off, and forget its flows", session,
           [&session, &orphans, force] { return detach(session, orphans, *force); })
      .add_flag("--force", *force, "Even while they forward: from then on the kernel gets every packet");
  session.without_daemon = [&session, &orphans]() -> json {
    const auto state = orphans.show(session.options.socket);
    if (!state || still_forwards(*state).empty()) return nullptr;
    json found = to_json(*state);
    found["message"] = still_forwards(*state);
    return found;
  };
}

}  // namespace lb::ctl
