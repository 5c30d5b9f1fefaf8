// flow.*, backend.drain and what other answers tell of flows, over the socket, with flows that the test makes.
#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

class FlowMethods : public ServerFixture {
 protected:
  void SetUp() override {
    engine_.tables = &tables_;
    boot();
    fe11_ = control_.ids().backend({"fe", "fe11", net::Address::parse("10.0.0.11").value()});
    fe12_ = control_.ids().backend({"fe", "fe12", net::Address::parse("10.0.0.12").value()});
  }
  void add(net::BackendId backend, uint16_t port, const char* client = "198.51.100.7",
           model::FlowClass c = model::FlowClass::kEstablished) {
    model::Flow f;
    f.source = net::Address::parse(client)->raw();
    f.destination = net::Address::parse("192.0.2.10")->raw();
    f.source_port = lb_htons(port);
    f.destination_port = lb_htons(80);
    f.flow_class = c;
    f.backend = backend;
    f.hash = port * 0x9e3779b97f4a7c15ull;
    tables_.flows.push_back(f);
  }
  json all(TestClient& client, const std::string& method, json params, const std::string& member,
           int* pieces = nullptr) {
    json whole = json::array();
    for (;;) {
      json piece = client.result(method, params);
      for (json& one : piece[member]) whole.push_back(std::move(one));
      if (pieces != nullptr) ++*pieces;
      if (!piece["cursor"].is_string()) return whole;
      params["cursor"] = piece["cursor"];
    }
  }

  FakeFlowTables tables_;
  net::BackendId fe11_{}, fe12_{};
};

TEST_F(FlowMethods, AListIsReadInBoundedPieces) {
  for (int i = 0; i < 10000; i++) add(i % 2 == 0 ? fe11_ : fe12_, static_cast<uint16_t>(i));
  TestClient client(socket_);
  int pieces = 0;
  const json flows = all(client, "flow.list", json::object(), "flows", &pieces);
  ASSERT_EQ(flows.size(), 10000u);
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(flows[9].value("source", ""), "198.51.100.7:9");
  EXPECT_EQ(flows[9].value("service", ""), "web");
  EXPECT_EQ(flows[9]["backend"]["name"], "fe12");
  EXPECT_EQ(flows[9].value("class", ""), "established");
  std::set<std::string> sources;
  for (const json& f : flows) sources.insert(f["source"].get<std::string>());
  EXPECT_EQ(sources.size(), 10000u);
}

TEST_F(FlowMethods, FiltersMustAllFit) {
  add(fe11_, 1);
  add(fe12_, 2);
  add(fe12_, 3, "203.0.113.9");
  add(fe12_, 4, "198.51.100.7", model::FlowClass::kOnce);
  TestClient client(socket_);
  const auto count = [&](const json& filter) { return all(client, "flow.list", {{"filter", filter}}, "flows").size(); };
  EXPECT_EQ(count(json::object()), 4u);
  EXPECT_EQ(count({{"service", "web"}}), 4u);
  EXPECT_EQ(count({{"service", "dns"}}), 0u);
  EXPECT_EQ(count({{"backend", "fe/fe12"}}), 3u);
  EXPECT_EQ(count({{"backend", "fe12"}, {"client", "198.51.100.0/24"}}), 2u);
  EXPECT_EQ(count({{"class", "once"}}), 1u);
  const size_t pinned = count({{"pinned", true}});
  size_t told = 0;
  for (const json& f : all(client, "flow.list", json::object(), "flows")) told += f["pinned"].get<bool>();
  EXPECT_EQ(pinned, told);
  EXPECT_EQ(client.refusal("flow.list", {{"filter", {{"backend", "fe/nosuch"}}}}).first, "not_found");
  EXPECT_EQ(client.refusal("flow.list", {{"filter", {{"service", "nosuch"}}}}).first, "not_found");
  EXPECT_EQ(client.refusal("flow.list", {{"filter", {{"class", "young"}}}}).first, "invalid");
  EXPECT_EQ(client.refusal("flow.list", {{"filter", {{"client", "here"}}}}).first, "invalid");
  EXPECT_EQ(client.refusal("flow.list", {{"cursor", "x"}}).first, "invalid");
}

