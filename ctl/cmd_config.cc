// lbctl config show|check|diff|apply
//
// Documents are read here, includes and all, and checked before the daemon is asked, so that every problem has its
// file, line and column; what travels is the canonical text.
#include <fmt/format.h>

#include <filesystem>

#include "ctl/access.h"
#include "ctl/cmd_common.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct ConfigArgs {
  std::string file;
  std::optional<uint64_t> remove;
  bool host = false;
};

net::Result<model::Parsed> load(Session& session, const std::string& file) {
  if (file != "-") return model::load_config(file, model::file_reader());
  auto text = read_input(session, file);
  if (!text) return text.error();
  return model::parse_config(*text, "stdin", model::file_reader());
}

json problem_json(const model::Problem& p) {
  return {{"file", p.file}, {"line", p.line},       {"column", p.column},
          {"path", p.path}, {"message", p.message}, {"text", p.to_string()}};
}

// What the host lacks becomes problems as those of the document are. RETURNS: what is told of the host besides.
json judge_host(const Session& session, const model::Parsed& parsed, json& problems) {
  json host = {{"judged", true}, {"problems", 0}, {"notes", json::array()}};
  size_t count = 0;
  for (const host::Finding& finding : host::check_host(parsed.config.daemon, session.machine)) {
    json found = problem_json(parsed.problem_of_daemon(finding.path, finding.message));
    if (finding.kind == host::Finding::Kind::kNote) {
      host["notes"].push_back(std::move(found));
    } else {
      problems.push_back(std::move(found));
      count++;
    }
  }
  // lbd starts without them: nobody has a role by such a name.
  const Access access(parsed.config.daemon.access, 0);
  for (const Access::Unknown& u : access.unknown())
    host["notes"].push_back(problem_json(parsed.problem_of_daemon(u.path, u.message)));
  host["problems"] = count;
  return host;
}

// Why the host is not judged; empty: it can be.
std::string why_not_judged(const ConfigArgs& args, const model::Parsed& parsed) {
  if (args.host && !parsed.problems.empty()) return "the document's problems come first";
  if (args.host && !parsed.has_daemon) return "the document has no section `daemon`";
  return args.host ? "" : "`--host` does that, on the machine where lbd is to run";
}

int check(Session& session, const ConfigArgs& args) {
  auto parsed = load(session, args.file);
  if (!parsed) return session.fail(parsed.error());
  json result = {{"file", args.file}, {"files", parsed->files}, {"problems", json::array()}};
  for (const model::Problem& p : parsed->problems) result["problems"].push_back(problem_json(p));
  if (parsed->problems.empty()) {
    size_t backends = 0;
    for (const auto& [name, pool] : parsed->config.pools) backends += pool.backends.size();
    result["services"] = parsed->config.services.size();
    result["pools"] = parsed->config.pools.size();
    result["backends"] = backends;
  }
  result["host"] = nullptr;
  if (const std::string why_not = why_not_judged(args, *parsed); why_not.empty())
    result["host"] = judge_host(session, *parsed, result["problems"]);
  else if (args.host || parsed->has_daemon)  // services alone are for any host
    result["host"] = {{"judged", false}, {"why", why_not}};
  session.show(result, view_config_check);
  return result["problems"].empty() ? kDone : kRefused;
}

// The parameters that config.diff and config.apply share; a document with problems is refused here.
std::optional<json> document(Session& session, const ConfigArgs& args, int* exit) {
  auto parsed = load(session, args.file);
  if (!parsed) {
    *exit = session.fail(parsed.error());
    return std::nullopt;
  }
  if (!parsed->problems.empty()) {
    Failure failure{kRefused, "invalid", "", {}};
    for (const model::Problem& p : parsed->problems) failure.problems.push_back(p.to_string());
    failure.message = fmt::format("{} has {} problem{}; nothing was sent to lbd", args.file, failure.problems.size(),
                                  failure.problems.size() == 1 ? "" : "s");
    *exit = session.fail(failure);
    return std::nullopt;
  }
  std::error_code none;
  const auto path = std::filesystem::absolute(args.file, none);
  return json{
      {"text", parsed->has_daemon ? model::print_config(parsed->config) : model::print_services(parsed->config)},
      {"file", args.file == "-" || none ? args.file : path.string()}};
}

int diff(Session& session, const ConfigArgs& args) {
  int exit = kDone;
  const auto params = document(session, args, &exit);
  return params ? session.ask("config.diff", *params, view_change) : exit;
}

int apply(Session& session, const ConfigArgs& args) {
  int exit = kDone;
  auto params = document(session, args, &exit);
  if (!params) return exit;
  if (args.remove) (*params)["allow_remove"] = *args.remove;
  return session.change("config.apply", std::move(*params));
}

}  // namespace

void add_config_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "config", "The configuration as a whole");
  const auto args = std::make_shared<ConfigArgs>();
  const auto filed = [args](CLI::App& verb) -> CLI::App& {
    verb.add_option("FILE", args->file, "The configuration; - for stdin")->required();
    return verb;
  };

  add_verb(noun, "show", "Print what runs, as `config apply` reads it", session,
           [&session] { return session.ask("config.show", json::object(), view_config); });
  filed(add_verb(noun, "check", "Check a file without lbd, root or a network card; exit 1 when it has problems",
                 session, [&session, args] { return check(session, *args); }))
      .add_flag("--host", args->host,
                "Judge this machine too: NICs, drivers, IOMMU, queues, MTU, XDP programs, huge pages, cores");
  filed(add_verb(noun, "diff", "Tell what `config apply` would change", session,
                 [&session, args] { return diff(session, *args); }));
  filed(add_verb(noun, "apply", "Replace all services and pools by those of a file", session,
                 [&session, args] { return apply(session, *args); }))
      .add_option("--remove", args->remove, "How many services may go; without it none")
      ->type_name("N");
}

}  // namespace lb::ctl
