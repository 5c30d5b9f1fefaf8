// Every method of docs/protocol.md over a real socket.
#include <gtest/gtest.h>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

class MethodsTest : public ServerFixture {
 protected:
  void SetUp() override {
    boot();
    client_.emplace(socket_);
    ASSERT_TRUE(client_->connected());
  }
  Json result(const std::string& method, Json params = Json::object()) {
    return client_->result(method, std::move(params));
  }
  auto refusal(const std::string& method, Json params = Json::object()) {
    return client_->refusal(method, std::move(params));
  }
  std::optional<TestClient> client_;
};

TEST_F(MethodsTest, HelloTellsWhoAnswers) {
  const Json hello = result("hello");
  EXPECT_EQ(hello["protocol"], 1);
  EXPECT_EQ(hello["pid"], getpid());
  EXPECT_EQ(hello["engine"], "dpdk");
  EXPECT_EQ(hello["revision"], 1);
}

TEST_F(MethodsTest, ServicesCanBeAddedSetShownAndRemoved) {
  Json change = result(
      "service.add",
      {{"service",
        {{"name", "new"}, {"listen", {"192.0.2.9:443/tcp"}}, {"pool", "be"}, {"forward", "dsr"}, {"table_size", 251}}},
       {"reason", "why not"}});
  EXPECT_EQ(change["changed"], true);
  EXPECT_EQ(change["revision"], 2);
  EXPECT_EQ(change["forecast"][0]["service"], "new");
  EXPECT_EQ(change["forecast"][0]["slots_moved"], 1.0);
  Json show = result("service.show", {{"name", "new"}});
  EXPECT_EQ(show["forward"], "dsr");
  EXPECT_EQ(show["backends"][0]["name"], "be1");
  EXPECT_EQ(show["backends"][0]["address"], "10.0.1.1");
  EXPECT_EQ(show["eligible"], 1);
  EXPECT_EQ(show["live"], show["configured"]);
  change =
      result("service.set", {{"name", "new"}, {"set", {{"schedule", "source-hash"}, {"source_prefix", {24, 56}}}}});
  EXPECT_EQ(change["changed"], true);
  show = result("service.show", {{"name", "new"}});
  EXPECT_EQ(show["schedule"], "source-hash");
  EXPECT_EQ(show["source_prefix"], Json({24, 56}));
  EXPECT_EQ(show["forward"], "dsr");
  EXPECT_EQ(show["on_no_listener"], "auto");
  result("service.set", {{"name", "new"}, {"set", {{"on_no_listener", "reject"}}}});
  EXPECT_EQ(result("service.show", {{"name", "new"}})["on_no_listener"], "reject");
  EXPECT_EQ(refusal("service.set", {{"name", "new"}, {"set", {{"on_no_listener", "no"}}}}).second,
            "set.on_no_listener: `no` is no on_no_listener; known: auto, drop, reject, punt");
  EXPECT_EQ(result("service.list")["services"].size(), 3u);
  change = result("service.remove", {{"name", "new"}});
  EXPECT_EQ(change["changed"], true);
  EXPECT_EQ(result("service.list")["services"].size(), 2u);
}

class AnnounceMethodsTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    on_control([this] {
      node_.announcer = &announcer_;
      announcer_.update();
      control_.on_publication([this] { announcer_.update(); });
    });
    result("service.set", {{"name", "web"}, {"set", {{"announce", "on"}}}});
  }
  void TearDown() override {
    on_control([this] { control_.on_publication({}); });
    MethodsTest::TearDown();
  }
  FakeVipDevice device_;
  Announcer announcer_{control_, device_};
};

TEST_F(AnnounceMethodsTest, AServiceIsWithdrawnAndAnnounced) {
  Json show = result("service.show", {{"name", "web"}});
  EXPECT_EQ(show["announce"], "on");
  EXPECT_EQ(show["announcement"]["announced"], true);
  EXPECT_EQ(show["announcement"]["withdrawn"], nullptr);
  EXPECT_EQ(result("service.show", {{"name", "dns"}})["announcement"], nullptr);
  EXPECT_EQ(result("service.withdraw", {{"name", "web"}, {"dry_run", true}})["changed"], true);
  EXPECT_EQ(result("service.show", {{"name", "web"}})["announcement"]["announced"], true) << "a dry run";
  const Json change = result("service.withdraw", {{"name", "web"}, {"expires_s", 60}, {"reason", "certificates"}});
  EXPECT_EQ(change["lines"], Json({"~ service web: withdrawn for 60 s"}));
  EXPECT_EQ(change["revision"], 2) << "no revision";
  show = result("service.list")["services"][1];
  ASSERT_EQ(show["name"], "web");
  EXPECT_EQ(show["announcement"]["announced"], false);
  EXPECT_EQ(show["announcement"]["withdrawn"]["reason"], "certificates");
  EXPECT_EQ(show["announcement"]["vips"][0]["why"], "service web is withdrawn");
  EXPECT_NE(result("summary")["problems"][0].get<std::string>().find("service web is withdrawn"), std::string::npos);
  EXPECT_EQ(result("service.announce", {{"name", "web"}})["lines"], Json({"~ service web: announced"}));
  EXPECT_EQ(result("service.announce", {{"name", "web"}})["changed"], false);
  EXPECT_EQ(result("summary")["problems"], Json::array());
}

