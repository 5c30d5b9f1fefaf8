// Drains, leaving backends and numbers over the life of a controller, with flows and time that the test makes.
#include <gtest/gtest.h>

#include "ctl/controller.h"
#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {
namespace {

constexpr lb_hash_key kKey{1, 2};

model::Flow flow(net::BackendId backend, uint16_t client_port, model::FlowClass c = model::FlowClass::kEstablished) {
  model::Flow f;
  f.source = net::Address::parse("198.51.100.7")->raw();
  f.destination = net::Address::parse("192.0.2.10")->raw();
  f.source_port = lb_htons(client_port);
  f.destination_port = lb_htons(80);
  f.flow_class = c;
  f.backend = backend;
  f.hash = client_port * 0x9e3779b97f4a7c15ull;
  return f;
}

class OverlayTest : public testing::Test {
 protected:
  OverlayTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {
    engine_.tables = &tables_;
  }
  ~OverlayTest() override { set_log_sink(before_); }

  // A new process with the folders and flow tables of the one before.
  void start() {
    control_.reset();
    store_.emplace(dir_.path());
    ASSERT_TRUE(store_->open());
    auto loaded = store_->load();
    ASSERT_TRUE(loaded);
    model::Config config = test_config();
    if (loaded->state) {
      config = test_config(loaded->state->config_text);
      config.daemon = test_config().daemon;
    }
    control_.emplace(engine_, topology_, *store_, kKey);
    control_->set_clock([this] { return now_; });
    for (auto& w : engine_.worker_counters) w.generation = {};
    auto started = control_->start(config, loaded->state);
    ASSERT_TRUE(started) << started.error().message;
  }
  static ChangeOptions options() {
    ChangeOptions o;
    o.author.command = "test";
    o.allow_below["fe"] = 0;
    return o;
  }
  net::BackendId id(const std::string& name, const std::string& address) {
    return control_->ids().backend({"fe", name, net::Address::parse(address).value()});
  }
  const lb_backend& record(net::BackendId id) { return engine_.published->backends.at(net::raw(id)); }
  ChangeResult done(net::Result<ChangeResult> result) {
    if (result) return *result;
    ADD_FAILURE() << result.error().message;
    return {};
  }
  void remove(const std::string& name) { done(control_->change({model::RemoveBackend{"fe", name}}, options())); }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  int64_t now_ = 1'000'000;
  FakeFlowTables tables_;
  FakeEngine engine_;
  FakeTopology topology_;
  std::optional<StateStore> store_;
  std::optional<Controller> control_;
};

TEST_F(OverlayTest, ADrainIsDurableButNoRevisionAndExpires) {
  start();
  const auto result = done(control_->drain({{"fe", "fe11"}}, 60, options()));
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(result.revision, 1u);
  EXPECT_EQ(result.lines, std::vector<std::string>{"~ backend fe/fe11: drain for 60 s"});
  const net::BackendId fe11 = id("fe11", "10.0.0.11");
  EXPECT_EQ(record(fe11).flags & LB_BACKEND_READY, 0);
  EXPECT_NE(record(fe11).flags & LB_BACKEND_SERVING, 0);
  EXPECT_FALSE(done(control_->drain({{"fe", "fe11"}}, 60, options())).changed) << "the same again";
  start();
  EXPECT_EQ(control_->revision(), 1u);
  EXPECT_EQ(record(fe11).flags & LB_BACKEND_READY, 0) << "the drain outlives the process";
  now_ += 59;
  control_->tick();
  EXPECT_EQ(record(fe11).flags & LB_BACKEND_READY, 0);
  now_ += 1;
  control_->tick();
  EXPECT_NE(record(fe11).flags & LB_BACKEND_READY, 0);
  EXPECT_NE(logged_.find("the drain of fe/fe11 expired"), std::string::npos) << logged_;
  start();
  EXPECT_TRUE(control_->overlay().empty()) << "and so does its end";
}

TEST_F(OverlayTest, WithdrawalsAreDurableButNoRevisionAndExpire) {
  start();
  model::Overlay overlay = control_->overlay();
  overlay.withdrawn["web"] = {.uid = 7, .login_uid = "7", .reason = "", .since = now_, .expires = now_ + 60};
  overlay.withdrawn["dns"] = {.uid = 7, .login_uid = "7", .reason = "", .since = now_, .expires = 0};
  overlay.node_drain = {.uid = 7, .login_uid = "7", .reason = "", .since = now_, .expires = now_ + 90};
  const auto result = done(control_->use_overrides(overlay, {"~ node: drain"}, options()));
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(result.revision, 1u);
  EXPECT_EQ(result.lines, std::vector<std::string>{"~ node: drain"});
  EXPECT_FALSE(done(control_->use_overrides(overlay, {}, options())).changed);
  start();
  EXPECT_EQ(control_->overlay(), overlay) << "they outlive the process";
  now_ += 60;
  control_->tick();
  EXPECT_FALSE(control_->overlay().withdrawn.contains("web"));
  EXPECT_TRUE(control_->overlay().node_drain.has_value());
  now_ += 30;
  control_->tick();
  EXPECT_FALSE(control_->overlay().node_drain.has_value());
  EXPECT_NE(logged_.find("the withdrawal of service web expired"), std::string::npos) << logged_;
  EXPECT_NE(logged_.find("the drain of the node expired"), std::string::npos) << logged_;
  ChangeOptions removal = options();
  removal.allow_remove = 1;
  done(control_->change({model::RemoveService{"dns"}}, removal));
  EXPECT_TRUE(control_->overlay().withdrawn.empty()) << "there is no such service any more";
}

TEST_F(OverlayTest, EveryPublicationIsTold) {
  start();
  int told = 0;
  uint64_t generation = 0;
  control_->on_publication([&] {
    told++;
    generation = control_->generation();
  });
  done(control_->drain({{"fe", "fe11"}}, 60, options()));
  EXPECT_EQ(told, 1);
  EXPECT_EQ(generation, control_->generation());
  now_ += 60;
  control_->tick();
  EXPECT_EQ(told, 2);
  topology_.why[net::Address::parse("10.0.0.11").value()] = "no route";
  control_->topology_changed();
  EXPECT_EQ(told, 3);
  EXPECT_EQ(generation, control_->generation());
}

TEST_F(OverlayTest, ReadyEndsADrainAndAWeightIsMaskedMeanwhile) {
  start();
  done(control_->drain({{"fe", "fe11"}, {"fe", "fe12"}}, std::nullopt, options()));
  model::SetBackend set{.pool = "fe", .name = "fe11"};
  set.weight = 7;
  const auto masked = done(control_->change({set}, options()));
  ASSERT_EQ(masked.warnings.size(), 1u);
  EXPECT_NE(masked.warnings[0].find("fe/fe11 is drained"), std::string::npos) << masked.warnings[0];
  const auto ready = done(control_->make_ready({{"fe", "fe11"}}, options()));
  EXPECT_EQ(ready.lines, std::vector<std::string>{"~ backend fe/fe11: ready"});
  EXPECT_EQ(control_->overlay().drained.size(), 1u);
  EXPECT_FALSE(done(control_->make_ready({{"fe", "fe11"}}, options())).changed);
}

TEST_F(OverlayTest, ALeavingBackendServesUntilItsLastFlowIsGone) {
  start();
  const net::BackendId fe12 = id("fe12", "10.0.0.12");
  tables_.flows = {flow(fe12, 1)};
  remove("fe12");
  EXPECT_EQ(record(fe12).flags & (LB_BACKEND_SERVING | LB_BACKEND_READY), LB_BACKEND_SERVING);
  EXPECT_EQ(topology_.followed.size(), 4u) << "its next hop is still followed";
  now_ += 31;
  control_->tick();
  EXPECT_EQ(control_->overlay().leaving.size(), 1u) << "it has a flow";
  tables_.flows.clear();
  tables_.named = {fe12};
  now_ += 5;
  control_->tick();
  EXPECT_TRUE(control_->overlay().leaving.empty());
  EXPECT_EQ(record(fe12).flags, 0);
  EXPECT_EQ(topology_.followed.size(), 3u);
  EXPECT_NE(tables_.words[net::raw(fe12)], 0u) << "an old entry still names it";
  tables_.named.clear();
  engine_.workers();
  now_ += 5;
  control_->tick();
  EXPECT_EQ(tables_.words[net::raw(fe12)], 0u);
}

TEST_F(OverlayTest, AWorkerThatIsLateKeepsNumbersReserved) {
  start();
  const net::BackendId fe12 = id("fe12", "10.0.0.12");
  remove("fe12");
  now_ += 31;
  control_->tick();
  EXPECT_TRUE(control_->overlay().leaving.empty());
  const auto current = engine_.published;
  auto old = std::make_shared<model::Snapshot>(*current);
  old->generation = net::Generation{1};
  engine_.published = old;  // what workers() tells
  now_ += 5;
  control_->tick();
  EXPECT_NE(tables_.words[net::raw(fe12)], 0u);
  engine_.published = current;
  now_ += 5;
  control_->tick();
  EXPECT_EQ(tables_.words[net::raw(fe12)], 0u);
}

TEST_F(OverlayTest, LeavingEndsAfterItsTimeWhateverFlowsThereAre) {
  start();
  const net::BackendId fe12 = id("fe12", "10.0.0.12");
  tables_.flows = {flow(fe12, 1)};
  remove("fe12");
  start();
  EXPECT_EQ(id("fe12", "10.0.0.12"), fe12);
  EXPECT_NE(record(fe12).flags & LB_BACKEND_SERVING, 0) << "leaving outlives the process";
  now_ += model::kLeaveAfterS;
  control_->tick();
  EXPECT_TRUE(control_->overlay().leaving.empty());
  EXPECT_EQ(record(fe12).flags, 0);
}

TEST_F(OverlayTest, AddedAgainWhileLeavingItIsWhatItWas) {
  start();
  const net::BackendId fe12 = id("fe12", "10.0.0.12");
  const model::Backend backend = control_->config().pools.at("fe").backends[1];
  ASSERT_EQ(backend.name, "fe12");
  remove("fe12");
  done(control_->change({model::AddBackend{"fe", backend}}, options()));
  EXPECT_EQ(id("fe12", "10.0.0.12"), fe12);
  EXPECT_TRUE(control_->overlay().leaving.empty());
  EXPECT_NE(record(fe12).flags & LB_BACKEND_READY, 0);
}

TEST_F(OverlayTest, NumbersSurviveARestartInAnyOrder) {
  start();
  const net::BackendId fe11 = id("fe11", "10.0.0.11"), fe12 = id("fe12", "10.0.0.12");
  remove("fe11");
  now_ += 31;
  control_->tick();  // without flows it is gone
  tables_.named = {fe11};
  now_ += 5;
  start();
  EXPECT_EQ(id("fe12", "10.0.0.12"), fe12);
  done(control_->change(
      {model::AddBackend{"fe", {.name = "new", .address = *net::Address::parse("10.0.0.99"), .labels = {}}}},
      options()));
  EXPECT_NE(id("new", "10.0.0.99"), fe11) << "entries still name that one";
}

TEST_F(OverlayTest, WithoutFlowTablesNothingLeaves) {
  engine_.tables = nullptr;
  start();
  remove("fe12");
  EXPECT_TRUE(control_->overlay().empty());
  done(control_->drain({{"fe", "fe11"}}, std::nullopt, options()));
  EXPECT_EQ(control_->overlay().drained.size(), 1u);
  now_ += 3600;
  control_->tick();
}

TEST_F(OverlayTest, AnIdleTickReadsNoTables) {
  start();
  const int publications = engine_.publications;
  for (int i = 0; i < 100; i++) {
    now_++;
    control_->tick();
  }
  EXPECT_EQ(tables_.counts, 0);
  EXPECT_EQ(engine_.publications, publications);
  EXPECT_GT(tables_.tidied, 10);
}

TEST_F(OverlayTest, TheForecastCountsFlowsByWhatBecomesOfThem) {
  start();
  const net::BackendId fe11 = id("fe11", "10.0.0.11"), fe12 = id("fe12", "10.0.0.12");
  for (uint16_t port = 1; port <= 300; port++) tables_.flows.push_back(flow(port % 3 == 0 ? fe11 : fe12, port));
  for (uint16_t port = 1; port <= 50; port++)
    tables_.flows.push_back(flow(fe12, static_cast<uint16_t>(1000 + port), model::FlowClass::kOnce));
  ChangeOptions dry = options();
  dry.dry_run = true;
  const auto drained = done(control_->drain({{"fe", "fe12"}}, std::nullopt, dry));
  ASSERT_EQ(drained.forecast.services.size(), 1u);
  const FlowForecast& f = drained.forecast.services[0].flows;
  EXPECT_EQ(f.live, 300u) << "beyond their first packet";
  EXPECT_GE(f.pinned, 200u) << "all of fe12's";
  EXPECT_EQ(f.moved + f.ended, 0u);
  const auto removed = done(control_->change({model::RemoveBackend{"fe", "fe12"}}, dry));
  EXPECT_EQ(removed.forecast.services.at(0).flows.moved, 0u) << "it leaves";
  dry.allow_remove = 1;
  const auto ended = done(control_->change({model::RemoveService{"web"}}, dry));
  ASSERT_EQ(ended.forecast.services.size(), 1u);
  EXPECT_EQ(ended.forecast.services[0].flows.ended, 300u);
  EXPECT_EQ(ended.warnings, std::vector<std::string>{"would break 300 flows of web: say --break-flows 300"});
}

TEST_F(OverlayTest, AForecastIsComparedWithWhatCameOfIt) {
  start();
  for (uint16_t i = 0; i < 300; i++) tables_.flows.push_back(flow(id("fe11", "10.0.0.11"), i));
  ChangeOptions o = options();
  o.allow_reshuffle = {"web"};
  model::SetBackend set{.pool = "fe", .name = "fe11"};
  set.weight = 10;
  const auto result = done(control_->change({set}, o));
  ASSERT_EQ(result.forecast.services.size(), 1u);
  const uint64_t pinned = result.forecast.services[0].flows.pinned;
  EXPECT_GT(pinned, 100u);
  const auto graded = [&] { return logged_.find("event=forecast_graded") != std::string::npos; };
  now_ += 9;
  control_->tick();
  EXPECT_FALSE(graded());
  tables_.flows.resize(200);  // some have ended meanwhile
  engine_.worker_counters[0].counters[LB_COUNT_FlowsMovedBackend] += 3;
  now_ += 1;
  control_->tick();
  ASSERT_TRUE(graded()) << logged_;
  const std::string line = logged_.substr(logged_.find("event=forecast_graded"));
  EXPECT_NE(line.find("revision=2 flows=300 about=no pinned_predicted=" + std::to_string(pinned) + " pinned="),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find("pinned=" + std::to_string(pinned) + " "), std::string::npos) << "counted, not repeated";
  EXPECT_NE(line.find(" moved_predicted=0 moved=3 "), std::string::npos) << line;
  logged_.clear();
  // The next change ends the time of the one before.
  set.weight = 100;
  done(control_->change({set}, o));
  EXPECT_FALSE(graded());
  set.weight = 10;
  done(control_->change({set}, o));
  EXPECT_NE(logged_.find("event=forecast_graded revision=3"), std::string::npos);
}

// Guards: the number, and the flag that carries it.
TEST_F(OverlayTest, AServiceWithFlowsIsNotRemovedUnlessSaid) {
  start();
  tables_.flows = {flow(id("fe11", "10.0.0.11"), 1), flow(id("fe11", "10.0.0.11"), 2)};
  ChangeOptions o = options();
  o.allow_remove = 1;
  auto refused = control_->change({model::RemoveService{"web"}}, o);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kConflict);
  EXPECT_EQ(refused.error().message, "would break 2 flows of web: say --break-flows 2");
  o.allow_break = 1;
  EXPECT_FALSE(control_->change({model::RemoveService{"web"}}, o));
  o.allow_break = 5;
  EXPECT_TRUE(control_->change({model::RemoveService{"web"}}, o));
}

