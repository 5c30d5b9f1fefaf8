#include "ctl/controller.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {
namespace {

constexpr lb_hash_key kKey{1, 2};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {}
  ~ControllerTest() override { set_log_sink(before_); }

  void start(const std::optional<State>& state = std::nullopt) {
    ASSERT_TRUE(store_.open());
    auto started = control_.start(test_config(), state);
    ASSERT_TRUE(started) << started.error().message;
  }
  static ChangeOptions options() {
    ChangeOptions o;
    o.author = {.uid = 1000, .pid = 77, .login_uid = "1001", .command = "backend.set"};
    o.reason = "test";
    return o;
  }
  static model::Change weight(uint32_t value, const std::string& name = "fe11") {
    model::SetBackend set;
    set.pool = "fe";
    set.name = name;
    set.weight = value;
    return set;
  }
  std::optional<State> on_disk() {
    StateStore store(dir_.path());
    auto loaded = store.load();
    return loaded ? loaded->state : std::nullopt;
  }
  // Share of the table of `web` that a backend has in what is published.
  double share(const std::string& name) {
    const auto slots =
        engine_.published->table_of(engine_.published->services[net::raw(control_.ids().service("web"))]);
    for (const model::BackendState& s : engine_.published->backend_states) {
      if (s.name != name) continue;
      return static_cast<double>(std::count(slots.begin(), slots.end(), net::raw(s.id))) /
             static_cast<double>(slots.size());
    }
    return -1;
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  FaultyFiles files_;
  FakeEngine engine_;
  FakeTopology topology_;
  StateStore store_{dir_.path(), files_};
  Controller control_{engine_, topology_, store_, kKey};
};

TEST_F(ControllerTest, TheFirstStartMakesRevisionOne) {
  start();
  EXPECT_EQ(control_.revision(), 1u);
  EXPECT_EQ(engine_.publications, 1);
  ASSERT_TRUE(on_disk());
  EXPECT_EQ(on_disk()->digest, control_.digest());
  EXPECT_EQ(topology_.followed.size(), 4u);
}

TEST_F(ControllerTest, AStateIsContinued) {
  State state;
  state.revision = 41;
  state.config_text = model::print_services(test_config());
  state.digest = "x";
  start(state);
  EXPECT_EQ(control_.revision(), 41u);
  EXPECT_FALSE(on_disk()) << "nothing is written before a change";
  ASSERT_TRUE(control_.change({weight(1)}, options()));
  EXPECT_EQ(control_.revision(), 42u);
}

TEST_F(ControllerTest, AChangeIsPublishedKeptAndForecast) {
  start();
  const double before = share("fe11");
  auto result = control_.change({weight(10)}, options());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->changed);
  EXPECT_EQ(result->revision, 2u);
  EXPECT_EQ(result->generation, net::raw(engine_.published->generation));
  ASSERT_EQ(result->lines.size(), 1u);
  EXPECT_NE(result->lines[0].find("weight 100 -> 10"), std::string::npos) << result->lines[0];
  ASSERT_EQ(result->forecast.services.size(), 1u);
  EXPECT_EQ(result->forecast.services[0].service, "web");
  EXPECT_NEAR(result->forecast.services[0].slots_moved, before - share("fe11"), 0.06);
  EXPECT_EQ(result->forecast.services[0].eligible_after, 3u);
  EXPECT_EQ(on_disk()->revision, 2u);
  EXPECT_EQ(on_disk()->uid, 1000u);
  EXPECT_EQ(on_disk()->reason, "test");
  for (const char* part :
       {"event=changed", "uid=1000", "login_uid=1001", "pid=77", "command=backend.set", "reason=test"}) {
    EXPECT_NE(logged_.find(part), std::string::npos) << part << " in " << logged_;
  }
}

TEST_F(ControllerTest, WhatChangesNothingMakesNoRevision) {
  start();
  auto result = control_.change({weight(100)}, options());
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->changed);
  auto again = control_.replace(test_config(), options());
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(control_.revision(), 1u);
  EXPECT_EQ(engine_.publications, 1);
}

TEST_F(ControllerTest, ADryRunForecastsAndChangesNothing) {
  start();
  const std::string before = slurp(store_.path());
  ChangeOptions dry = options();
  dry.dry_run = true;
  auto result = control_.change({weight(0)}, dry);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->changed);
  EXPECT_TRUE(result->dry_run);
  EXPECT_EQ(result->revision, 1u);
  EXPECT_EQ(result->forecast.services.at(0).eligible_before, 3u);
  EXPECT_EQ(result->forecast.services.at(0).eligible_after, 2u);
  EXPECT_GT(result->forecast.services.at(0).slots_moved, 0.3);
  EXPECT_EQ(slurp(store_.path()), before);
  EXPECT_EQ(engine_.publications, 1);
  auto real = control_.change({weight(0)}, options());
  ASSERT_TRUE(real);
  EXPECT_EQ(real->digest, result->digest) << "the forecast was of this";
  EXPECT_EQ(real->forecast.services.at(0).slots_moved, result->forecast.services.at(0).slots_moved);
}

TEST_F(ControllerTest, AnUnexpectedRevisionIsAConflict) {
  start();
  ChangeOptions o = options();
  o.expect_revision = 7;
  auto refused = control_.change({weight(1)}, o);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kConflict);
  o.expect_revision = 1;
  EXPECT_TRUE(control_.change({weight(1)}, o));
}

