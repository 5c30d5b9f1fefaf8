// lbctl config history|rollback|confirm|blame, and the revisions of `config diff`
#include "ctl/cmd_history.h"

#include <memory>

#include "ctl/cmd_common.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct HistoryArgs {
  std::string since, what;
  std::optional<uint64_t> limit, to, remove;
};

int history(Session& session, const HistoryArgs& args) {
  json params = json::object();
  if (!args.since.empty()) {
    const auto seconds = read_duration("--since", args.since);
    if (!seconds) return session.usage(seconds.error().message);
    params["since_s"] = *seconds;
  }
  if (args.limit) params["limit"] = *args.limit;
  return session.ask("config.history", params, view_history);
}

int rollback(Session& session, const HistoryArgs& args) {
  json params = json::object();
  if (args.to) params["to"] = *args.to;
  if (args.remove) params["allow_remove"] = *args.remove;
  return session.change("config.rollback", std::move(params));
}

int blame(Session& session, const HistoryArgs& args) {
  json params = json::object();
  if (!args.what.empty()) params["select"] = args.what;
  return session.ask("config.blame", params, view_blame);
}

}  // namespace

void add_history_verbs(CLI::App& noun, Session& session) {
  const auto args = std::make_shared<HistoryArgs>();
  CLI::App& list = add_verb(noun, "history", "Revisions: who changed services and pools, when and why; newest first",
                            session, [&session, args] { return history(session, *args); });
  list.add_option("--since", args->since, "Not older than that: 90s, 30m, 2h, 7d")->type_name("TIME");
  list.add_option("--limit", args->limit, "At most so many")->type_name("N");
  CLI::App& back = add_verb(noun, "rollback", "Bring back services and pools of a former revision, as a new one",
                            session, [&session, args] { return rollback(session, *args); });
  back.add_option("REVISION", args->to, "Default: the one before the current, or the one that a trial goes back to");
  back.add_option("--remove", args->remove, "How many services may go; without it none")->type_name("N");
  add_verb(noun, "confirm", "Keep a revision that was applied with --confirm-within", session,
           [&session] { return session.change("config.confirm", json::object()); });
  add_verb(noun, "blame", "Tell which revision touched what last", session, [&session, args] {
    return blame(session, *args);
  }).add_option("WHAT", args->what, "A service, a pool, or POOL/BACKEND; removed ones, too. Default: all there is");
}

}  // namespace lb::ctl
