// lbctl config show|check|diff|apply
//
// Documents are read here, includes and all, and checked before the daemon is asked, so that every problem has its
// file, line and column; what travels is the canonical text.
#include <fmt/format.h>

#include <filesystem>

#include "ctl/cmd_common.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct ConfigArgs {
  std::string file;
  std::optional<uint64_t> remove;
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
  session.show(result, view_config_check);
  return parsed->problems.empty() ? kDone : kRefused;
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
                 session, [&session, args] { return check(session, *args); }));
  filed(add_verb(noun, "diff", "Tell what `config apply` would change", session,
                 [&session, args] { return diff(session, *args); }));
  filed(add_verb(noun, "apply", "Replace all services and pools by those of a file", session,
                 [&session, args] { return apply(session, *args); }))
      .add_option("--remove", args->remove, "How many services may go; without it none")
      ->type_name("N");
}

}  // namespace lb::ctl
