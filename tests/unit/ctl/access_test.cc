// Roles: who has which, which method needs which, and what becomes of those who have none.
#include "ctl/access.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

const model::Access kAllowed = {{"%lbd", "4003", "root"}, {"%lbd-view", "bob"}};

Peer peer(uint32_t uid, uint32_t gid = 5000, std::vector<uint32_t> groups = {}) {
  return {.uid = uid, .gid = gid, .pid = 1, .groups = std::move(groups), .login_uid = ""};
}

TEST(Access, RolesComeFromUsersAndGroupsByNameAndNumber) {
  FakeAccounts accounts;
  const Access access(kAllowed, 4999, accounts);
  EXPECT_TRUE(access.unknown().empty());
  EXPECT_EQ(access.role_of(peer(0)), Role::kOperator);
  EXPECT_EQ(access.role_of(peer(4999)), Role::kOperator) << "who lbd runs as";
  EXPECT_EQ(access.role_of(peer(4003)), Role::kOperator);
  EXPECT_EQ(access.role_of(peer(4001)), Role::kNone);
  EXPECT_EQ(access.role_of(peer(4001, 4100)), Role::kOperator) << "its own group";
  EXPECT_EQ(access.role_of(peer(4001, 5000, {7, 4100})), Role::kOperator) << "a supplementary one";
  EXPECT_EQ(access.role_of(peer(4001, 5000, {4200})), Role::kViewer);
  EXPECT_EQ(access.role_of(peer(4002)), Role::kViewer);
  EXPECT_EQ(access.role_of(peer(4002, 4100)), Role::kOperator) << "the higher one counts";
  EXPECT_EQ(access.role_of(peer(4100, 4003)), Role::kNone) << "a user's number is no group's";
  EXPECT_EQ(access.role_of({}), Role::kNone) << "one whom the kernel did not tell";
}

TEST(Access, RootNeedsNoEntryAndTheDefaultIsRootAlone) {
  FakeAccounts accounts;
  EXPECT_EQ(Access({{}, {}}, 0, accounts).role_of(peer(0)), Role::kOperator);
  const Access closed({}, 0, accounts);
  EXPECT_EQ(closed.role_of(peer(0)), Role::kOperator);
  for (uint32_t uid : {1u, 1000u, 4001u, 65534u}) EXPECT_EQ(closed.role_of(peer(uid, 0, {0})), Role::kNone) << uid;
  EXPECT_FALSE(names_others({}));
  EXPECT_FALSE(names_others({{"0"}, {"root"}}));
  EXPECT_TRUE(names_others({{"root"}, {"%lbd-view"}}));
}

TEST(Access, UnknownNamesGiveNobodyARoleUntilTheyAreThere) {
  FakeAccounts accounts;
  accounts.groups.erase("lbd");
  Access access({{"%lbd", "carol"}, {"nobody", "%65534"}}, 0, accounts);
  ASSERT_EQ(access.unknown().size(), 4u);
  EXPECT_EQ(access.unknown()[0].path, "daemon.access.operator");
  EXPECT_NE(access.unknown()[0].message.find("this host has no group lbd: nobody is operator by it"), std::string::npos)
      << access.unknown()[0].message;
  EXPECT_NE(access.unknown()[1].message.find("useradd carol"), std::string::npos);
  EXPECT_NE(access.unknown()[2].message.find("stands for everybody"), std::string::npos);
  EXPECT_EQ(access.role_of(peer(65534, 65534, {65534})), Role::kNone);
  EXPECT_EQ(access.role_of(peer(4001, 4100)), Role::kNone);
  EXPECT_NE(access.refusal(peer(4001), "pool add", Role::kOperator).message.find("not known on this host: %lbd, carol"),
            std::string::npos);
  accounts.groups["lbd"] = 4100;
  access.look_up();
  EXPECT_EQ(access.role_of(peer(4001, 4100)), Role::kOperator);
  EXPECT_EQ(access.unknown().size(), 3u);
}