TEST_F(AnnounceMethodsTest, WhatCannotBeWithdrawnIsRefused) {
  EXPECT_EQ(refusal("service.withdraw", {{"name", "x"}}).first, "not_found");
  const auto off = refusal("service.withdraw", {{"name", "dns"}});
  EXPECT_EQ(off.first, "conflict");
  EXPECT_NE(off.second.find("lbctl service set dns --announce on"), std::string::npos) << off.second;
  EXPECT_EQ(refusal("service.announce", {{"name", "dns"}}).first, "conflict");
  EXPECT_EQ(refusal("service.withdraw", {{"name", "web"}, {"expires_s", 0}}).first, "invalid");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"announce", "yes"}}}}).second,
            "set.announce: `yes` is no announce; known: on, off");
}

TEST_F(AnnounceMethodsTest, WhoElseAnnouncesAnAddressIsTold) {
  result("service.add",
         {{"service", {{"name", "mail"}, {"listen", {"192.0.2.10:25/tcp"}}, {"pool", "fe"}, {"announce", "on"}}}});
  const Json change = result("service.withdraw", {{"name", "web"}});
  ASSERT_EQ(change["warnings"].size(), 1u) << change;
  EXPECT_EQ(change["warnings"][0], "192.0.2.10 stays announced as long as mail announces it: withdraw that, too");
  EXPECT_EQ(result("service.withdraw", {{"name", "mail"}})["warnings"], Json::array());
}

TEST_F(AnnounceMethodsTest, TheNodeIsDrainedAndReadyAgain) {
  Json status = result("node.status");
  EXPECT_EQ(status["drained"], nullptr);
  EXPECT_EQ(status["vip_packets_dropped"], 5);
  ASSERT_GE(status["vips"].size(), 1u);
  EXPECT_EQ(status["vips"][0]["announced"], true);
  EXPECT_EQ(status["vips"][0]["services"], Json({"web"}));
  EXPECT_EQ(result("node.drain", {{"expires_s", 60}, {"reason", "new kernel"}})["lines"],
            Json({"~ node: drain for 60 s"}));
  EXPECT_TRUE(device_.routes.empty());
  status = result("node.status");
  EXPECT_EQ(status["drained"]["reason"], "new kernel");
  EXPECT_EQ(status["vips"][0]["why"], "the node is drained");
  const Json problems = result("summary")["problems"];
  ASSERT_EQ(problems.size(), 1u) << problems;
  EXPECT_NE(problems[0].get<std::string>().find("by uid 0 (new kernel): nothing is announced"), std::string::npos);
  EXPECT_EQ(result("node.ready")["lines"], Json({"~ node: ready"}));
  EXPECT_EQ(result("node.ready")["changed"], false);
  EXPECT_EQ(result("node.status")["vips"][0]["announced"], true);
}

TEST_F(MethodsTest, ADrainOfANodeThatAnnouncesNothingSaysSo) {
  const Json change = result("node.drain");
  ASSERT_EQ(change["warnings"].size(), 1u);
  EXPECT_NE(change["warnings"][0].get<std::string>().find("no service has `announce: on`"), std::string::npos);
}

