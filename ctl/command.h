// What every command of lbctl shares: the global options, one way to ask the daemon, one way to answer.
//
// A command is a subcommand of CLI11 whose callback sets Session::action; the action runs after the whole line has been
// parsed, so that options may stand anywhere. An action returns an exit code and says every failure through fail().
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ctl/render.h"
#include "dataplane/host/host_check.h"
#include "dataplane/net/result.h"

namespace CLI {
class App;
}

namespace lb::ctl {

class Client;

enum Exit : int { kDone = 0, kRefused = 1, kUsage = 2, kNoDaemon = 3, kTimedOut = 4, kInPart = 5 };

// A failure on its way to the operator: the exit code, the daemon's or our own code word, one sentence, and the
// problems of a document when there are any.
struct Failure {
  Exit exit = kRefused;
  std::string code;  // as in docs/protocol.md: invalid, not_found, ...
  std::string message;
  std::vector<std::string> problems;
};
Failure to_failure(const net::Error& error);
std::string_view code_name(net::Code code) noexcept;  // kNotFound -> "not_found"

struct Options {
  std::string socket;
  bool json = false;
  bool dry_run = false;
  std::string reason;
  std::optional<uint64_t> expect_revision;
  // What guards may let pass.
  std::optional<uint64_t> break_flows;
  std::vector<std::string> allow_below;      // POOL=N
  std::vector<std::string> allow_reshuffle;  // services
  double timeout_s = 10;
};

// Where a command reads and writes: the process's streams, or a test's.
struct Streams {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // talk
  bool colour = false;
};

class Session {
 public:
  explicit Session(Streams streams);
  ~Session();

  Options options;
  host::Machine machine;  // that `config check --host` judges
  // What forwards though no daemon answers: {..., message}, null: nothing. Asked when one is missed; may be empty.
  std::function<nlohmann::json()> without_daemon;
  std::function<int()> action;  // what the named command does; set while the line is parsed

  // Asks, shows the result, RETURNS the exit code. view: how people read it.
  int ask(std::string_view method, const nlohmann::json& params, TextView view);
  // The same for a change: adds dry_run, reason, expect_revision; late workers are told and exit kInPart.
  int change(std::string_view method, nlohmann::json params);
  // What change() adds to the parameters. RETURNS: false after a usage error was told.
  bool add_change_options(nlohmann::json& params);
  // Asks only, and tells nothing.
  std::variant<nlohmann::json, Failure> request(std::string_view method, const nlohmann::json& params);
  // Asks only. RETURNS the result, or nothing after the failure was told; failed() is then the exit code.
  std::optional<nlohmann::json> call(std::string_view method, const nlohmann::json& params);
  int failed() const noexcept { return failed_; }

  void show(const nlohmann::json& result, TextView view);
  int show_change(const nlohmann::json& result);  // with warnings and late workers; RETURNS the exit code
  int fail(const Failure& failure);               // tells it, RETURNS its exit code
  nlohmann::json tell_orphans();                  // what without_daemon() knows, told as talk, too; null: nothing
  int fail(const net::Error& error) { return fail(to_failure(error)); }
  int usage(const std::string& sentence);  // RETURNS kUsage

  std::istream& in() { return streams_.in; }
  std::ostream& out() { return streams_.out; }  // for what is too long for show()
  std::ostream& err() { return streams_.err; }

 private:
  Renderer& renderer();

  Streams streams_;
  std::unique_ptr<Renderer> renderer_;
  std::unique_ptr<Client> client_;  // connected at the first call
  int failed_ = kDone;
};

// One noun each; adds its subcommands to the app. What they need beyond the session comes as further arguments.
void add_service_commands(CLI::App& app, Session& session);
void add_pool_commands(CLI::App& app, Session& session);
void add_backend_commands(CLI::App& app, Session& session);
void add_config_commands(CLI::App& app, Session& session);
void add_explain_command(CLI::App& app, Session& session);
void add_events_command(CLI::App& app, Session& session);
void add_flow_commands(CLI::App& app, Session& session);
void add_table_commands(CLI::App& app, Session& session);
void add_stats_commands(CLI::App& app, Session& session);
void add_node_commands(CLI::App& app, Session& session);

}  // namespace lb::ctl