TEST(Access, ARefusalSaysWhoWhatAndWhatToDo) {
  FakeAccounts accounts;
  const Access access(kAllowed, 0, accounts);
  const net::Error viewer = access.refusal(peer(4002), "service remove", Role::kOperator);
  EXPECT_EQ(viewer.code, net::Code::kPermission);
  EXPECT_EQ(viewer.message,
            "service remove needs the role operator, but uid 4002 (bob) is a viewer here: daemon.access gives operator "
            "to %lbd, 4003, root, viewer to %lbd-view, bob; run it as one of them (sudo lbctl ...), or have "
            "daemon.access name you or a group of yours; with --dry-run a viewer is told what it would do");
  const std::string stranger = access.refusal(peer(77), "lbd's socket", Role::kViewer).message;
  EXPECT_NE(stranger.find("lbd's socket needs the role viewer, but uid 77 has no role here"), std::string::npos)
      << stranger;
  EXPECT_EQ(stranger.find("--dry-run"), std::string::npos);
}

// The role of every method is written down here a second time, so that none gets one by oversight.
const std::map<std::string_view, Role> kRoles = {
    {"hello", kReads},
    {"summary", kReads},
    {"service.list", kReads},
    {"service.show", kReads},
    {"service.add", kChanges},
    {"service.set", kChanges},
    {"service.remove", kChanges},
    {"service.apply", kChanges},
    {"service.withdraw", kChanges},
    {"service.announce", kChanges},
    {"node.status", kReads},
    {"node.drain", kChanges},
    {"node.ready", kChanges},
    {"events.list", kReads},
    {"config.history", kReads},
    {"config.compare", kReads},
    {"config.blame", kReads},
    {"config.rollback", kChanges},
    {"config.confirm", kChanges},
    {"pool.list", kReads},
    {"pool.show", kReads},
    {"pool.add", kChanges},
    {"pool.set", kChanges},
    {"pool.remove", kChanges},
    {"backend.list", kReads},
    {"backend.show", kReads},
    {"backend.add", kChanges},
    {"backend.set", kChanges},
    {"backend.remove", kChanges},
    {"backend.drain", kChanges},
    {"backend.ready", kChanges},
    {"config.show", kReads},
    {"config.check", kReads},
    {"config.diff", kReads},
    {"config.apply", kChanges},
    {"explain", kReads},
    {"flow.list", kReads},
    {"flow.count", kReads},
    {"flow.flush", kChanges},
    {"table.digest", kReads},
    {"port.list", kReads},
    {"port.show", kReads},
    {"engine.show", kReads},
    {"stats.workers", kReads},
    {"stats.flows", kReads},
    {"stats.drops", kReads},
    {"stats.services", kReads},
    {"stats.backends", kReads},
    {"stats.ports", kReads},
};

TEST(Methods, EachNeedsTheRoleThatIsWrittenDown) {
  const std::vector<Method> all = all_methods();
  for (const Method& method : all) {
    const auto role = kRoles.find(method.name);
    if (role == kRoles.end()) {
      ADD_FAILURE() << method.name << " is new: decide who may call it, here and in docs/protocol.md";
      continue;
    }
    EXPECT_EQ(method.needs, role->second) << method.name;
  }
  EXPECT_EQ(all.size(), kRoles.size()) << "a method is gone, or is there twice";
}

class AccessTest : public ServerFixture {
 protected:
  AccessTest() : ServerFixture(kAllowed) {}
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
    boot();
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755));
  }
  std::string audit() { return slurp(dir_ / "audit.log"); }
};

TEST_F(AccessTest, TheSocketLetsEverybodyKnock) {
  EXPECT_EQ(std::filesystem::status(socket_).permissions(), std::filesystem::perms(0666));
}

TEST_F(AccessTest, AViewerWhoTriesEverythingChangesNothing) {
  auto viewer = connect_as(socket_, 4001, 5000, {4200});
  EXPECT_EQ(viewer->result("hello")["role"], "viewer");
  const Json before = viewer->result("config.show");
  size_t tried = 0;
  for (const Method& method : all_methods()) {
    if (method.needs != kChanges) continue;
    for (const Json& params :
         {Json::object(), Json{{"dry_run", false}}, Json{{"dry_run", "true"}}, Json{{"dry_run", 1}},
          Json{{"name", "web"}, {"allow_remove", 9}}, Json{{"all", true}}, Json::array({1})}) {
      const auto [code, message] = viewer->refusal(std::string(method.name), params);
      EXPECT_EQ(code, "permission") << method.name << " " << params;
      EXPECT_NE(message.find("uid 4001 (alice) is a viewer here"), std::string::npos) << message;
      tried++;
    }
  }
  EXPECT_GT(tried, 70u);
  EXPECT_EQ(viewer->refusal("backend.drain", {{"select", {{"names", {"fe/fe11"}}}}}).first, "permission");
  EXPECT_EQ(viewer->refusal("service.remove", {{"name", "dns"}}).first, "permission");
  EXPECT_EQ(viewer->refusal("config.apply", {{"text", "version: 1\n"}, {"allow_remove", 2}}).first, "permission");
  EXPECT_EQ(viewer->result("config.show"), before);
  EXPECT_EQ(viewer->result("summary")["drained"], 0);
  on_control([&] { EXPECT_EQ(engine_.publications, 1); });
}