TEST_F(OverlayTest, APoolKeepsHalfOfItsEligibleBackends) {
  start();
  ChangeOptions o;
  auto refused = control_->drain({{"fe", "fe11"}, {"fe", "fe12"}}, std::nullopt, o);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "would leave 1 of 3 eligible in fe (limit 50 %): say --allow-below fe=1");
  EXPECT_TRUE(control_->overlay().empty());
  o.allow_below["fe"] = 2;
  EXPECT_FALSE(control_->drain({{"fe", "fe11"}, {"fe", "fe12"}}, std::nullopt, o));
  o.allow_below["fe"] = 1;
  EXPECT_TRUE(control_->drain({{"fe", "fe11"}, {"fe", "fe12"}}, std::nullopt, o));
  // The only one of a pool.
  refused = control_->change({model::RemoveBackend{"be", "be1"}}, ChangeOptions());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "would leave 0 of 1 eligible in be (limit 50 %): say --allow-below be=0");
  // All replaced at once: the new ones count by their weight.
  model::Config to = control_->config();
  to.pools["be"].backends = {{.name = "be9", .address = *net::Address::parse("10.0.1.9"), .labels = {}}};
  EXPECT_TRUE(control_->replace(to, ChangeOptions()));
}

TEST_F(OverlayTest, OtherSharesForBusyServicesMustBeSaid) {
  start();
  model::SetBackend set{.pool = "fe", .name = "fe11"};
  set.weight = 10;
  ChangeOptions dry;
  dry.dry_run = true;
  EXPECT_TRUE(done(control_->change({set}, dry)).warnings.empty()) << "it has no flows";
  tables_.flows = {flow(id("fe11", "10.0.0.11"), 1)};
  auto refused = control_->change({set}, ChangeOptions());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("say --allow-reshuffle web"), std::string::npos) << refused.error().message;
  ChangeOptions o;
  o.allow_reshuffle = {"web"};
  EXPECT_TRUE(control_->change({set}, o));
  // Who comes and goes is no reshuffle.
  const model::Backend two{.name = "new", .address = *net::Address::parse("10.0.0.99"), .weight = 200, .labels = {}};
  EXPECT_TRUE(control_->change({model::AddBackend{"fe", two}}, ChangeOptions()));
}

TEST_F(OverlayTest, AnotherPoolKeepsTheFlowsOfTheFormerOne) {
  start();
  const net::BackendId fe11 = id("fe11", "10.0.0.11");
  tables_.flows = {flow(fe11, 1)};
  model::SetService set{.name = "web"};
  set.pool = "be";
  const auto result = done(control_->change({set}, options()));
  EXPECT_EQ(result.forecast.services.at(0).flows.pinned, 1u);
  EXPECT_EQ(result.forecast.services.at(0).flows.moved, 0u);
  const lb_service& web = engine_.published->services[net::raw(control_->ids().service("web"))];
  EXPECT_EQ(web.former_pool, record(fe11).pool);
  now_ += model::kLeaveAfterS;
  control_->tick();
  EXPECT_EQ(engine_.published->services[net::raw(control_->ids().service("web"))].former_pool, 0);
}

}  // namespace
}  // namespace lb::ctl
