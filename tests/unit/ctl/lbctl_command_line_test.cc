#include "ctl/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct Outcome {
  int exit;
  std::string out, err;
};

Outcome lbctl(const std::vector<std::string>& args, const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out, err;
  const int exit = run_command_line(args, {in, out, err});
  return {exit, out.str(), err.str()};
}

const json kChange = {{"changed", true},
                      {"dry_run", false},
                      {"revision", 13},
                      {"generation", 42},
                      {"digest", "9911aa55c3d2e1b0"},
                      {"late_workers", json::array()},
                      {"lines", {"+ something"}},
                      {"forecast", json::array()},
                      {"restart", json::array()},
                      {"warnings", json::array()}};

// Runs a change against a daemon that accepts everything. RETURNS: what it was asked.
struct Asked {
  std::string method;
  json params;
};
Asked asked(std::vector<std::string> args, const std::string& input = "") {
  FakeDaemon daemon(FakeDaemon::always(kChange));
  args.insert(args.end(), {"-s", daemon.socket()});
  const Outcome run = lbctl(args, input);
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_FALSE(run.out.empty());
  if (daemon.requests().empty()) return {};
  return {daemon.requests().back().json.at("method"), daemon.params()};
}

void expect_asked(const std::vector<std::string>& args, const std::string& method, const json& params) {
  const Asked a = asked(args);
  EXPECT_EQ(a.method, method);
  EXPECT_EQ(a.params, params) << a.params;
}

TEST(CommandLine, WordsBecomeParameters) {
  expect_asked({}, "summary", json::object());
  expect_asked({"service", "list"}, "service.list", json::object());
  expect_asked({"service", "show", "web"}, "service.show", {{"name", "web"}});
  expect_asked({"service",
                "add",
                "web",
                "--listen",
                "192.0.2.10:80/tcp",
                "--listen",
                "[2001:db8::10]:*/udp",
                "--pool",
                "fe",
                "--forward",
                "dsr",
                "--schedule",
                "source-hash",
                "--table-size",
                "251",
                "--source-prefix",
                "24,56",
                "--on-no-listener",
                "reject",
                "--announce",
                "on"},
               "service.add",
               {{"service",
                 {{"name", "web"},
                  {"listen", {"192.0.2.10:80/tcp", "[2001:db8::10]:*/udp"}},
                  {"pool", "fe"},
                  {"forward", "dsr"},
                  {"schedule", "source-hash"},
                  {"table_size", 251},
                  {"source_prefix", {24, 56}},
                  {"on_no_listener", "reject"},
                  {"announce", "on"}}}});
  expect_asked({"service", "set", "web", "--pool", "b"}, "service.set", {{"name", "web"}, {"set", {{"pool", "b"}}}});
  expect_asked({"service", "remove", "web"}, "service.remove", {{"name", "web"}});
  expect_asked({"service", "withdraw", "web", "--expires", "1h"}, "service.withdraw",
               {{"name", "web"}, {"expires_s", 3600}});
  expect_asked({"service", "announce", "web", "--dry-run"}, "service.announce", {{"name", "web"}, {"dry_run", true}});
  expect_asked({"node", "status"}, "node.status", json::object());
  expect_asked({"node", "drain", "--expires", "90", "--reason", "kernel"}, "node.drain",
               {{"expires_s", 90}, {"reason", "kernel"}});
  expect_asked({"node", "ready"}, "node.ready", json::object());
  expect_asked({"pool", "list"}, "pool.list", json::object());
  expect_asked({"pool", "show", "fe"}, "pool.show", {{"name", "fe"}});
  expect_asked({"pool", "remove", "fe"}, "pool.remove", {{"name", "fe"}});
  expect_asked({"table", "digest"}, "table.digest", json::object());
  expect_asked({"table", "digest", "web"}, "table.digest", {{"service", "web"}});
  expect_asked({"config", "show"}, "config.show", json::object());
  expect_asked({"config", "show", "--revision", "7"}, "config.show", {{"revision", 7}});
  expect_asked({"config", "diff", "7", "9"}, "config.compare", {{"from", 7}, {"to", 9}});
  expect_asked({"config", "history", "--since", "2h", "--limit", "5"}, "config.history",
               {{"since_s", 7200}, {"limit", 5}});
  expect_asked({"config", "rollback"}, "config.rollback", json::object());
  expect_asked({"config", "rollback", "12", "--remove", "3"}, "config.rollback", {{"to", 12}, {"allow_remove", 3}});
  expect_asked({"config", "confirm"}, "config.confirm", json::object());
  expect_asked({"config", "blame", "fe/fe11"}, "config.blame", {{"select", "fe/fe11"}});
  for (const char* what : {"services", "backends", "workers", "ports", "drops"}) {
    expect_asked({"stats", what}, std::string("stats.") + what, json::object());
  }
}

