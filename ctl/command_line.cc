#include "ctl/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string_view>

#include "ctl/cmd_common.h"
#include "ctl/version.h"
#include "dataplane/model/config.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// What later versions bring: said by name instead of "no such command".
constexpr std::string_view kLaterCommands[] = {
    "service test", "backend health", "backend test", "backend maintenance", "backend script", "table show",
    "top",          "capture",        "doctor",
};
constexpr std::string_view kLaterOptions[] = {"--if-down"};

constexpr std::string_view kValueOptions[] = {"-s",        "--socket",      "--reason",      "--expect-revision",
                                              "--timeout", "--break-flows", "--allow-below", "--allow-reshuffle"};

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

// The words that are no options and no values of the global ones: noun, verb, objects.
std::vector<std::string> plain_words(const std::vector<std::string>& args) {
  std::vector<std::string> words;
  for (size_t i = 0; i < args.size(); i++) {
    if (contains(kValueOptions, args[i])) {
      i++;
    } else if (!args[i].starts_with("-") || args[i] == "-") {
      words.push_back(args[i]);
    }
  }
  return words;
}

std::string later_word(const std::vector<std::string>& args) {
  const std::vector<std::string> words = plain_words(args);
  if (!words.empty() && contains(kLaterCommands, words[0])) return words[0];
  if (words.size() > 1 && contains(kLaterCommands, words[0] + " " + words[1])) return words[0] + " " + words[1];
  for (const std::string& arg : args) {
    const std::string name = arg.substr(0, arg.find('='));
    if (contains(kLaterOptions, name)) return (words.empty() ? "" : words[0] + " ") + name;
  }
  return "";
}

// The deepest command that was named.
const CLI::App& named_command(const CLI::App& app) {
  const auto subs = app.get_subcommands();
  return subs.empty() ? app : named_command(*subs.front());
}

std::string path_of(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : path_of(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string usage_sentence(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& args) {
  if (const std::string later = later_word(args); !later.empty()) return later + ": not in this version";
  const CLI::App& command = named_command(app);
  const std::string path = path_of(command).substr(app.get_name().size());
  const std::string where = path.empty() ? "" : path.substr(1) + ": ";
  const auto verbs = verbs_of(command);
  const std::vector<std::string> words = plain_words(args);
  const auto depth = static_cast<size_t>(std::count(path.begin(), path.end(), ' '));
  if (!verbs.empty() && words.size() > depth) {
    return fmt::format("{}no such command: {}; there are {}", where, words[depth], listed(verbs));
  }
  if (!verbs.empty() && words.size() == depth && depth > 0) {
    return fmt::format("{}give a verb: {}", where, listed(verbs));
  }
  return fmt::format("{}{}; see `{} --help`", where, error.what(), path_of(command));
}

void add_globals(CLI::App& app, Options& options) {
  app.add_option("-s,--socket", options.socket, "lbd's socket (default: LBD_SOCKET, else " + options.socket + ")")
      ->envname("LBD_SOCKET")
      ->type_name("PATH");
  app.add_flag("--json", options.json, "The result as JSON, in base units");
  app.add_flag("--dry-run", options.dry_run, "Check and forecast a change, make none");
  app.add_option("--reason", options.reason, "Why: kept with the revision and logged")->type_name("TEXT");
  app.add_option("--expect-revision", options.expect_revision, "Refuse the change unless this is the current revision")
      ->type_name("N");
  app.add_option("--break-flows", options.break_flows, "How many flows a change may break; without it none")
      ->type_name("N");
  add_repeated(app, "--allow-below", options.allow_below,
               "Backends of a pool that must stay eligible, below the limit; repeat for more")
      .type_name("POOL=N");
  add_repeated(app, "--allow-reshuffle", options.allow_reshuffle,
               "A service most of whose new flows may go elsewhere; repeat for more")
      .type_name("SERVICE");
  app.add_option("--timeout", options.timeout_s, "Seconds to wait for lbd (default 10)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.01, 3600.0).description(""));
}

// Positionals are called after what they are; "TEXT" behind that tells nothing.
void tidy_help(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_positional() && option->get_type_name() == "TEXT") option->type_name("");
  }
  for (CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) tidy_help(*sub);
}

}  // namespace

std::unique_ptr<CLI::App> make_command_line(Session& session, const std::vector<AddCommands>& more) {
  auto app = std::make_unique<CLI::App>("Steers lbd, the load balancer. Without a command: a summary, bad news first.",
                                        "lbctl");
  session.options.socket = model::Daemon().socket;
  app->set_version_flag("--version", fmt::format("lbctl {}, protocol {}", kVersion, kProtocol));
  app->fallthrough();  // inherited: global options may stand behind the verb
  app->require_subcommand(0, 1);
  add_globals(*app, session.options);
  app->footer(
      "Exit: 0 done, 1 refused, 2 usage, 3 no lbd, 4 timed out, 5 done in part.\n"
      "Options may stand before or after the command. Help of a command: lbctl COMMAND --help");
  add_service_commands(*app, session);
  add_pool_commands(*app, session);
  add_backend_commands(*app, session);
  add_config_commands(*app, session);
  add_explain_command(*app, session);
  add_events_command(*app, session);
  add_table_commands(*app, session);
  add_flow_commands(*app, session);
  add_stats_commands(*app, session);
  add_node_commands(*app, session);
  for (const AddCommands& add : more) add(*app, session);
  tidy_help(*app);
  app->callback([&session] {
    if (!session.action) session.action = [&session] { return session.ask("summary", json::object(), view_summary); };
  });
  return app;
}

int run_command_line(const std::vector<std::string>& args, Streams streams, const std::vector<AddCommands>& more) {
  Session session(streams);
  try {
    const auto app = make_command_line(session, more);
    try {
      app->parse(std::vector<std::string>(args.rbegin(), args.rend()));  // CLI11 takes them from the back
    } catch (const CLI::Success& success) {                              // --help, --version
      return app->exit(success, streams.out, streams.err);
    } catch (const CLI::ParseError& error) {
      session.options.json = contains(args, "--json");
      return session.usage(usage_sentence(*app, error, args));
    }
    const int code = session.action();
    streams.out.flush();
    if (streams.out) return code;
    return session.fail({kRefused, "io", "cannot write to standard output", {}});
  } catch (const std::exception& e) {
    return session.fail({kRefused, "internal", fmt::format("a fault of lbctl: {}", e.what()), {}});
  }
}

}  // namespace lb::ctl
