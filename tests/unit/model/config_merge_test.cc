// A document laid over what runs.
#include <gtest/gtest.h>

#include "dataplane/model/config_text.h"

namespace lb::model {
namespace {

constexpr const char* kRunning = R"(version: 1
pools:
  fe: {backends: [{name: fe11, address: 10.0.0.11}, {name: fe12, address: 10.0.0.12}]}
  be: {backends: [{name: be1, address: 10.0.1.1}]}
services:
  web: {listen: ["192.0.2.10:80/tcp"], pool: fe}
  dns: {listen: ["192.0.2.53:53/udp"], pool: be}
)";

Config running() {
  Parsed parsed = parse_config(kRunning, "running", no_includes());
  EXPECT_TRUE(parsed.problems.empty());
  return parsed.config;
}

std::string told(const Merge& merge) {
  return merge.whole.problems.empty() ? "" : to_error(merge.whole.problems).message;
}

Merge over(const std::string& text) {
  return parse_merge(text, "t.yaml", no_includes(), running());
}

TEST(ConfigMerge, ReplacesByNameAndLeavesTheRest) {
  const Merge merge = over(R"(version: 1
defaults: {schedule: source-hash}
pools:
  fe: {backends: [{name: fe13, address: 10.0.0.13}]}
services:
  api: {listen: ["192.0.2.11:80/tcp"], pool: be}
  web: {listen: ["192.0.2.10:443/tcp"], pool: fe}
)");
  ASSERT_EQ(told(merge), "");
  const Config& whole = merge.whole.config;
  EXPECT_EQ(whole.services.size(), 3u);
  EXPECT_EQ(whole.services.at("dns"), running().services.at("dns"));
  EXPECT_EQ(whole.pools.at("be"), running().pools.at("be"));
  ASSERT_EQ(whole.pools.at("fe").backends.size(), 1u);
  EXPECT_EQ(whole.pools.at("fe").backends[0].name, "fe13");
  EXPECT_EQ(whole.services.at("api").schedule, Schedule::kSourceHash);
  EXPECT_EQ(whole.services.at("dns").schedule, Schedule::kMaglev) << "`defaults` are the document's alone";
  EXPECT_EQ(merge.document.services.size(), 2u);
  EXPECT_EQ(merge.document.pools.size(), 1u);
}

TEST(ConfigMerge, OfNothingIsWhatRuns) {
  const Merge merge = over("version: 1\n");
  EXPECT_EQ(told(merge), "");
  EXPECT_EQ(merge.whole.config, running());
}

TEST(ConfigMerge, ProblemsAreToldInTheDocument) {
  EXPECT_EQ(told(over("version: 1\nservices:\n  api: {listen: [\"192.0.2.11:80/tcp\"], pool: bf}\n")),
            "t.yaml:3:46: services.api.pool: there is no pool 'bf'; did you mean be?");
  EXPECT_EQ(
      told(over("version: 1\nservices:\n  x: {listen: [\"192.0.2.10:80/tcp\"], pool: fe}\n")),
      "t.yaml:3:16: services.x.listen[0]: 192.0.2.10:80/tcp overlaps 192.0.2.10:80/tcp of service web: a packet can "
      "have one service only");
  // The rule is told at the one that runs: it comes later by name.
  EXPECT_EQ(told(over("version: 1\nservices:\n  api: {listen: [\"192.0.2.10:80/tcp\"], pool: fe}\n")),
            "t.yaml:3:3: services.web.listen[0]: 192.0.2.10:80/tcp overlaps 192.0.2.10:80/tcp of service api: a packet "
            "can have "
            "one service only; that runs already and is not in this document");
  EXPECT_EQ(told(over("version: 1\nbalance: x\n")).substr(0, 9), "t.yaml:2:");
}

TEST(ConfigMerge, TheDaemonIsNotMerged) {
  EXPECT_EQ(
      told(over("version: 1\ndaemon: {engine: xdp}\n")),
      "t.yaml:2:9: daemon: only pools and services are merged: leave `daemon` out, or apply the whole with `config "
      "apply`");
}

}  // namespace
}  // namespace lb::model