TEST(CommandLine, EventsComeInPiecesAndALineEach) {
  const json event = {{"number", 8},
                      {"time_ms", 1764032400123},
                      {"level", "warning"},
                      {"event", "backend_not_eligible"},
                      {"fields", {{"pool", "fe"}, {"backend", "fe11"}, {"why", "drained"}, {"empty", ""}, {"n", 3}}}};
  int piece = 0;
  FakeDaemon daemon([&](const Request& r) {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    piece++;
    return FakeDaemon::result(r, {{"events", {event}}, {"next", piece * 10}, {"more", piece < 3}, {"oldest", 1}});
  });
  const Outcome text = lbctl({"events", "--since", "30m", "--service", "web", "-s", daemon.socket()}, "");
  EXPECT_EQ(text.exit, kDone) << text.err;
  const std::string line =
      "2025-11-25 01:00:00.123 UTC  warning  backend_not_eligible  backend: fe11  n: 3  pool: fe  why: drained\n";
  EXPECT_EQ(text.out, line + line + line);
  ASSERT_EQ(daemon.requests().size(), 4u);
  EXPECT_EQ(daemon.requests()[1].json.at("params"), json({{"since_s", 1800}, {"service", "web"}}));
  // The time is of the beginning: applied again it would lose what happens between two pieces.
  EXPECT_EQ(daemon.requests()[2].json.at("params"), json({{"after", 10}, {"service", "web"}}));
  piece = 2;
  const Outcome lines = lbctl({"--json", "events", "-s", daemon.socket()}, "");
  EXPECT_EQ(lines.out, event.dump() + "\n");
}

TEST(CommandLine, PoolsTakeBackendsAsWordsAndAsLines) {
  const json fe11 = {{"name", "fe11"}, {"address", "10.0.0.11"}, {"weight", 50}, {"labels", {{"rack", "r1"}}}};
  const json fe12 = {{"name", "fe12"}, {"address", "2001:db8::12"}};
  expect_asked(
      {"pool", "add", "fe", "--backend", "fe11=10.0.0.11,weight=50,label.rack=r1", "--backend", "fe12=2001:db8::12"},
      "pool.add", {{"pool", {{"name", "fe"}, {"backends", {fe11, fe12}}}}});
  const Asked a = asked({"pool", "set", "fe", "--file", "-"},
                        "# a comment\n\n  fe11=10.0.0.11,weight=50,label.rack=r1 # here too\r\nfe12=2001:db8::12");
  EXPECT_EQ(a.method, "pool.set");
  EXPECT_EQ(a.params, json({{"name", "fe"}, {"set", {{"backends", {fe11, fe12}}}}}));
  const Outcome run = lbctl({"pool", "add", "fe", "-f", "-"}, "fe11=10.0.0.11\nfe12\n");
  EXPECT_EQ(run.exit, kUsage);
  EXPECT_NE(run.err.find("-:2: "), std::string::npos) << run.err;
}

