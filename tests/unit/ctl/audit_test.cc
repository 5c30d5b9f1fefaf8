// The audit log: what a line says, and that neither a full disk nor a client in a loop does harm by it.
#include "ctl/audit.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <sstream>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;

std::vector<Json> lines_of(const std::string& path) {
  std::vector<Json> lines;
  std::istringstream text(slurp(path));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

class AuditTest : public testing::Test {
 protected:
  AuditTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {
    audit_.set_clocks([] { return std::chrono::system_clock::time_point(seconds(1700000000)); },
                      [this] { return now_; });
  }
  ~AuditTest() override { set_log_sink(before_); }
  void change(uint64_t revision) {
    const Json params = {{"name", "web"}, {"reason", "because"}}, result = {{"changed", true}, {"revision", revision}};
    AuditEntry entry{peer_};
    entry.user = "alice";
    entry.role = Role::kOperator;
    entry.method = "service.remove";
    entry.params = &params;
    entry.result = &result;
    audit_.change(entry);
  }
  void refused(uint32_t uid) {
    const Peer peer{.uid = uid};
    const net::Error error{net::Code::kPermission, "no"};
    AuditEntry entry{peer};
    entry.method = "pool.add";
    entry.error = &error;
    entry.code = "permission";
    audit_.refused(entry);
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  FaultyFiles files_;
  const std::string path_ = dir_ / "audit.log";
  const Peer peer_{.uid = 1001, .gid = 1001, .pid = 77, .groups = {}, .login_uid = "1000"};
  RefusalBudget::Clock::time_point now_{std::chrono::hours(1)};
  AuditLog audit_{path_, files_};
};

TEST_F(AuditTest, ALineTellsWhoWhatWhyAndWhatBecameOfIt) {
  change(7);
  EXPECT_EQ(
      slurp(path_),
      R"({"time":"2023-11-14T22:13:20.000Z","uid":1001,"user":"alice","login_uid":1000,"pid":77,"role":"operator",)"
      R"("method":"service.remove","params":{"name":"web"},"reason":"because","result":"done","changed":true,)"
      R"("revision":7})"
      "\n");
  struct stat st {};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(AuditTest, DocumentsAndLongParametersAreToldByTheirDigest) {
  const Json params = {{"text", std::string(5000, 'x')}, {"file", "/etc/lbd/lbd.yaml"}};
  const Json other = {{"backends", std::vector<std::string>(500, "backend")}};
  AuditEntry entry{peer_};
  for (const Json* each : {&params, &other}) {
    entry.params = each;
    audit_.change(entry);
  }
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["params"]["text"]["bytes"], 5000);
  EXPECT_EQ(lines[0]["params"]["text"]["digest"].get<std::string>().size(), 16u);
  EXPECT_EQ(lines[0]["params"]["file"], "/etc/lbd/lbd.yaml");
  EXPECT_GT(lines[1]["params"]["bytes"], 4000);
  EXPECT_LT(slurp(path_).size(), 1000u);
}

TEST_F(AuditTest, AFileThatWasMovedAwayIsFollowedByANewOne) {
  change(1);
  std::filesystem::rename(path_, dir_ / "audit.log.1");
  change(2);
  EXPECT_EQ(lines_of(dir_ / "audit.log.1").at(0)["revision"], 1);
  ASSERT_EQ(lines_of(path_).size(), 1u);
  EXPECT_EQ(lines_of(path_)[0]["revision"], 2);
  spill(path_, "");  // copytruncate
  change(3);
  ASSERT_EQ(lines_of(path_).size(), 1u) << "appended, no hole in front";
}

TEST_F(AuditTest, WhatIsThereIsNeverTouchedAndATornLineIsEnded) {
  spill(path_, "{\"of\":\"before\"}\n{\"torn");
  change(1);
  const std::string text = slurp(path_);
  EXPECT_TRUE(text.starts_with("{\"of\":\"before\"}\n{\"torn\n{\"time\"")) << text;
}

TEST_F(AuditTest, AFullDiskIsToldAndTheGapShows) {
  change(1);
  files_.error = ENOSPC;
  files_.lasting = true;
  files_.fail_at = files_.count + 1;
  change(2);
  change(3);
  EXPECT_NE(audit_.fault().find("No space left on device; make room"), std::string::npos) << audit_.fault();
  EXPECT_NE(audit_.fault().find("2 lines are in lbd's log instead"), std::string::npos) << audit_.fault();
  EXPECT_NE(logged_.find("level=error event=audit_not_written"), std::string::npos);
  EXPECT_NE(logged_.find(R"(\"revision\":3)"), std::string::npos) << logged_;
  files_.fail_at = 0;
  change(4);
  EXPECT_EQ(audit_.fault(), "");
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1]["lost"], 2);
  EXPECT_EQ(lines[2]["revision"], 4);
}