TEST_F(MethodsTest, RefusalsCarryTheirCodes) {
  using P = std::pair<std::string, std::string>;
  EXPECT_EQ(refusal("service.show", {{"name", "x"}}), (P{"not_found", "there is no service `x`; there are: dns, web"}));
  EXPECT_EQ(refusal("pool.show", {{"name", "x"}}), (P{"not_found", "there is no pool `x`; there are: be, fe"}));
  EXPECT_EQ(
      refusal("service.add", {{"service", {{"name", "web"}, {"listen", {"192.0.2.9:1/tcp"}}, {"pool", "fe"}}}}).first,
      "exists");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"forward", "gue"}}}}).first, "unsupported");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"forward", "teleport"}}}}).first, "invalid");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"listen", {"192.0.2.300:1/tcp"}}}}}).first, "invalid");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"table_size", 252}}}}).first, "invalid");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"table_size", -1}}}}).first, "invalid");
  EXPECT_EQ(refusal("service.set", {{"name", "web"}, {"set", {{"colour", "red"}}}})
                .second.find("unknown parameter `set.colour`"),
            0u);
  EXPECT_EQ(refusal("service.set", {{"name", "web"}}).second, "parameter `set` is missing");
  EXPECT_EQ(refusal("pool.remove", {{"name", "fe"}}).first, "conflict");
  EXPECT_EQ(refusal("backend.set", {{"select", {{"names", {"fe/*"}}}}, {"set", {{"weight", 1}}}}).first, "conflict");
  EXPECT_EQ(refusal("backend.set", {{"select", {{"names", {"fe/fe11"}}}}, {"set", {{"weight", 1001}}}}).first,
            "invalid");
  EXPECT_EQ(refusal("backend.remove", Json::object()).second, "parameter `select` is missing");
  EXPECT_EQ(refusal("service.remove", {{"name", "web"}, {"expect_revision", 9}}).first, "conflict");
  EXPECT_EQ(refusal("table.digest", {{"service", "x"}}).first, "not_found");
  EXPECT_EQ(result("hello")["revision"], 1) << "nothing changed";
}

TEST_F(MethodsTest, PoolsAndBackendsCanBeChanged) {
  EXPECT_EQ(result("pool.add",
                   {{"pool", {{"name", "p2"}, {"backends", {{{"name", "x"}, {"address", "10.0.2.1"}}}}}}})["changed"],
            true);
  EXPECT_EQ(result("pool.set", {{"name", "p2"},
                                {"set",
                                 {{"backends",
                                   {{{"name", "y"}, {"address", "10.0.2.2"}, {"weight", 7}},
                                    {{"name", "a"}, {"address", "10.0.2.3"}}}}}}})["lines"]
                .size(),
            3u);
  const Json pool = result("pool.show", {{"name", "p2"}});
  EXPECT_EQ(pool["backends"].size(), 2u);
  EXPECT_EQ(pool["eligible"], 2);
  EXPECT_EQ(result("backend.add",
                   {{"pool", "p2"},
                    {"backend", {{"name", "z"}, {"address", "2001:db8::9"}, {"labels", {{"rack", "r1"}}}}}})["changed"],
            true);
  EXPECT_EQ(result("backend.set", {{"select", {{"names", {"p2/*"}}}}, {"set", {{"weight", 3}}}, {"all", true}})["lines"]
                .size(),
            3u);
  const Json list = result("backend.list", {{"select", {{"labels", {{"rack", "r1"}}}}}})["backends"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["name"], "z");
  EXPECT_EQ(list[0]["weight"], 3);
  EXPECT_EQ(list[0]["port"], "wan");
  EXPECT_EQ(list[0]["mtu"], 1500);
  EXPECT_EQ(list[0]["on_link"], true);
  EXPECT_EQ(result("backend.list")["backends"].size(), 7u);
  EXPECT_EQ(result("backend.remove", {{"select", {{"names", {"p2/*"}}}}, {"all", true}})["changed"], true);
  EXPECT_EQ(result("pool.remove", {{"name", "p2"}})["changed"], true);
  EXPECT_EQ(result("pool.list")["pools"].size(), 2u);
}

TEST_F(MethodsTest, BackendShowTellsSharesAndWhyNot) {
  on_control([&] {
    topology_.why[net::Address::parse("10.0.0.12").value()] = "no route to 10.0.0.12";
    control_.topology_changed();
  });
  Json show = result("backend.show", {{"select", {{"names", {"fe11"}}}}});
  EXPECT_EQ(show["eligible"]["ipip"], true);
  EXPECT_EQ(show["services"][0]["service"], "web");
  EXPECT_NEAR(show["services"][0]["share"].get<double>(), 0.5, 0.02);
  show = result("backend.show", {{"select", {{"names", {"fe/fe12"}}}}});
  EXPECT_EQ(show["eligible"]["ipip"], false);
  EXPECT_EQ(show["why"]["ipip"], "no route to 10.0.0.12");
  EXPECT_EQ(show["services"][0]["slots"], 0);
  EXPECT_EQ(show["port"], nullptr);
  const Json digest = result("table.digest", {{"service", "web"}})["services"][0];
  EXPECT_NE(digest["live"], digest["configured"]);
  EXPECT_EQ(digest["why"], Json({"fe/fe12: no route to 10.0.0.12"}));
  EXPECT_EQ(digest["table_size"], 251);
  const Json problems = result("summary")["problems"];
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0], "pool fe: 1 of 3 backends take no new flows with ipip: fe/fe12: no route to 10.0.0.12");
}