TEST(CommandLine, BackendsAreSelectedByNameAndLabel) {
  expect_asked({"backend", "list"}, "backend.list", json::object());
  expect_asked({"backend", "list", "fe/*", "*/x", "--label", "rack=r1", "--label", "row=2"}, "backend.list",
               {{"select", {{"names", {"fe/*", "*/x"}}, {"labels", {{"rack", "r1"}, {"row", "2"}}}}}});
  expect_asked({"backend", "show", "fe/fe11"}, "backend.show", {{"select", {{"names", {"fe/fe11"}}}}});
  expect_asked(
      {"backend", "add", "fe/fe13", "10.0.0.13", "--weight", "50", "--label", "rack=r1"}, "backend.add",
      {{"pool", "fe"},
       {"backend", {{"name", "fe13"}, {"address", "10.0.0.13"}, {"weight", 50}, {"labels", {{"rack", "r1"}}}}}});
  expect_asked({"backend", "set", "--label", "rack=r1", "--weight", "0", "--all"}, "backend.set",
               {{"select", {{"labels", {{"rack", "r1"}}}}}, {"set", {{"weight", 0}}}, {"all", true}});
  expect_asked({"backend", "set", "fe/a", "--set-label", "rack=r2", "--address", "10.0.0.9"}, "backend.set",
               {{"select", {{"names", {"fe/a"}}}}, {"set", {{"labels", {{"rack", "r2"}}}, {"address", "10.0.0.9"}}}});
  expect_asked({"backend", "set", "fe/a", "--no-labels"}, "backend.set",
               {{"select", {{"names", {"fe/a"}}}}, {"set", {{"labels", json::object()}}}});
  expect_asked({"backend", "remove", "*/a", "--all"}, "backend.remove",
               {{"select", {{"names", {"*/a"}}}}, {"all", true}});
}

TEST(CommandLine, ChangesCarryTheCommonOptionsWhereverTheyStand) {
  const json want = {{"name", "web"}, {"dry_run", true}, {"reason", "why not"}, {"expect_revision", 12}};
  expect_asked({"--dry-run", "--reason", "why not", "--expect-revision", "12", "service", "remove", "web"},
               "service.remove", want);
  expect_asked({"service", "remove", "web", "--dry-run", "--reason", "why not", "--expect-revision=12"},
               "service.remove", want);
  expect_asked({"service", "--dry-run", "remove", "--reason", "why not", "web", "--expect-revision", "12"},
               "service.remove", want);
  expect_asked({"service", "list", "--dry-run", "--reason", "x"}, "service.list", json::object());
}

TEST(CommandLine, UsageErrorsExitTwoAndAskNobody) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> kCases = {
      {{"nosuch"}, "no such command: nosuch; there are service, pool"},
      {{"service"}, "service: give a verb: list, show"},
      {{"service", "nosuch"}, "service: no such command: nosuch"},
      {{"service", "add", "web"}, "--listen"},
      {{"service", "show"}, "NAME"},
      {{"service", "show", "a", "b"}, "b"},
      {{"--nosuch"}, "--nosuch"},
      {{"backend", "set", "fe/a", "--weight", "much"}, "much"},
      {{"backend", "set", "fe/a", "--weight", "-1"}, "-1"},
      {{"backend", "set", "fe/a"}, "nothing to set"},
      {{"backend", "set", "--weight", "1"}, "which backend"},
      {{"backend", "remove", "--all"}, "which backend"},
      {{"backend", "add", "fe", "10.0.0.1"}, "POOL/NAME"},
      {{"backend", "add", "fe/a/b", "10.0.0.1"}, "POOL/NAME"},
      {{"backend", "list", "--label", "rack"}, "KEY=VALUE"},
      {{"backend", "list", "--label", "r=1", "--label", "r=2"}, "twice"},
      {{"pool", "set", "fe"}, "nothing to set"},
      {{"pool", "add", "fe", "--backend", "a=10.0.0.1,weigth=3"}, "weigth"},
      {{"pool", "add", "fe", "--backend", "a=10.0.0.1,weight=3x"}, "3x"},
      {{"service", "set", "web"}, "nothing to set"},
      {{"service", "set", "web", "--source-prefix", "32"}, "32,64"},
      {{"explain"}, "explain what"},
      {{"explain", "tcp", "198.51.100.7:1"}, "explain what"},
      {{"explain", "sctp", "198.51.100.7:1", "192.0.2.1:80"}, "sctp"},
      {{"explain", "tcp", "198.51.100.7", "192.0.2.1:80"}, "198.51.100.7"},
      {{"explain", "tcp", "198.51.100.7:1", "[2001:db8::1]:80"}, "one address family"},
      {{"explain", "tcp", "198.51.100.7:1", "192.0.2.1:80", "--size", "70000"}, "70000"},
      {{"explain", "--from", "-", "--size", "3"}, "fourth word"},
      {{"config", "apply"}, "FILE"},
      {{"--timeout", "0", "service", "list"}, "timeout"},
  };
  for (const auto& [args, word] : kCases) {
    const Outcome run = lbctl(args);
    EXPECT_EQ(run.exit, kUsage) << word << ": " << run.err;
    EXPECT_NE(run.err.find(word), std::string::npos) << "no \"" << word << "\" in: " << run.err;
    EXPECT_TRUE(run.err.starts_with("lbctl: ")) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
}