TEST_F(AccessTest, AViewerReadsAllAndMayAskWhatAChangeWouldDo) {
  auto viewer = connect_as(socket_, 4002, 5000);
  for (const Method& method : all_methods()) {
    if (method.needs != kReads) continue;
    const Json answer = viewer->call(std::string(method.name));
    const bool refused = answer.contains("error") && answer["error"]["data"]["code"] == "permission";
    EXPECT_FALSE(refused) << method.name << answer;
  }
  const Json dry = viewer->result("service.remove", {{"name", "dns"}, {"dry_run", true}});
  EXPECT_EQ(dry["changed"], true);
  EXPECT_EQ(dry["revision"], 1);
  EXPECT_EQ(viewer->result("service.list")["services"].size(), 2u);
  EXPECT_EQ(viewer->result("config.diff", {{"text", "version: 1\n"}})["dry_run"], true);
  EXPECT_EQ(audit(), "") << "who only reads is not in it";
}

TEST_F(AccessTest, OperatorsByGroupChangeAndAreInTheAuditLog) {
  auto group = connect_as(socket_, 4001, 5000, {9, 4100});
  EXPECT_EQ(group->result("hello")["role"], "operator");
  EXPECT_EQ(group->result("service.remove", {{"name", "dns"}, {"reason", "night shift"}})["revision"], 2);
  const Json line = Json::parse(audit());
  EXPECT_EQ(line["uid"], 4001);
  EXPECT_EQ(line["user"], "alice");
  EXPECT_EQ(line["role"], "operator");
  EXPECT_EQ(line["pid"], getpid());
  EXPECT_EQ(line["method"], "service.remove");
  EXPECT_EQ(line["params"], Json({{"name", "dns"}}));
  EXPECT_EQ(line["reason"], "night shift");
  EXPECT_EQ(line["result"], "done");
  EXPECT_EQ(line["revision"], 2);
  EXPECT_EQ(connect_as(socket_, 4003, 5000)->result("hello")["role"], "operator");
  EXPECT_EQ(connect_as(socket_, 4005, 4100)->result("hello")["role"], "operator");
}

TEST_F(AccessTest, AStrangerIsTurnedAwayUnread) {
  auto stranger = connect_as(socket_, 4001, 5000, {1, 2, 3});
  const Json answer = Json::parse(stranger->line());
  EXPECT_EQ(answer["error"]["data"]["code"], "permission");
  EXPECT_NE(answer["error"]["message"].get<std::string>().find("uid 4001 (alice) has no role here"), std::string::npos);
  EXPECT_TRUE(stranger->at_end());
  const Json line = Json::parse(audit());
  EXPECT_EQ(line["method"], "connect");
  EXPECT_EQ(line["result"], "refused");
  EXPECT_EQ(line["code"], "permission");
  EXPECT_EQ(line["role"], "none");
}

TEST_F(AccessTest, ManyGroupsAreAllSeen) {
  std::vector<gid_t> groups;
  for (gid_t g = 10000; g < 11000; g++) groups.push_back(g);
  groups.push_back(4200);
  EXPECT_EQ(connect_as(socket_, 4001, 5000, groups)->result("hello")["role"], "viewer");
}

TEST_F(AccessTest, ARoleThatIsTakenAwayIsGoneAtTheNextCall) {
  auto viewer = connect_as(socket_, 4001, 5000, {4200});
  EXPECT_TRUE(viewer->result("summary").is_object());
  on_control([&] {
    accounts_.groups["lbd-view"] = 4201;
    access_.look_up();
  });
  EXPECT_EQ(viewer->refusal("summary").first, "permission");
  EXPECT_NE(audit().find("\"method\":\"summary\""), std::string::npos);
}

}  // namespace
}  // namespace lb::ctl