TEST_F(MethodsTest, BackendShowWarnsOfTunnelsTooNarrowForIpv6) {
  const auto warning = [&](uint16_t mtu) {
    on_control([&] {
      topology_.mtu = mtu;
      control_.topology_changed();
    });
    return result("backend.show", {{"select", {{"names", {"fe11"}}}}})["warning"];
  };
  EXPECT_EQ(warning(1300), nullptr);
  EXPECT_EQ(warning(1299), "IPv6 packets of 1280 bytes do not fit: MTU 1299, 20 bytes of outer header");
}

TEST_F(MethodsTest, ConfigShowIntoApplyIsIdentity) {
  for (int round = 0; round < 2; round++) {
    const Json shown = result("config.show");
    const Json applied = result("config.apply", {{"text", shown["text"]}, {"file", "shown"}});
    EXPECT_EQ(applied["changed"], false) << applied.dump();
    EXPECT_EQ(applied["restart"], Json::array());
    EXPECT_EQ(applied["digest"], shown["digest"]);
    result("backend.add",
           {{"pool", "fe"},
            {"backend",
             {{"name", "a" + std::to_string(round)}, {"address", "10.0.0.9" + std::to_string(round)}, {"weight", 5}}}});
  }
}

TEST_F(MethodsTest, ConfigDiffForecastsAndApplyDoesIt) {
  std::string text = result("config.show")["text"];
  text.replace(text.find("weight: 50"), 10, "weight: 70");
  const Json diff = result("config.diff", {{"text", text}, {"file", "f"}});
  EXPECT_EQ(diff["dry_run"], true);
  EXPECT_EQ(diff["changed"], true);
  EXPECT_EQ(result("hello")["revision"], 1);
  const Json dry = result("config.apply", {{"text", text}, {"dry_run", true}});
  EXPECT_EQ(dry["forecast"], diff["forecast"]);
  EXPECT_EQ(result("config.apply", {{"text", text}})["revision"], 2);
  EXPECT_EQ(refusal("config.apply", {{"text", "version: 1\n"}}).second,
            "would remove 2 services (0 with traffic): say --remove 2");
  EXPECT_EQ(result("config.apply", {{"text", "version: 1\n"}, {"allow_remove", 2}})["changed"], true);
}

TEST_F(MethodsTest, RevisionsAreToldComparedAndBroughtBack) {
  std::string text = result("config.show")["text"];
  text.replace(text.find("weight: 50"), 10, "weight: 70");
  const std::string sha(64, 'f');
  const Json applied = result("config.apply", {{"text", text},
                                               {"files", {{{"path", "/etc/lbd/lbd.yaml"}, {"sha256", sha}}}},
                                               {"reason", "more for fe12"},
                                               {"confirm_within_s", 300}});
  EXPECT_EQ(applied["trial"]["back_to"], 1);
  Json history = result("config.history");
  EXPECT_EQ(history["current"], 2);
  EXPECT_EQ(history["oldest"], 1);
  EXPECT_EQ(history["trial"], applied["trial"]);
  ASSERT_EQ(history["revisions"].size(), 2u);
  const Json& newest = history["revisions"][0];
  EXPECT_EQ(newest["revision"], 2);
  EXPECT_EQ(newest["reason"], "more for fe12");
  EXPECT_EQ(newest["command"], "config.apply");
  EXPECT_EQ(newest["uid"], getuid());
  EXPECT_EQ(newest["files"][0]["sha256"], sha);
  EXPECT_EQ(newest["changes"], 1);
  EXPECT_EQ(newest["first"], "~ backend fe/fe12: weight 50 -> 70");
  EXPECT_EQ(newest["restores"], nullptr);
  EXPECT_EQ(result("config.history", {{"limit", 1}})["revisions"].size(), 1u);
  EXPECT_EQ(result("config.history", {{"since_s", 3600}})["revisions"].size(), 2u);

  EXPECT_EQ(result("config.compare", {{"from", 2}, {"to", 1}})["lines"], Json({"~ backend fe/fe12: weight 70 -> 50"}));
  EXPECT_EQ(result("config.compare", {{"from", 1}})["to"], 2);
  EXPECT_EQ(refusal("config.compare", {{"from", 7}}).first, "not_found");
  EXPECT_NE(result("config.show", {{"revision", 1}})["text"].get<std::string>().find("weight: 50"), std::string::npos);

  const Json problems = result("summary")["problems"];
  EXPECT_EQ(problems[0].get<std::string>().find("revision 2 is on trial: revision 1 comes back in "), 0u);
  EXPECT_EQ(refusal("backend.set", {{"select", {{"names", {"fe/fe11"}}}}, {"set", {{"weight", 1}}}}).first, "conflict");
  EXPECT_EQ(result("config.confirm")["changed"], true);
  EXPECT_EQ(result("summary")["trial"], nullptr);
  EXPECT_EQ(refusal("config.confirm").first, "conflict");
  const Json back = result("config.rollback", {{"reason", "no"}});
  EXPECT_EQ(back["revision"], 3);
  EXPECT_EQ(result("config.history")["revisions"][0]["restores"], 1);
}