TEST(CommandLine, LaterCommandsAreRefusedByNameAndNotOffered) {
  EXPECT_EQ(lbctl({"backend", "maintenance", "fe/a"}).err, "lbctl: backend maintenance: not in this version\n");
  EXPECT_EQ(lbctl({"backend", "wait", "up", "fe/a"}).err, "lbctl: backend wait up: not in this version\n");
  EXPECT_EQ(lbctl({"-s", "backend", "top"}).err, "lbctl: top: not in this version\n");
  EXPECT_EQ(lbctl({"table", "show"}).err, "lbctl: table show: not in this version\n");
  EXPECT_EQ(lbctl({"explain", "tcp", "a", "b", "--if-down", "fe11"}).err,
            "lbctl: explain --if-down: not in this version\n");
  EXPECT_EQ(lbctl({"backend", "maintenance"}).exit, kUsage);
  EXPECT_EQ(lbctl({"--help"}).out.find("doctor"), std::string::npos);
  EXPECT_EQ(lbctl({"backend", "--help"}).out.find("maintenance"), std::string::npos);
}

void expect_help(const CLI::App& app, std::vector<std::string> path) {
  path.push_back("--help");
  const Outcome run = lbctl(path);
  EXPECT_EQ(run.exit, kDone);
  EXPECT_NE(run.out.find("Usage: lbctl"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find(app.get_description()), std::string::npos) << run.out;
  EXPECT_FALSE(app.get_description().empty()) << path.front();
  path.pop_back();
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::vector<std::string> deeper = path;
    deeper.push_back(sub->get_name());
    expect_help(*sub, deeper);
  }
}

TEST(CommandLine, EveryCommandHasHelp) {
  std::istringstream in;
  std::ostringstream out;
  Session session({in, out, out});
  expect_help(*make_command_line(session, {}), {});
}

TEST(CommandLine, VersionNamesTheProtocol) {
  const Outcome run = lbctl({"--version"});
  EXPECT_EQ(run.exit, kDone);
  EXPECT_EQ(run.out, "lbctl " LB_VERSION ", protocol 1\n");
}

TEST(CommandLine, LateWorkersAreDoneInPart) {
  json late = kChange;
  late["late_workers"] = {"core 3"};
  FakeDaemon daemon(FakeDaemon::always(late));
  const Outcome run = lbctl({"-s", daemon.socket(), "service", "remove", "web"});
  EXPECT_EQ(run.exit, kInPart);
  EXPECT_NE(run.err.find("core 3"), std::string::npos) << run.err;
  EXPECT_NE(run.out.find("revision 13"), std::string::npos) << run.out;
}

TEST(CommandLine, WarningsAreTalkNotData) {
  json warned = kChange;
  warned["warnings"] = {"pool fe has one backend"};
  FakeDaemon daemon(FakeDaemon::always(warned));
  const Outcome run = lbctl({"-s", daemon.socket(), "service", "remove", "web"});
  EXPECT_EQ(run.exit, kDone);
  EXPECT_EQ(run.err, "lbctl: warning: pool fe has one backend\n");
  EXPECT_EQ(run.out.find("one backend"), std::string::npos);
}

TEST(CommandLine, RefusalExitsOneAndIsAnObjectForScripts) {
  FakeDaemon daemon([](const Request& r) {
    return FakeDaemon::is_hello(r) ? FakeDaemon::hello(r) : FakeDaemon::error(r, "not_found", "no service web");
  });
  const Outcome text = lbctl({"-s", daemon.socket(), "service", "show", "web"});
  EXPECT_EQ(text.exit, kRefused);
  EXPECT_EQ(text.out, "");
  EXPECT_EQ(text.err, "lbctl: no service web\n");
  const Outcome object = lbctl({"-s", daemon.socket(), "service", "show", "web", "--json"});
  EXPECT_EQ(object.exit, kRefused);
  EXPECT_EQ(json::parse(object.out),
            json({{"changed", false}, {"error", {{"code", "not_found"}, {"message", "no service web"}}}}));
}

