#include "dataplane/model/change.h"

#include <gtest/gtest.h>

namespace lb::model {
namespace {

Address address(std::string_view text) {
  return *net::Address::parse(text);
}
Listener listener(std::string_view text) {
  return *net::Listener::parse(text);
}

class ChangeTest : public testing::Test {
 protected:
  ChangeTest() {
    config_.pools["fe"] = {"fe", {{"fe11", address("10.0.0.11"), 100, {}}, {"fe12", address("10.0.0.12"), 50, {}}}};
    config_.pools["spare"] = {"spare", {}};
    Service web;
    web.name = "web";
    web.pool = "fe";
    web.listen = {listener("192.0.2.10:80/tcp")};
    config_.services["web"] = web;
  }
  Config applied(const Change& change) {
    auto result = model::apply(config_, change);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? *result : config_;
  }
  void refused(const Change& change, net::Code code, const std::string& sentence) {
    const auto result = model::apply(config_, change);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_NE(result.error().message.find(sentence), std::string::npos) << result.error().message;
  }
  Config config_;
};

TEST_F(ChangeTest, AddsAndRemovesBackendsInOrder) {
  const Config c = applied(AddBackend{"fe", {"fe110", address("10.0.0.110"), 1, {}}});
  ASSERT_EQ(c.pools.at("fe").backends.size(), 3u);
  EXPECT_EQ(c.pools.at("fe").backends[1].name, "fe110");
  const auto back = model::apply(c, RemoveBackend{"fe", "fe110"});
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, config_);
}

TEST_F(ChangeTest, SetsOnlyWhatIsNamed) {
  const Config c = applied(SetBackend{.pool = "fe", .name = "fe12", .weight = 100});
  EXPECT_EQ(c.pools.at("fe").backends[1].weight, 100u);
  EXPECT_EQ(c.pools.at("fe").backends[1].address, address("10.0.0.12"));
  const Config s = applied(SetService{.name = "web", .schedule = Schedule::kSourceHash, .prefix4 = 24});
  EXPECT_EQ(s.services.at("web").schedule, Schedule::kSourceHash);
  EXPECT_EQ(s.services.at("web").prefix4, 24);
  EXPECT_EQ(s.services.at("web").prefix6, 64);
  EXPECT_EQ(s.services.at("web").listen, config_.services.at("web").listen);
  const Config n = applied(SetService{.name = "web", .on_no_listener = NoListener::kReject});
  EXPECT_EQ(n.services.at("web").on_no_listener, NoListener::kReject);
  EXPECT_EQ(to_string(SetService{.name = "web", .on_no_listener = NoListener::kReject}, &config_),
            "~ service web: on-no-listener auto -> reject");
  const Config a = applied(SetService{.name = "web", .announce = Announce::kOn});
  EXPECT_EQ(a.services.at("web").announce, Announce::kOn);
  EXPECT_EQ(to_string(SetService{.name = "web", .announce = Announce::kOn}, &config_),
            "~ service web: announce off -> on");
}

TEST_F(ChangeTest, KeepsListenersSorted) {
  const std::vector<Listener> listen = {listener("[2001:db8::1]:80/tcp"), listener("192.0.2.9:80/tcp")};
  const Config c = applied(SetService{.name = "web", .listen = listen});
  EXPECT_EQ(c.services.at("web").listen.front().to_string(), "192.0.2.9:80/tcp");
}

TEST_F(ChangeTest, RefusesWhatIsNotThere) {
  refused(RemoveService{"wbe"}, net::Code::kNotFound, "there is no service 'wbe'; there are: web");
  refused(RemoveService{"webb"}, net::Code::kNotFound, "did you mean web?");
  refused(SetService{.name = "x"}, net::Code::kNotFound, "there is no service 'x'");
  refused(RemovePool{"x"}, net::Code::kNotFound, "there is no pool 'x'");
  refused(AddBackend{"fo", {}}, net::Code::kNotFound, "there is no pool 'fo'; did you mean fe?");
  refused(SetBackend{.pool = "fe", .name = "fe13"}, net::Code::kNotFound,
          "there is no backend 'fe13'; did you mean fe11? (pool fe)");
  refused(RemoveBackend{"spare", "a"}, net::Code::kNotFound,
          "there is no backend 'a'; there are no backends (pool spare)");
}

TEST_F(ChangeTest, RefusesWhatIsThereAlready) {
  refused(AddService{config_.services["web"]}, net::Code::kExists, "service 'web' exists already");
  refused(AddPool{config_.pools["fe"]}, net::Code::kExists, "pool 'fe' exists already");
  refused(AddBackend{"fe", {"fe11", address("10.0.0.13"), 1, {}}}, net::Code::kExists,
          "backend 'fe/fe11' exists already");
}

TEST_F(ChangeTest, RefusesToRemoveAPoolInUse) {
  refused(RemovePool{"fe"}, net::Code::kConflict, "pool 'fe' is in use by service web");
  EXPECT_FALSE(applied(RemovePool{"spare"}).pools.contains("spare"));
}

TEST_F(ChangeTest, SeveralAreAllOrNothingAndValidated) {
  const std::vector<Change> good = {SetService{.name = "web", .pool = "spare"}, RemovePool{"fe"}};
  ASSERT_TRUE(model::apply(config_, good));
  const auto unknown = model::apply(config_, std::vector<Change>{RemoveService{"web"}, RemoveService{"web"}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, net::Code::kNotFound);
  const auto invalid =
      model::apply(config_, std::vector<Change>{SetBackend{.pool = "fe", .name = "fe11", .weight = 1001},
                                                SetService{.name = "web", .pool = "nope"}});
  ASSERT_FALSE(invalid);
  EXPECT_EQ(invalid.error().code, net::Code::kInvalid);
  EXPECT_NE(invalid.error().message.find("pools.fe.backends[0].weight: weight 1001"), std::string::npos);
  EXPECT_NE(invalid.error().message.find("\nservices.web.pool: there is no pool 'nope'"), std::string::npos);
}

TEST_F(ChangeTest, InWords) {
  EXPECT_EQ(to_string(SetBackend{.pool = "fe", .name = "fe11", .weight = 50}), "~ backend fe/fe11: weight 50");
  EXPECT_EQ(to_string(SetBackend{.pool = "fe", .name = "fe11", .weight = 50}, &config_),
            "~ backend fe/fe11: weight 100 -> 50");
  EXPECT_EQ(to_string(SetBackend{.pool = "fe", .name = "fe11", .weight = 100}, &config_),
            "~ backend fe/fe11: nothing changes");
  EXPECT_EQ(
      to_string(
          SetBackend{.pool = "fe", .name = "fe11", .address = address("2001:db8::1"), .labels = {{{"rack", "r1"}}}},
          &config_),
      "~ backend fe/fe11: address 10.0.0.11 -> 2001:db8::1, labels {} -> {rack: r1}");
  EXPECT_EQ(to_string(AddService{config_.services["web"]}),
            "+ service web: 192.0.2.10:80/tcp to pool fe, ipip, maglev");
  EXPECT_EQ(to_string(SetService{.name = "web", .forward = Forward::kDsr, .table_size = 251}, &config_),
            "~ service web: forward ipip -> dsr, table-size 65537 -> 251");
  EXPECT_EQ(to_string(RemoveService{"web"}, &config_), "- service web: 192.0.2.10:80/tcp");
  EXPECT_EQ(to_string(AddPool{config_.pools["fe"]}), "+ pool fe: 2 backends");
  EXPECT_EQ(to_string(RemovePool{"fe"}), "- pool fe");
  EXPECT_EQ(to_string(AddBackend{"fe", {"a", address("10.0.0.1"), 7, {{"rack", "r1"}}}}),
            "+ backend fe/a: 10.0.0.1, weight 7, labels {rack: r1}");
  EXPECT_EQ(to_string(RemoveBackend{"fe", "fe12"}, &config_), "- backend fe/fe12: 10.0.0.12");
}

}  // namespace
}  // namespace lb::model