TEST_F(MethodsTest, EventsTellWhatHappenedToWhom) {
  on_control([&] { topology_.why[net::Address::parse("10.0.1.1").value()] = "no route to 10.0.1.1"; });
  on_control([&] { control_.topology_changed(); });
  result("backend.set", {{"select", {{"names", {"fe/fe12"}}}}, {"set", {{"weight", 70}}}, {"reason", "warm"}});
  const auto names = [](const Json& events) {
    std::vector<std::string> list;
    for (const Json& e : events["events"]) list.push_back(e["event"]);
    return list;
  };
  const Json all = result("events.list");
  EXPECT_EQ(names(all), (std::vector<std::string>{"published", "backend_not_eligible", "service_eligible", "published",
                                                  "changed"}));
  EXPECT_EQ(all["more"], false);
  EXPECT_EQ(all["oldest"], 1);
  const Json dns = result("events.list", {{"service", "dns"}});
  ASSERT_EQ(names(dns), (std::vector<std::string>{"backend_not_eligible", "service_eligible"}));
  EXPECT_EQ(dns["events"][0]["fields"]["why"], "no route to 10.0.1.1");
  EXPECT_EQ(dns["events"][1]["level"], "error") << "nobody is left";
  EXPECT_EQ(dns["events"][1]["fields"], Json({{"service", "dns"}, {"eligible", 0}, {"before", 1}}));
  const Json web = result("events.list", {{"service", "web"}});
  ASSERT_EQ(names(web), (std::vector<std::string>{"changed"}));
  EXPECT_EQ(web["events"][0]["fields"]["touched"], "backend fe/fe12");
  EXPECT_EQ(web["events"][0]["fields"]["reason"], "warm");
  // In pieces.
  const Json first = result("events.list", {{"limit", 2}});
  EXPECT_EQ(names(first).size(), 2u);
  EXPECT_EQ(first["more"], true);
  EXPECT_EQ(names(result("events.list", {{"after", first["next"]}})).size(), 3u);
  EXPECT_EQ(names(result("events.list", {{"after", all["next"]}})).size(), 0u);
  EXPECT_EQ(names(result("events.list", {{"since_s", 3600}})).size(), 5u);
  EXPECT_EQ(names(result("events.list", {{"service", "nobody"}})).size(), 0u);
}

TEST_F(MethodsTest, BlameTellsWhoTouchedWhatLast) {
  result("backend.set", {{"select", {{"names", {"fe/fe12"}}}}, {"set", {{"weight", 70}}}, {"reason", "warm"}});
  result("service.remove", {{"name", "dns"}, {"allow_remove", 1}});
  const auto of = [&](const std::string& select) { return result("config.blame", {{"select", select}})["touched"]; };
  ASSERT_EQ(of("fe/fe12").size(), 1u);
  EXPECT_EQ(of("fe/fe12")[0]["what"], "backend fe/fe12");
  EXPECT_EQ(of("fe/fe12")[0]["revision"], 2);
  EXPECT_EQ(of("fe/fe12")[0]["reason"], "warm");
  EXPECT_EQ(of("fe").size(), 4u) << "the pool and its backends";
  EXPECT_EQ(of("dns")[0]["removed"], true);
  EXPECT_EQ(of("dns")[0]["revision"], 3);
  const Json all = result("config.blame");
  for (const Json& t : all["touched"]) EXPECT_EQ(t["removed"], false) << t.dump();
  EXPECT_EQ(refusal("config.blame", {{"select", "nobody"}}).first, "not_found");
}

TEST_F(MethodsTest, WhatATrialAndItsFilesMayBe) {
  const std::string text = result("config.show")["text"];
  const auto why = [&](const Json& more) {
    Json params = {{"text", text}};
    params.update(more);
    return refusal("config.apply", params).second;
  };
  EXPECT_NE(why({{"confirm_within_s", 0}}).find("must be 1 second or more"), std::string::npos);
  EXPECT_NE(why({{"confirm_within_s", 86401}}).find("86400"), std::string::npos);
  EXPECT_NE(why({{"files", {{{"path", "x"}, {"sha256", "XYZ"}}}}}).find("64 lower-case hex digits"), std::string::npos);
}

