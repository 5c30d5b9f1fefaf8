// lbctl config show|check|diff|apply|schema; those of revisions: cmd_history.cc; import: cmd_import.cc
//
// Documents are read here, includes and all, and checked before the daemon is asked, so that every problem has its
// file, line and column; what travels is the canonical text.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <ostream>

#include "ctl/access.h"
#include "ctl/cmd_common.h"
#include "ctl/cmd_history.h"
#include "ctl/cmd_import.h"
#include "ctl/config_schema.h"
#include "ctl/source_files.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct ConfigArgs {
  std::string file, to;
  std::optional<uint64_t> remove, revision;
  std::string confirm_within;
  bool host = false, included = false;
};

net::Result<model::Parsed> load(Session& session, const std::string& file, std::vector<SourceFile>* files = nullptr) {
  if (file != "-") return model::load_config(file, files == nullptr ? model::file_reader() : noting_reader(*files));
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
  std::vector<SourceFile> files;
  auto parsed = load(session, args.file, &files);
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
  json sources = json::array();
  for (const SourceFile& f : files) sources.push_back({{"path", f.path}, {"sha256", f.sha256}});
  return json{
      {"text", parsed->has_daemon ? model::print_config(parsed->config) : model::print_services(parsed->config)},
      {"file", args.file == "-" || none ? args.file : path.string()},
      {"files", std::move(sources)}};
}

std::optional<uint64_t> read_revision(const std::string& word) {
  uint64_t number = 0;
  const auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && at == word.data() + word.size() ? std::optional(number) : std::nullopt;
}

// Of a file against what runs, or of two revisions.
int diff(Session& session, const ConfigArgs& args) {
  if (!args.to.empty()) {
    const auto from = read_revision(args.file), to = read_revision(args.to);
    if (!from || !to)
      return session.usage(
          fmt::format("config diff: `{}` and `{}` are not two revisions: give one file, or two numbers of "
                      "`lbctl config history`",
                      args.file, args.to));
    return session.ask("config.compare", {{"from", *from}, {"to", *to}}, view_compare);
  }
  int exit = kDone;
  auto params = document(session, args, &exit);
  if (!params) return exit;
  params->erase("files");
  return session.ask("config.diff", *params, view_change);
}

int apply(Session& session, const ConfigArgs& args) {
  int exit = kDone;
  auto params = document(session, args, &exit);
  if (!params) return exit;
  if (args.remove) (*params)["allow_remove"] = *args.remove;
  if (!args.confirm_within.empty()) {
    const auto seconds = read_duration("--confirm-within", args.confirm_within);
    if (!seconds) return session.usage(seconds.error().message);
    (*params)["confirm_within_s"] = *seconds;
  }
  return session.change("config.apply", std::move(*params));
}

int show(Session& session, const ConfigArgs& args) {
  json params = json::object();
  if (args.revision) params["revision"] = *args.revision;
  return session.ask("config.show", params, view_config);
}

int schema(Session& session, const ConfigArgs& args) {
  session.out() << config_schema(args.included ? SchemaOf::kIncludedFile : SchemaOf::kMainFile) << '\n';
  return kDone;
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
           [&session, args] { return show(session, *args); })
      .add_option("--revision", args->revision, "Services and pools of a former revision instead")
      ->type_name("N");
  filed(add_verb(noun, "check", "Check a file without lbd, root or a network card; exit 1 when it has problems",
                 session, [&session, args] { return check(session, *args); }))
      .add_flag("--host", args->host,
                "Judge this machine too: NICs, drivers, IOMMU, queues, MTU, XDP programs, huge pages, cores");
  CLI::App& diffs = add_verb(noun, "diff", "Tell what `config apply` would change, or what two revisions differ in",
                             session, [&session, args] { return diff(session, *args); });
  diffs.add_option("FILE", args->file, "The configuration; - for stdin. Or a revision")->required();
  diffs.add_option("REVISION", args->to, "The later one, when the first is a revision, too");
  CLI::App& applies = filed(add_verb(noun, "apply", "Replace all services and pools by those of a file", session,
                                     [&session, args] { return apply(session, *args); }));
  applies.add_option("--remove", args->remove, "How many services may go; without it none")->type_name("N");
  applies
      .add_option("--confirm-within", args->confirm_within,
                  "Undo it by itself unless `config confirm` comes in that time: 90s, 5m, 1h")
      ->type_name("TIME");
  add_verb(noun, "schema", "Print the JSON Schema of a configuration, for editors and CI", session, [&session, args] {
    return schema(session, *args);
  }).add_flag("--included", args->included, "Of a file that `include` names, not of the main one");
  add_history_verbs(noun, session);
  add_import_command(noun, session);
}

}  // namespace lb::ctl