TEST(CommandLine, NoDaemonExitsThree) {
  TempDir dir;
  const Outcome run = lbctl({"-s", dir.file("lbd.sock")});
  EXPECT_EQ(run.exit, kNoDaemon);
  EXPECT_EQ(run.out, "");
}

TEST(CommandLine, TimeoutExitsFour) {
  FakeDaemon daemon([](const Request&) { return std::string(); });
  EXPECT_EQ(lbctl({"-s", daemon.socket(), "--timeout", "0.05"}).exit, kTimedOut);
}

TEST(CommandLine, SocketComesFromTheEnvironmentUnlessNamed) {
  FakeDaemon daemon(FakeDaemon::always({{"pools", json::array()}}));
  setenv("LBD_SOCKET", daemon.socket().c_str(), 1);
  EXPECT_EQ(lbctl({"pool", "list"}).exit, kDone);
  EXPECT_EQ(lbctl({"pool", "list", "-s", "/nonexistent/lbd.sock"}).exit, kNoDaemon);
  unsetenv("LBD_SOCKET");
}

TEST(CommandLine, ManyFlowsAreAskedInPartsAndAnsweredAsOne) {
  std::string lines;
  for (int i = 0; i < 5000; i++) lines += "udp 198.51.100.7:" + std::to_string(10000 + i) + " 192.0.2.10:53 100\n";
  FakeDaemon daemon([](const Request& r) {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    json answers = json::array();
    for (const json& flow : r.json.at("params").at("flows")) answers.push_back({{"verdict", "punted"}, {"flow", flow}});
    return FakeDaemon::result(r, {{"generation", 9}, {"answers", answers}});
  });
  const Outcome run = lbctl({"-s", daemon.socket(), "--json", "explain", "--from", "-"}, lines);
  ASSERT_EQ(run.exit, kDone) << run.err;
  const json result = json::parse(run.out);
  ASSERT_EQ(result.at("answers").size(), 5000u);
  EXPECT_EQ(result.at("generation"), 9);
  EXPECT_EQ(
      result.at("answers").at(4999).at("flow"),
      json({{"proto", "udp"}, {"source", "198.51.100.7:14999"}, {"destination", "192.0.2.10:53"}, {"size", 100}}));
  ASSERT_EQ(daemon.requests().size(), 3u) << "hello and two parts";
  EXPECT_EQ(daemon.requests()[1].json.at("params").at("flows").size(), 4096u);
}

TEST(CommandLine, BadFlowInAFileIsNamedByItsLine) {
  const Outcome run =
      lbctl({"explain", "--from", "-"}, "# flows\ntcp 198.51.100.7:1 192.0.2.1:80\ntcp 198.51.100.7:1\n");
  EXPECT_EQ(run.exit, kRefused);
  EXPECT_NE(run.err.find("-:3: "), std::string::npos) << run.err;
  EXPECT_EQ(lbctl({"explain", "--from", "-"}, "").exit, kRefused);
}

TEST(CommandLine, StatsWithoutAVerbJoinsFour) {
  FakeDaemon daemon([](const Request& r) {
    return FakeDaemon::is_hello(r) ? FakeDaemon::hello(r)
                                   : FakeDaemon::result(r, {{r.json.at("method").get<std::string>(), 1}});
  });
  const Outcome run = lbctl({"-s", daemon.socket(), "--json", "stats"});
  EXPECT_EQ(
      json::parse(run.out),
      json({{"changed", false}, {"stats.workers", 1}, {"stats.ports", 1}, {"stats.drops", 1}, {"stats.flows", 1}}));
}

constexpr const char* kGood =
    "version: 1\n"
    "pools:\n  fe: {backends: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]}\n"
    "services:\n  web: {listen: [\"192.0.2.10:80/tcp\"], pool: fe}\n";
constexpr const char* kBad =
    "version: 1\n"
    "pools:\n  fe: {backends: [{name: a, address: 10.0.0.1, weight: 1001}]}\n"
    "services:\n  web: {listen: [\"192.0.2.10:80/tcp\"], pool: fx}\n";