TEST_F(MethodsTest, ServiceApplyMergesByNameInOneChange) {
  const std::string text =
      "version: 1\npools:\n  new: {backends: [{name: n1, address: 10.0.7.1}]}\n"
      "services:\n  dns: {listen: [\"192.0.2.54:53/udp\"], pool: new}\n  api: {listen: [\"192.0.2.11:80/tcp\"], pool: "
      "fe}\n";
  const std::string before = result("config.show")["text"];
  const Json dry = result("service.apply", {{"text", text}, {"file", "t"}, {"dry_run", true}});
  EXPECT_EQ(dry["changed"], true);
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_EQ(dry["forecast"].size(), 2u) << dry.dump();
  EXPECT_EQ(result("config.show")["text"], before);
  const Json done =
      result("service.apply", {{"text", text}, {"file", "t"}, {"reason", "team"}, {"expect_revision", 1}});
  EXPECT_EQ(done["revision"], 2);
  EXPECT_EQ(done["lines"], dry["lines"]);
  EXPECT_EQ(result("service.list")["services"].size(), 3u) << "web stays";
  EXPECT_EQ(result("service.show", {{"name", "dns"}})["pool"], "new");
  EXPECT_EQ(result("pool.list")["pools"].size(), 3u) << "be stays, though nothing uses it";
  EXPECT_EQ(result("service.apply", {{"text", text}, {"file", "t"}})["changed"], false);
  const auto refused = [&](const std::string& document) {
    return refusal("service.apply", {{"text", document}, {"file", "t"}});
  };
  EXPECT_EQ(refused("version: 1\nservices:\n  x: {listen: [\"192.0.2.12:80/tcp\"], pool: nope}\n").second.find("t:3:"),
            0u);
  EXPECT_EQ(refused("version: 1\ndaemon: {engine: dpdk}\n").first, "invalid");
  EXPECT_EQ(refusal("service.apply", {{"text", text}, {"expect_revision", 1}}).first, "conflict");
  EXPECT_EQ(refusal("service.apply").second, "parameter `text` is missing");
  EXPECT_EQ(result("hello")["revision"], 2);
}

TEST_F(MethodsTest, ConfigProblemsAreListed) {
  const Json answer =
      client_->call("config.apply", {{"text", "version: 1\npools: {}\npools: {}\nbogus: 1\n"}, {"file", "x.yaml"}});
  EXPECT_EQ(answer["error"]["data"]["code"], "invalid");
  ASSERT_GE(answer["error"]["data"]["problems"].size(), 2u) << answer.dump();
  EXPECT_EQ(answer["error"]["data"]["problems"][0].get<std::string>().find("x.yaml:3:"), 0u);
  EXPECT_GE(result("config.check", {{"text", "version: 1\nbogus: 1\n"}})["problems"].size(), 1u);
  EXPECT_EQ(result("config.check", {{"text", "version: 1\n"}})["problems"], Json::array());
}

TEST_F(MethodsTest, ExplainNamesWhatTheEngineSays) {
  const Json result_json =
      result("explain",
             {{"flows",
               {{{"proto", "tcp"}, {"source", "198.51.100.7:40000"}, {"destination", "192.0.2.53:53"}, {"size", 60}},
                {{"proto", "udp"}, {"source", "198.51.100.7:1"}, {"destination", "203.0.113.1:80"}}}}});
  ASSERT_EQ(result_json["answers"].size(), 2u) << result_json.dump();
  const Json& first = result_json["answers"][0];
  EXPECT_EQ(first["verdict"], "forwarded");
  EXPECT_EQ(first["service"], "dns");
  EXPECT_EQ(first["schedule"], "source-hash");
  EXPECT_EQ(first["hash"], "0123456789abcdef");
  EXPECT_EQ(first["backend"]["name"], "be1");
  EXPECT_EQ(first["egress"]["port"], "wan");
  EXPECT_EQ(first["egress"]["dst_mac"], "02:00:00:00:00:00");
  EXPECT_EQ(first["outer"]["protocol"], 4);
  EXPECT_EQ(first["flow"]["source"], "198.51.100.7:40000");
  EXPECT_EQ(result_json["answers"][1]["verdict"], "punted");
  EXPECT_EQ(
      refusal("explain", {{"flows", {{{"proto", "tcp"}, {"source", "1.2.3.4:1"}, {"destination", "[::1]:1"}}}}}).first,
      "invalid");
  EXPECT_EQ(
      refusal("explain", {{"flows", {{{"proto", "icmp"}, {"source", "1.2.3.4:1"}, {"destination", "1.2.3.4:1"}}}}})
          .first,
      "invalid");
  Json many = Json::array();
  for (int i = 0; i < 4097; i++) many.push_back({});
  EXPECT_EQ(refusal("explain", {{"flows", many}}).first, "invalid");
}