TEST_F(ControllerTest, RemovedServicesMustBeCounted) {
  start();
  engine_.counted.services.resize(2);
  engine_.counted.services[net::raw(control_.ids().service("web"))].packets = 5;
  model::Config to = test_config();
  to.services.clear();
  auto refused = control_.replace(to, options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kConflict);
  EXPECT_EQ(refused.error().message, "would remove 2 services (1 with traffic): say --remove 2");
  ChangeOptions o = options();
  o.allow_remove = 1;
  EXPECT_FALSE(control_.replace(to, o));
  EXPECT_EQ(control_.config().services.size(), 2u);
  o.dry_run = true;
  auto dry = control_.replace(to, o);
  ASSERT_TRUE(dry);
  EXPECT_EQ(dry->warnings.size(), 1u);
  o.dry_run = false;
  o.allow_remove = 2;
  EXPECT_TRUE(control_.replace(to, o));
  EXPECT_TRUE(control_.config().services.empty());
}

TEST_F(ControllerTest, ARefusedPublicationLeavesTheOldState) {
  start();
  const auto running = engine_.published;
  const std::string kept = slurp(store_.path());
  engine_.refuse = true;
  EXPECT_FALSE(control_.change({weight(1)}, options()));
  EXPECT_EQ(engine_.published, running);
  EXPECT_EQ(slurp(store_.path()), kept);
  EXPECT_EQ(control_.revision(), 1u);
  engine_.refuse = false;
  EXPECT_TRUE(control_.change({weight(1)}, options()));
}

TEST_F(ControllerTest, LateWorkersAreNamed) {
  start();
  engine_.late = {net::WorkerId{1}};
  auto result = control_.change({weight(1)}, options());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->late_workers, std::vector<std::string>{"core 3"});
}

TEST_F(ControllerTest, TopologyChangesMakeGenerationsNotRevisions) {
  start();
  const auto address = net::Address::parse("10.0.0.11").value();
  control_.topology_changed();
  EXPECT_EQ(engine_.publications, 1) << "nothing changed";
  topology_.why[address] = "no route to 10.0.0.11";
  control_.topology_changed();
  EXPECT_EQ(engine_.publications, 2);
  EXPECT_EQ(control_.revision(), 1u);
  EXPECT_EQ(share("fe11"), 0);
  EXPECT_EQ(control_.eligible()[net::raw(control_.ids().service("web"))], 2u);
  topology_.why.clear();
  control_.topology_changed();
  EXPECT_GT(share("fe11"), 0.3);
}

TEST_F(ControllerTest, CountersStartAnewWithTheirOwner) {
  start();
  const size_t web = net::raw(control_.ids().service("web"));
  engine_.counted.services.resize(8);
  engine_.counted.services[web] = {100, 1000};
  EXPECT_EQ(control_.traffic().services[web].packets, 100u);
  ChangeOptions o = options();
  o.allow_remove = 1;
  const model::Service old = control_.config().services.at("web");
  ASSERT_TRUE(control_.change({model::RemoveService{"web"}}, o));
  ASSERT_TRUE(control_.change({model::AddService{old}}, o));
  const size_t again = net::raw(control_.ids().service("web"));
  EXPECT_EQ(control_.traffic().services[again].packets, 0u);
  engine_.counted.services[again].packets += 3;
  EXPECT_EQ(control_.traffic().services[again].packets, 3u);
}

// The whole way of a change with one operation failing: disk, workers and answer agree.
TEST_F(ControllerTest, AnyFailureOfAnApplyLeavesOneTruth) {
  start();
  for (int error : {EIO, ENOSPC}) {
    for (bool lasting : {false, true}) {
      for (int at = 1; at < 30; at++) {
        const std::string old_digest = control_.digest();
        const double old_share = share("fe11");
        files_.count = 0;
        files_.fail_at = at;
        files_.lasting = lasting;
        files_.error = error;
        const uint32_t value = control_.config().pools.at("fe").backends[0].weight == 1 ? 900 : 1;
        auto result = control_.change({weight(value)}, options());
        files_.fail_at = 0;
        ASSERT_TRUE(on_disk()) << "operation " << at;
        EXPECT_EQ(on_disk()->digest, control_.digest());
        EXPECT_EQ(on_disk()->revision, control_.revision());
        EXPECT_EQ(result.has_value(), control_.digest() != old_digest);
        EXPECT_EQ(result.has_value(), share("fe11") != old_share) << "operation " << at << " lasting " << lasting;
        EXPECT_EQ(control_.config().pools.at("fe").backends[0].weight == value, result.has_value());
        if (!result) {
          EXPECT_EQ(result.error().code, net::Code::kIo);
        }
        if (files_.count < at) break;
      }
    }
  }
}

// A kill at any operation and also right after publication: a new start finds the old or the new state, whole.
TEST_F(ControllerTest, AKillAnywhereLeavesTheOldOrTheNewState) {
  start();
  const State old_state = on_disk().value();
  bool saw_new = false;
  for (int at = 1; at < 40; at++) {
    TempDir copy;
    std::filesystem::copy_file(store_.path(), copy / "state.json");
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultyFiles files;
      StateStore store(copy.path(), files);
      FakeEngine engine;
      FakeTopology topology;
      Controller control(engine, topology, store, kKey);
      if (!store.open() || !control.start(test_config(), old_state)) _exit(1);
      if (at == 1) engine.on_publish = [] { _exit(42); };
      files.count = 0;
      files.kill_at = at;
      _exit(control.change({weight(1)}, options()) ? 0 : 2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    StateStore after(copy.path());
    ASSERT_TRUE(after.open());
    auto loaded = after.load();
    ASSERT_TRUE(loaded && loaded->state) << "killed at operation " << at;
    EXPECT_TRUE(*loaded->state == old_state || loaded->state->revision == 2);
    saw_new |= loaded->state->revision == 2;
    if (WEXITSTATUS(status) == 0) break;
    ASSERT_EQ(WEXITSTATUS(status), 42);
  }
  EXPECT_TRUE(saw_new);
}

}  // namespace
}  // namespace lb::ctl