TEST(CommandLine, ConfigCheckNeedsNoDaemon) {
  TempDir dir;
  std::ofstream(dir.file("lbd.yaml")) << kGood;
  const Outcome good = lbctl({"config", "check", dir.file("lbd.yaml")});
  EXPECT_EQ(good.exit, kDone) << good.out << good.err;
  EXPECT_EQ(good.out, dir.file("lbd.yaml") + ": valid: 1 service, 1 pool, 2 backends\n");
  EXPECT_EQ(lbctl({"config", "check", "-"}, kGood).exit, kDone);
  EXPECT_EQ(lbctl({"config", "check", dir.file("absent.yaml")}).exit, kRefused);
}

TEST(CommandLine, ConfigCheckTellsEveryProblemWithItsPlace) {
  const Outcome bad = lbctl({"config", "check", "-"}, kBad);
  EXPECT_EQ(bad.exit, kRefused);
  EXPECT_NE(bad.out.find("stdin:3:"), std::string::npos) << bad.out;
  EXPECT_NE(bad.out.find("1001"), std::string::npos) << bad.out;
  EXPECT_NE(bad.out.find("stdin:5:"), std::string::npos) << bad.out;
  const json object = json::parse(lbctl({"config", "check", "-", "--json"}, kBad).out);
  ASSERT_GE(object.at("problems").size(), 2u);
  EXPECT_EQ(object.at("problems").at(0).at("line"), 3);
}

TEST(CommandLine, ConfigApplySendsTheCanonicalTextOfAllFiles) {
  TempDir dir;
  std::ofstream(dir.file("lbd.yaml")) << "version: 1\ninclude: [more.yaml]\n"
                                      << std::string(kGood).substr(std::string(kGood).find("pools"));
  std::ofstream(dir.file("more.yaml")) << "version: 1\nservices:\n  api: {listen: [\"192.0.2.11:80/tcp\"], pool: fe}\n";
  const Asked a = asked({"config", "apply", dir.file("lbd.yaml"), "--remove", "3", "--reason", "r"});
  EXPECT_EQ(a.method, "config.apply");
  EXPECT_EQ(a.params.at("allow_remove"), 3);
  EXPECT_EQ(a.params.at("reason"), "r");
  EXPECT_EQ(a.params.at("file"), dir.file("lbd.yaml"));
  const std::string text = a.params.at("text");
  EXPECT_NE(text.find("api:"), std::string::npos) << text;
  EXPECT_NE(text.find("web:"), std::string::npos) << text;
  EXPECT_EQ(text.find("include"), std::string::npos) << text;
  EXPECT_EQ(asked({"config", "diff", dir.file("lbd.yaml"), "--dry-run"}).params.contains("dry_run"), false);
}

TEST(CommandLine, ConfigWithProblemsIsNotSent) {
  FakeDaemon daemon(FakeDaemon::always(kChange));
  const Outcome run = lbctl({"-s", daemon.socket(), "config", "apply", "-"}, kBad);
  EXPECT_EQ(run.exit, kRefused);
  EXPECT_EQ(run.out, "");
  EXPECT_NE(run.err.find("stdin:3:"), std::string::npos) << run.err;
  EXPECT_TRUE(daemon.requests().empty());
}

// Of a daemon that runs kGood.
std::optional<std::string> answer_of(const Request& request) {
  if (FakeDaemon::is_hello(request)) return FakeDaemon::hello(request);
  if (request.json.at("method") != "config.show") return FakeDaemon::result(request, kChange);
  return FakeDaemon::result(request, {{"text", kGood}, {"revision", 1}, {"digest", "d"}});
}

TEST(CommandLine, ServiceApplyIsJudgedWithWhatRunsAndSendsTheFileAlone) {
  FakeDaemon daemon(answer_of);
  TempDir dir;
  const std::string file = dir.file("team.yaml");
  std::ofstream(file)
      << "version: 1\ninclude: [more.yaml]\nservices:\n  api: {listen: [\"192.0.2.11:80/tcp\"], pool: fe}\n";
  std::ofstream(dir.file("more.yaml")) << "pools:\n  new: {backends: []}\n";
  const Outcome done = lbctl({"-s", daemon.socket(), "--dry-run", "service", "apply", "-f", file, "--reason", "r"});
  EXPECT_EQ(done.exit, kDone) << done.err;
  EXPECT_EQ(daemon.requests().back().json.at("method"), "service.apply");
  EXPECT_EQ(
      daemon.params().at("text"),
      "version: 1\npools:\n  new:\n    backends: []\nservices:\n  api:\n    listen:\n      - \"192.0.2.11:80/tcp\"\n"
      "    pool: fe\n");
  EXPECT_EQ(daemon.params().at("file"), file);
  EXPECT_EQ(daemon.params().at("dry_run"), true);
}