TEST_F(MethodsTest, StatsSumAndNameEverything) {
  on_control([&] {
    auto& c = engine_.worker_counters[0].counters;
    c[LB_COUNT_RxPackets] = 10;
    c[LB_COUNT_Forwarded] = 7;
    c[LB_COUNT_Punted] = 1;
    c[LB_DROP_BadSource] = 2;
    engine_.counted.services.resize(2);
    engine_.counted.services[net::raw(control_.ids().service("web"))] = {5, 500};
    engine_.counted.backends.resize(8);
    engine_.counted
        .backends[net::raw(control_.ids().backend({"be", "be1", net::Address::parse("10.0.1.1").value()}))] = {3, 300};
  });
  Json workers = result("stats.workers");
  EXPECT_EQ(workers["balanced"], true);
  EXPECT_EQ(workers["workers"].size(), 2u);
  EXPECT_EQ(workers["totals"]["rx_packets"], 10);
  EXPECT_EQ(workers["totals"]["bad_source"], 2);
  on_control([&] {  // handed from one worker to the other, which has dealt with one of two
    engine_.worker_counters[0].counters[LB_COUNT_RxPackets] += 2;
    engine_.worker_counters[0].counters[LB_COUNT_HandedOut] = 2;
    engine_.worker_counters[1].counters[LB_COUNT_HandedIn] = 1;
    engine_.worker_counters[1].counters[LB_COUNT_Forwarded] = 1;
  });
  EXPECT_EQ(result("stats.workers")["balanced"], true);
  on_control([&] { engine_.worker_counters[1].counters[LB_COUNT_HandedIn] = 2; });
  EXPECT_EQ(result("stats.workers")["balanced"], false);
  on_control([&] {
    engine_.worker_counters[1].counters[LB_COUNT_HandedIn] = 1;
    engine_.worker_counters[1].counters[LB_COUNT_RxPackets] = 1;
  });
  EXPECT_EQ(result("stats.workers")["balanced"], false);
  on_control([&] {  // one was answered, one is held
    engine_.worker_counters[1].counters[LB_COUNT_RxPackets] = 2;
    engine_.worker_counters[1].counters[LB_COUNT_Answered] = engine_.worker_counters[1].counters[LB_COUNT_Held] = 1;
  });
  EXPECT_EQ(result("stats.workers")["balanced"], true);
  bool found = false;
  const Json drops = result("stats.drops")["drops"];
  for (const Json& d : drops) {
    EXPECT_FALSE(d["help"].get<std::string>().empty());
    found |= d["reason"] == "bad_source" && d["packets"] == 2;
  }
  EXPECT_TRUE(found);
  const Json services = result("stats.services")["services"];
  EXPECT_EQ(services[1]["name"], "web");
  EXPECT_EQ(services[1]["bytes"], 500);
  const Json backends = result("stats.backends")["backends"];
  EXPECT_EQ(backends[0]["name"], "be1");
  EXPECT_EQ(backends[0]["packets"], 3);
  EXPECT_EQ(result("stats.ports")["ports"][0]["ifname"], "eth0");
}

TEST_F(MethodsTest, PortsTellWhoPollsWhichQueue) {
  const Json port = result("port.list")["ports"][0];
  Json shown = result("port.show", {{"name", "wan"}});
  EXPECT_EQ(port, shown);
  EXPECT_EQ(port["name"], "wan");
  EXPECT_EQ(port["dispatch"], "rss");
  EXPECT_EQ(port["twin"], "");
  EXPECT_EQ(port["to_kernel"], nullptr);
  EXPECT_EQ(port["rx_queues"][0], Json({{"queue", 0},
                                        {"worker", 1},
                                        {"worker_name", "core 3"},
                                        {"core", 3},
                                        {"packets", 7},
                                        {"bytes", 420},
                                        {"lost", 1}}));
  for (const char* key : {"worker", "worker_name", "core", "packets", "bytes", "lost"})
    EXPECT_EQ(port["rx_queues"][1][key], nullptr);
  EXPECT_EQ(port["tx_queues"], Json::array());
  EXPECT_EQ(refusal("port.show", {{"name", "nosuch"}}).first, "not_found");
}