TEST_F(FlowMethods, CountsAreByBackend) {
  for (uint16_t i = 0; i < 30; i++) add(i < 10 ? fe11_ : fe12_, i);
  TestClient client(socket_);
  const json rows = all(client, "flow.count", json::object(), "backends");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["total"], 10);
  EXPECT_EQ(rows[1]["established"], 20);
  EXPECT_EQ(client.result("backend.show", {{"select", {{"names", {"fe/fe12"}}}}})["flows"]["total"], 20);
  EXPECT_EQ(client.result("summary")["flows"], json({{"live", 30}, {"capacity", 65536}}));
  EXPECT_EQ(client.result("stats.flows")["flows"]["established"], 30);
}

TEST_F(FlowMethods, AFlushNeedsAFilterAndAsksAgainWhenTheQueueIsFull) {
  for (uint16_t i = 0; i < 30; i++) add(i < 10 ? fe11_ : fe12_, i);
  TestClient client(socket_);
  const auto [code, sentence] = client.refusal("flow.flush");
  EXPECT_EQ(code, "conflict");
  EXPECT_NE(sentence.find("would forget all 30 flows"), std::string::npos) << sentence;
  EXPECT_EQ(client.result("flow.flush", {{"all", true}, {"dry_run", true}})["flows"], 30);
  EXPECT_TRUE(tables_.forgotten.empty());
  tables_.refusals = 3;
  const json done = client.result("flow.flush", {{"filter", {{"backend", "fe/fe11"}}}});
  EXPECT_EQ(done["flows"], 10);
  EXPECT_EQ(done["changed"], true);
  EXPECT_EQ(tables_.forgotten.size(), 10u);
  // What is over goes with them, and is none of them.
  for (uint16_t i = 10; i < 15; i++) tables_.flows[i].over = true;
  tables_.forgotten.clear();
  EXPECT_EQ(client.result("flow.flush", {{"filter", {{"backend", "fe/fe12"}}}})["flows"], 15);
  EXPECT_EQ(tables_.forgotten.size(), 20u);
  EXPECT_EQ(client.result("flow.list", {{"filter", {{"backend", "fe/fe12"}}}})["flows"].size(), 15u);
  tables_.refusals = 1 << 20;
  EXPECT_EQ(client.refusal("flow.flush", {{"all", true}}).first, "unavailable");
}

TEST_F(FlowMethods, DrainLeaveAndReadyAreTold) {
  add(fe12_, 1);
  TestClient client(socket_);
  const json select = {{"names", {"fe/fe12"}}};
  const json drained = client.result("backend.drain", {{"select", select}, {"expires_s", 3600}, {"reason", "disk"}});
  EXPECT_EQ(drained["changed"], true);
  EXPECT_EQ(drained["forecast"][0]["flows_pinned"], 1);
  json shown = client.result("backend.show", {{"select", select}});
  EXPECT_EQ(shown["admin"], "drain");
  EXPECT_EQ(shown["override"]["reason"], "disk");
  EXPECT_EQ(shown["why"]["ipip"], "drained: disk");
  EXPECT_EQ(client.result("summary")["drained"], 1);
  EXPECT_EQ(client.result("config.show")["text"].get<std::string>().find("drain"), std::string::npos);
  EXPECT_EQ(client.result("backend.ready", {{"select", select}})["changed"], true);
  EXPECT_EQ(client.result("backend.show", {{"select", select}})["admin"], "ready");
  client.result("backend.remove", {{"select", select}});
  shown = client.result("backend.show", {{"select", select}});
  EXPECT_EQ(shown["admin"], "leaving");
  EXPECT_EQ(shown["flows"]["total"], 1);
  const json list = client.result("backend.list", {{"select", select}})["backends"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["admin"], "leaving");
  EXPECT_EQ(client.result("flow.list")["flows"][0]["backend"]["name"], "fe12");
  EXPECT_EQ(client.result("summary")["leaving"], 1);
  EXPECT_EQ(client.refusal("backend.drain", {{"select", {{"names", {"fe/*"}}}}}).first, "conflict");
  EXPECT_EQ(client.refusal("backend.drain", {{"select", select}, {"expires_s", 0}}).first, "invalid");
}

TEST_F(FlowMethods, WithoutTablesFlowsAreUnsupported) {
  on_control([&] { engine_.tables = nullptr; });
  TestClient client(socket_);
  const auto [code, sentence] = client.refusal("flow.list");
  EXPECT_EQ(code, "unsupported");
  EXPECT_NE(sentence.find("daemon.flows"), std::string::npos) << sentence;
  EXPECT_EQ(client.result("summary")["flows"], json(nullptr));
  EXPECT_EQ(client.result("stats.flows")["flows"], json(nullptr));
}

}  // namespace
}  // namespace lb::ctl
