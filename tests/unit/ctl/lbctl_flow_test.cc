// lbctl's flow commands and its waiting, against a daemon that answers piece by piece.
#include <gtest/gtest.h>

#include <sstream>

#include "ctl/command_line.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct Outcome {
  int exit;
  std::string out, err;
};
Outcome lbctl(const FakeDaemon& daemon, std::vector<std::string> args) {
  args.insert(args.end(), {"-s", daemon.socket()});
  std::istringstream in;
  std::ostringstream out, err;
  const int exit = run_command_line(args, {in, out, err});
  return {exit, out.str(), err.str()};
}

json flow(int n) {
  return {{"proto", "tcp"},
          {"source", "198.51.100.7:" + std::to_string(n)},
          {"destination", "192.0.2.10:80"},
          {"service", "web"},
          {"backend", {{"pool", "fe"}, {"name", "fe11"}, {"address", "10.0.0.11"}}},
          {"class", "established"},
          {"pinned", n % 2 == 0},
          {"worker", 0},
          {"former", false},
          {"idle_ms", 1500},
          {"age_ms", 90000}};
}

// Three pieces of four flows, the second of none.
FakeDaemon::Reply pieces() {
  return [](const Request& r) -> std::optional<std::string> {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    const std::string cursor = r.json.at("params").value("cursor", "0");
    json flows = json::array();
    for (int i = 0; i < 4 && cursor != "64"; i++) flows.push_back(flow(1000 + (cursor == "0" ? 0 : 4) + i));
    const json next = cursor == "0" ? json("64") : cursor == "64" ? json("128") : json(nullptr);
    return FakeDaemon::result(r, {{"flows", flows}, {"cursor", next}});
  };
}

TEST(Flows, PiecesBecomeOneListOfLines) {
  FakeDaemon daemon(pieces());
  const Outcome run = lbctl(daemon, {"flow", "list", "--service", "web", "--class", "established", "--pinned"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 9) << run.out;
  EXPECT_NE(
      run.out.find("tcp    198.51.100.7:1007      192.0.2.10:80       web      fe/fe11  established  no      1.5 s   "
                   "1 min 30 s\n"),
      std::string::npos)
      << run.out;
  EXPECT_EQ(daemon.params().at("filter"), json({{"service", "web"}, {"class", "established"}, {"pinned", true}}));
  EXPECT_EQ(daemon.params().at("cursor"), "128");
}

TEST(Flows, JsonIsOneObjectWithAFlowALine) {
  FakeDaemon daemon(pieces());
  const Outcome run = lbctl(daemon, {"--json", "flow", "list"});
  const json whole = json::parse(run.out);
  EXPECT_EQ(whole.at("flows").size(), 8u);
  EXPECT_EQ(whole.at("flows").at(5), flow(1005));
  EXPECT_EQ(whole.at("changed"), false);
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 10);
}

TEST(Flows, ALimitEndsTheReading) {
  FakeDaemon daemon(pieces());
  EXPECT_EQ(json::parse(lbctl(daemon, {"--json", "flow", "list", "--limit", "4"}).out).at("flows").size(), 4u);
  EXPECT_EQ(daemon.requests().size(), 2u) << "hello and the first piece";
}

TEST(Flows, NoneAreStillAnAnswer) {
  FakeDaemon daemon(FakeDaemon::always({{"flows", json::array()}, {"cursor", nullptr}}));
  EXPECT_EQ(lbctl(daemon, {"flow", "list"}).out, "no flows\n");
  EXPECT_EQ(json::parse(lbctl(daemon, {"--json", "flow", "list"}).out).at("flows"), json::array());
}

TEST(Flows, CountsOfPiecesAreAddedUp) {
  const auto row = [](int id, int established, int pinned) {
    return json{{"id", id}, {"backend", nullptr},       {"once", 0},       {"established", established}, {"closing", 1},
                {"udp", 0}, {"total", established + 1}, {"pinned", pinned}};
  };
  FakeDaemon daemon([&](const Request& r) -> std::optional<std::string> {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    if (!r.json.at("params").contains("cursor"))
      return FakeDaemon::result(r, {{"backends", {row(1, 5, 1), row(2, 1, 0)}}, {"cursor", "9"}});
    return FakeDaemon::result(r, {{"backends", {row(2, 70, 3)}}, {"cursor", nullptr}});
  });
  const json whole = json::parse(lbctl(daemon, {"--json", "flow", "count"}).out);
  ASSERT_EQ(whole.at("backends").size(), 2u);
  EXPECT_EQ(whole.at("backends").at(0).at("id"), 2) << "the busiest first";
  EXPECT_EQ(whole.at("backends").at(0).at("established"), 71);
  EXPECT_EQ(whole.at("totals"),
            json({{"once", 0}, {"established", 76}, {"closing", 3}, {"udp", 0}, {"total", 79}, {"pinned", 4}}));
}