// Workers of engine xdp are queues: known by name, on no core of their own.
TEST_F(MethodsTest, EngineTellsProgramsAndWorkers) {
  engine_.told.name = "xdp";
  engine_.told.platform = "Linux 6.1.0";
  engine_.told.heartbeat_ms = 40;
  engine_.told.orphan_after_s = 60;
  engine_.told.flow_bytes = 4096;
  engine_.told.programs = {{.port = net::PortId(0),
                            .interface = "eth0",
                            .mode = model::XdpMode::kGeneric,
                            .id = 412,
                            .instructions = 0,
                            .queues = 1,
                            .adopted = true}};
  engine_.worker_counters[0].core.reset();
  engine_.worker_counters[0].name = "eth0/0";
  const Json shown = result("engine.show");
  EXPECT_EQ(shown["engine"], "xdp");
  EXPECT_EQ(shown["platform"], "Linux 6.1.0");
  EXPECT_EQ(shown["daemon"], true);
  EXPECT_EQ(shown["pid"], getpid());
  EXPECT_EQ(shown["heartbeat_ms"], 40);
  EXPECT_EQ(shown["orphan_after_s"], 60);
  EXPECT_EQ(shown["huge_pages"], nullptr);
  EXPECT_EQ(shown["flow_bytes"], 4096);
  EXPECT_EQ(shown["programs"], Json({{{"port", 0},
                                      {"interface", "eth0"},
                                      {"mode", "generic"},
                                      {"program", 412},
                                      {"instructions", nullptr},
                                      {"queues", 1},
                                      {"adopted", true}}}));
  EXPECT_EQ(shown["workers"][0]["name"], "eth0/0");
  EXPECT_EQ(shown["workers"][0]["core"], nullptr);
  EXPECT_EQ(shown["workers"][1]["core"], 3);
  engine_.told.orphan_after_s = 0;  // never
  EXPECT_EQ(result("engine.show")["orphan_after_s"], nullptr);
  const Json workers = result("stats.workers")["workers"];
  EXPECT_EQ(workers[0]["name"], "eth0/0");
  EXPECT_EQ(workers[0]["core"], nullptr);
  EXPECT_EQ(workers[1]["name"], "core 3");
}

TEST_F(MethodsTest, SilentHeartbeatIsAProblem) {
  engine_.told.heartbeat_ms = 2000;
  EXPECT_EQ(result("summary")["problems"], Json::array());
  engine_.told.heartbeat_ms = 7000;
  const Json problems = result("summary")["problems"];
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].get<std::string>().find("no sign of life from lbd for 7 s"), std::string::npos);
  EXPECT_NE(problems[0].get<std::string>().find("daemon.orphan-after (60s)"), std::string::npos);
}

TEST_F(MethodsTest, SummaryPutsBadNewsFirst) {
  Json summary = result("summary");
  EXPECT_EQ(summary["drift"], nullptr);
  EXPECT_EQ(summary["problems"], Json::array());
  EXPECT_EQ(summary["services"].size(), 2u);
  EXPECT_EQ(summary["workers"].size(), 2u);
  result("backend.set", {{"select", {{"names", {"be1"}}}}, {"set", {{"weight", 0}}}, {"allow_below", {{"be", 0}}}});
  summary = result("summary");
  EXPECT_EQ(summary["problems"][0], "service dns: no eligible backend in pool be");
  EXPECT_NE(summary["drift"]["why"].get<std::string>().find("weight 0 -> 100"), std::string::npos)
      << summary["drift"].dump();
  spill(dir_ / "lbd.yaml", result("config.show")["text"]);
  EXPECT_EQ(result("summary")["drift"], nullptr);
  // The first file of a folder that was not there when the configuration was read.
  const std::string text = result("config.show")["text"];
  spill(dir_ / "lbd.yaml", text + "include: [lbd.d/*.yaml]\n");
  EXPECT_EQ(result("summary")["drift"], nullptr);
  std::filesystem::create_directory(dir_ / "lbd.d");
  EXPECT_EQ(result("summary")["drift"], nullptr);
  spill(dir_ / "lbd.d/team.yaml", "pools: {team: {}}\n");
  EXPECT_NE(result("summary")["drift"]["why"].get<std::string>().find("pool team"), std::string::npos)
      << result("summary")["drift"].dump();
  spill(dir_ / "lbd.yaml", "version: [\n");
  EXPECT_NE(result("summary")["drift"]["why"].get<std::string>().find("cannot be used"), std::string::npos);
}

}  // namespace
}  // namespace lb::ctl