TEST(CommandLine, ServiceApplyTellsProblemsInTheFileAndSendsNothing) {
  FakeDaemon daemon(answer_of);
  const Outcome bad = lbctl({"-s", daemon.socket(), "service", "apply", "-f", "-"},
                            "version: 1\nservices:\n  api: {listen: [\"192.0.2.11:80/tcp\"], pool: nope}\n");
  EXPECT_EQ(bad.exit, kRefused);
  EXPECT_NE(bad.err.find("stdin:3:46: services.api.pool: there is no pool 'nope'"), std::string::npos) << bad.err;
  EXPECT_EQ(daemon.requests().back().json.at("method"), "config.show");
  EXPECT_EQ(lbctl({"-s", daemon.socket(), "service", "apply", "-f", "/nowhere/x.yaml"}).exit, kRefused);
  EXPECT_EQ(lbctl({"-s", daemon.socket(), "service", "apply"}).exit, kUsage);
  EXPECT_EQ(lbctl({"-s", "/nowhere/lbd.sock", "service", "apply", "-f", "-"}, kGood).exit, kNoDaemon);
}

TEST(CommandLine, ImportPrintsADocumentAndSaysWhatIsToMend) {
  const std::string source = "listen web\n bind *:80\n server s1 10.0.0.1:80\n";
  const Outcome in_part = lbctl({"config", "import", "haproxy", "-"}, source);
  EXPECT_EQ(in_part.exit, kInPart);
  EXPECT_NE(in_part.err.find("stdin:2: bind *:80: every IPv4 address"), std::string::npos) << in_part.err;
  EXPECT_EQ(lbctl({"config", "check", "-"}, in_part.out).exit, kDone);
  const Outcome done = lbctl({"config", "import", "haproxy", "-", "--address", "192.0.2.10"}, source);
  EXPECT_EQ(done.exit, kDone) << done.err;
  EXPECT_NE(done.out.find("- \"192.0.2.10:80/tcp\""), std::string::npos) << done.out;
  EXPECT_NE(done.err.find("1 service, 1 pool, 1 backend;"), std::string::npos) << done.err;
  const json object = json::parse(lbctl({"--json", "config", "import", "haproxy", "-"}, source).out);
  EXPECT_EQ(object.at("missing").size(), 1u);
  EXPECT_EQ(object.at("text"), in_part.out);
}

TEST(CommandLine, ImportRefusesWhatItCannotRead) {
  EXPECT_EQ(lbctl({"config", "import", "lvs", "-"}).exit, kUsage);
  EXPECT_NE(lbctl({"config", "import", "lvs", "-"}).err.find("there are ipvs, keepalived, nginx, haproxy"),
            std::string::npos);
  EXPECT_EQ(lbctl({"config", "import", "nginx", "-", "--address", "x"}).exit, kUsage);
  EXPECT_EQ(lbctl({"config", "import", "nginx", "-", "--resolve", "web1"}).exit, kUsage);
  EXPECT_EQ(lbctl({"config", "import", "nginx", "/nowhere/nginx.conf"}).exit, kRefused);
  const Outcome open = lbctl({"config", "import", "nginx", "-"}, "http {\n");
  EXPECT_EQ(open.exit, kRefused);
  EXPECT_EQ(open.out, "");
  EXPECT_NE(open.err.find("stdin:1: the block of `http` is not closed"), std::string::npos) << open.err;
}

TEST(CommandLine, OutputThatCannotBeWrittenIsARefusal) {
  FakeDaemon daemon(FakeDaemon::always({{"pools", json::array()}}));
  std::istringstream in;
  std::ostringstream err;
  std::ofstream full("/dev/full");
  EXPECT_EQ(run_command_line({"-s", daemon.socket(), "pool", "list"}, {in, full, err}), kRefused);
  EXPECT_NE(err.str().find("standard output"), std::string::npos);
}

}  // namespace
}  // namespace lb::ctl