TEST(Flows, AFlushSaysHowManyAndPassesItsOptions) {
  FakeDaemon daemon(FakeDaemon::always({{"flows", 12}, {"cursor", nullptr}, {"changed", true}}));
  EXPECT_EQ(lbctl(daemon, {"flow", "flush", "--client", "198.51.100.0/24", "--reason", "why"}).out,
            "Done: 12 flows forgotten.\n");
  EXPECT_EQ(daemon.params(), json({{"filter", {{"client", "198.51.100.0/24"}}}, {"reason", "why"}}));
  EXPECT_EQ(lbctl(daemon, {"--dry-run", "flow", "flush", "--all"}).out, "Dry run: 12 flows would be forgotten.\n");
  EXPECT_EQ(daemon.params(), json({{"filter", json::object()}, {"all", true}, {"dry_run", true}}));
}

json backend(uint64_t flows, uint64_t idle_ms, const std::string& admin = "drain") {
  return {{"pool", "fe"},
          {"name", "a"},
          {"admin", admin},
          {"weight", 100},
          {"flows", {{"total", flows}, {"idle_ms", flows > 0 ? json(idle_ms) : json(nullptr)}}}};
}

// Each answer once, the last one for ever; changes are accepted.
FakeDaemon::Reply backends(std::vector<json> answers) {
  return [answers, at = size_t{0}](const Request& r) mutable -> std::optional<std::string> {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    if (r.json.at("method") != "backend.list") return FakeDaemon::result(r, {{"changed", true}, {"revision", 1}});
    const json& answer = answers[std::min(at++, answers.size() - 1)];
    if (answer.is_null()) return FakeDaemon::error(r, "not_found", "no backend fits `fe/a`");
    return FakeDaemon::result(r, {{"backends", {answer}}});
  };
}

TEST(Waiting, EndsWhenNoFlowIsLeft) {
  FakeDaemon daemon(backends({backend(2, 10), backend(1, 10), backend(0, 0)}));
  const Outcome run = lbctl(daemon, {"backend", "wait", "drained", "fe/a"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_EQ(run.out, "Done: drained.\n");
  EXPECT_EQ(daemon.requests().size(), 4u);
  EXPECT_EQ(daemon.params(), json({{"select", {{"names", {"fe/a"}}}}}));
}

TEST(Waiting, IdleFlowsDoNotCountWhenSaid) {
  FakeDaemon daemon(backends({backend(2, 29000), backend(2, 31000)}));
  EXPECT_EQ(lbctl(daemon, {"backend", "wait", "drained", "fe/a", "--idle", "30s"}).exit, kDone);
  EXPECT_EQ(daemon.requests().size(), 3u);
}

TEST(Waiting, TimesOutWithTheNumbers) {
  FakeDaemon daemon(backends({backend(7, 1500)}));
  const Outcome run = lbctl(daemon, {"backend", "wait", "drained", "fe/a", "--wait", "0"});
  EXPECT_EQ(run.exit, kTimedOut);
  EXPECT_EQ(run.err, "lbctl: timed out after 0 s: fe/a has 7 flows, the last active 1.5 s ago\n");
}

TEST(Waiting, RemovableNeedsThatNothingNewComes) {
  FakeDaemon daemon(backends({backend(0, 0, "ready")}));
  const Outcome run = lbctl(daemon, {"backend", "wait", "removable", "fe/a", "--wait", "0"});
  EXPECT_EQ(run.exit, kTimedOut);
  EXPECT_NE(run.err.find("fe/a takes new flows: drain it first"), std::string::npos) << run.err;
}

TEST(Waiting, OneThatHasLeftIsDone) {
  FakeDaemon daemon(backends({backend(1, 5, "leaving"), json(nullptr)}));
  EXPECT_EQ(lbctl(daemon, {"backend", "wait", "drained", "fe/a"}).exit, kDone);
  FakeDaemon unknown(backends({json(nullptr)}));
  EXPECT_EQ(lbctl(unknown, {"backend", "wait", "drained", "fe/a"}).exit, kRefused);
}

TEST(Waiting, ADrainWaitsWhenAsked) {
  FakeDaemon daemon(backends({backend(1, 5), backend(0, 0)}));
  const Outcome run = lbctl(daemon, {"backend", "drain", "fe/a", "--expires", "2h", "--wait", "1m", "--allow-below",
                                     "fe=0", "--break-flows", "3", "--allow-reshuffle", "web"});
  EXPECT_EQ(run.exit, kDone) << run.err;
  EXPECT_EQ(daemon.requests()[1].json.at("params"), json({{"select", {{"names", {"fe/a"}}}},
                                                          {"expires_s", 7200},
                                                          {"allow_below", {{"fe", 0}}},
                                                          {"allow_break", 3},
                                                          {"allow_reshuffle", {"web"}}}));
  EXPECT_EQ(daemon.requests().size(), 4u);
  EXPECT_EQ(lbctl(daemon, {"backend", "drain", "fe/a", "--allow-below", "fe"}).exit, kUsage);
  EXPECT_EQ(lbctl(daemon, {"backend", "drain", "fe/a", "--expires", "soon"}).exit, kUsage);
  EXPECT_EQ(lbctl(daemon, {"backend", "drain", "fe/a", "--idle", "5s"}).exit, kUsage);
}

}  // namespace
}  // namespace lb::ctl