TEST_F(AuditTest, HalfALineOnAFullDiskDoesNotSpoilTheNext) {
  change(1);
  files_.half_write = true;
  files_.error = ENOSPC;
  files_.fail_at = files_.count + 1;  // the write
  change(2);
  EXPECT_NE(audit_.fault(), "");
  change(3);
  std::istringstream text(slurp(path_));
  std::string first, torn, gap, last;
  std::getline(text, first) && std::getline(text, torn) && std::getline(text, gap) && std::getline(text, last);
  EXPECT_TRUE(Json::parse(torn, nullptr, false).is_discarded());
  EXPECT_EQ(Json::parse(gap)["lost"], 1);
  EXPECT_EQ(Json::parse(last)["revision"], 3);
}

TEST_F(AuditTest, WhatIsNoFileIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  change(1);
  EXPECT_NE(audit_.fault().find("is no regular file"), std::string::npos) << audit_.fault();
}

TEST_F(AuditTest, RefusalsInALoopAreSummedUp) {
  for (int i = 0; i < 1000; i++) refused(4001);
  refused(4002);
  const size_t told = RefusalBudget::kToldAMinute;
  EXPECT_EQ(lines_of(path_).size(), told + 1) << "another's refusal is told all the same";
  audit_.tick();
  EXPECT_EQ(lines_of(path_).size(), told + 1) << "the minute is not over";
  now_ += minutes(1);
  audit_.tick();
  const auto lines = lines_of(path_);
  ASSERT_EQ(lines.size(), told + 2);
  EXPECT_EQ(lines.back()["uid"], 4001);
  EXPECT_EQ(lines.back()["more"], 1000 - told);
  refused(4001);
  EXPECT_EQ(lines_of(path_).size(), told + 3);
}

TEST_F(AuditTest, ManyUsersShareWhatIsLeft) {
  for (uint32_t uid = 1; uid <= 10000; uid++) refused(uid);
  EXPECT_EQ(lines_of(path_).size(), RefusalBudget::kMostUsers + RefusalBudget::kToldAMinute);
  now_ += minutes(1);
  audit_.tick();
  EXPECT_EQ(lines_of(path_).back()["uid"], nullptr);
}

class AuditedServer : public ServerFixture {};

TEST_F(AuditedServer, RefusedChangesAreInItAndReadsAndDryRunsAreNot) {
  boot();
  TestClient client(socket_);
  client.result("summary");
  client.result("service.remove", {{"name", "dns"}, {"dry_run", true}});
  client.refusal("service.remove", {{"name", "nosuch"}});
  client.refusal("service.remove", {{"name", "dns"}, {"expect_revision", 9}, {"reason", "x"}});
  client.result("backend.drain", {{"select", {{"names", {"fe/fe11"}}}}});
  client.result("backend.drain", {{"select", {{"names", {"fe/fe11"}}}}});
  const auto lines = lines_of(dir_ / "audit.log");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]["code"], "not_found");
  EXPECT_NE(lines[0]["message"].get<std::string>().find("nosuch"), std::string::npos);
  EXPECT_EQ(lines[1]["code"], "conflict");
  EXPECT_EQ(lines[1]["reason"], "x");
  EXPECT_EQ(lines[2]["changed"], true);
  EXPECT_EQ(lines[3]["changed"], false);
}

TEST_F(AuditedServer, WithoutAnAuditLogChangesGoOnAndTheSummaryTells) {
  std::filesystem::create_directory(dir_ / "audit.log");
  boot();
  TestClient client(socket_);
  EXPECT_EQ(client.result("backend.drain", {{"select", {{"names", {"fe/fe11"}}}}})["changed"], true);
  const std::string problem = client.result("summary")["problems"].at(0);
  EXPECT_NE(problem.find("audit log: cannot open"), std::string::npos) << problem;
  EXPECT_NE(problem.find("changes go on"), std::string::npos) << problem;
  std::filesystem::remove(dir_ / "audit.log");
  client.result("backend.ready", {{"select", {{"names", {"fe/fe11"}}}}});
  EXPECT_EQ(client.result("summary")["problems"].dump().find("audit log"), std::string::npos);
  EXPECT_EQ(lines_of(dir_ / "audit.log").at(0)["lost"], 1);
}

}  // namespace
}  // namespace lb::ctl
