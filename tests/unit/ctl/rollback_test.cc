// Back to former revisions, trials and their ends, over restarts.
#include <gtest/gtest.h>

#include "ctl/controller.h"
#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {
namespace {

constexpr lb_hash_key kKey{1, 2};

class RollbackTest : public testing::Test {
 protected:
  RollbackTest() : before_(set_log_sink([this](LogLevel, const std::string& line) { logged_ += line + '\n'; })) {}
  ~RollbackTest() override { set_log_sink(before_); }

  void SetUp() override { start(); }
  // A new process with the folder of the one before.
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
    auto started = control_->start(config, loaded->state);
    ASSERT_TRUE(started) << started.error().message;
  }
  ChangeOptions options(const std::string& command = "test") {
    ChangeOptions o;
    o.author = {.uid = 1000, .pid = 7, .login_uid = "1001", .command = command};
    return o;
  }
  void set_weight(uint32_t weight) {
    model::SetBackend set;
    set.pool = "fe";
    set.name = "fe12";
    set.weight = weight;
    auto done = control_->change({set}, options());
    ASSERT_TRUE(done) << done.error().message;
  }
  uint32_t weight() const { return control_->config().pools.at("fe").backends.at(1).weight; }
  model::Config with_weight(uint32_t w) const {
    model::Config to = control_->config();
    to.pools.at("fe").backends.at(1).weight = w;
    return to;
  }
  net::Result<ChangeResult> try_out(uint32_t w, int64_t seconds) {
    ChangeOptions o = options("config.apply");
    o.confirm_within_s = seconds;
    return control_->replace(with_weight(w), o);
  }

  std::string logged_;
  LogSink before_;
  TempDir dir_;
  FakeEngine engine_;
  FakeTopology topology_;
  int64_t now_ = 1'700'000'000;
  std::optional<StateStore> store_;
  std::optional<Controller> control_;
};

TEST_F(RollbackTest, BringsBackTheRevisionBeforeAsANewOne) {
  set_weight(70);
  set_weight(90);
  auto back = control_->rollback(std::nullopt, options("config.rollback"));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->revision, 4u);
  EXPECT_EQ(back->lines, (std::vector<std::string>{"~ backend fe/fe12: weight 90 -> 70"}));
  EXPECT_EQ(weight(), 70u);
  EXPECT_EQ(control_->history().entry(4)->restores, 2u);
  // Back and forth again, by number; over a restart, too.
  start();
  ASSERT_TRUE(control_->rollback(3, options()));
  EXPECT_EQ(weight(), 90u);
  ASSERT_TRUE(control_->rollback(1, options()));
  EXPECT_EQ(weight(), 50u);
  auto none = control_->rollback(control_->revision(), options());
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->changed) << "it is what runs";
}

TEST_F(RollbackTest, SaysWhatIsNotThere) {
  EXPECT_EQ(control_->rollback(std::nullopt, options()).error().message,
            "revision 1 is the first one: there is none before it");
  EXPECT_EQ(control_->rollback(9, options()).error().message, "there is no revision 9: the current one is 1");
  EXPECT_EQ(control_->rollback(0, options()).error().message, "there is no revision 0: the current one is 1");
  EXPECT_EQ(control_->confirm(options()).error().message, "revision 1 is not on trial: there is nothing to confirm");
}

TEST_F(RollbackTest, HasItsGuards) {
  model::AddService add;
  add.service = control_->config().services.at("web");
  add.service.name = "more";
  add.service.listen = {net::Listener::parse("192.0.2.99:80/tcp").value()};
  ASSERT_TRUE(control_->change({add}, options()));
  auto refused = control_->rollback(1, options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "would remove 1 service (0 with traffic): say --remove 1");
  EXPECT_EQ(control_->revision(), 2u);
  ChangeOptions o = options();
  o.dry_run = true;
  EXPECT_EQ(control_->rollback(1, o)->warnings.size(), 1u);
  o.dry_run = false;
  o.allow_remove = 1;
  EXPECT_EQ(control_->rollback(1, o)->revision, 3u);
}

TEST_F(RollbackTest, ADrainOutlivesIt) {
  ChangeOptions o = options();
  o.allow_below["fe"] = 0;
  ASSERT_TRUE(control_->drain({{"fe", "fe11"}}, std::nullopt, o));
  set_weight(70);
  ASSERT_TRUE(control_->rollback(1, o));
  EXPECT_TRUE(control_->overlay().drained.contains({"fe", "fe11"}));
}

TEST_F(RollbackTest, ATrialIsUndoneByItself) {
  auto applied = try_out(70, 300);
  ASSERT_TRUE(applied) << applied.error().message;
  ASSERT_TRUE(applied->trial);
  EXPECT_EQ(*applied->trial, (Trial{.until = now_ + 300, .back_to = 1}));
  now_ += 299;
  control_->tick();
  EXPECT_EQ(control_->revision(), 2u);
  now_ += 1;
  control_->tick();
  EXPECT_EQ(control_->revision(), 3u);
  EXPECT_EQ(weight(), 50u);
  EXPECT_FALSE(control_->trial());
  EXPECT_EQ(control_->history().entry(3)->command, "config.undo");
  EXPECT_EQ(control_->history().entry(3)->reason, "revision 2 was not confirmed");
  EXPECT_EQ(control_->history().entry(3)->restores, 1u);
  now_ += 1000;
  control_->tick();
  EXPECT_EQ(control_->revision(), 3u) << "once";
}

TEST_F(RollbackTest, ATrialIsUndoneThoughLbdWasDeadAtItsEnd) {
  ASSERT_TRUE(try_out(70, 300));
  now_ += 5000;
  start();
  EXPECT_EQ(weight(), 70u);
  EXPECT_TRUE(control_->trial());
  control_->tick();
  EXPECT_EQ(weight(), 50u);
}

TEST_F(RollbackTest, AConfirmedTrialStays) {
  ASSERT_TRUE(try_out(70, 300));
  auto confirmed = control_->confirm(options("config.confirm"));
  ASSERT_TRUE(confirmed) << confirmed.error().message;
  EXPECT_TRUE(confirmed->changed);
  EXPECT_EQ(confirmed->revision, 2u) << "no revision of its own";
  start();
  now_ += 5000;
  control_->tick();
  EXPECT_EQ(weight(), 70u);
  EXPECT_NE(logged_.find("event=confirmed revision=2"), std::string::npos) << logged_;
}

// What came in between would be undone with it, or stay without what it was made for.
TEST_F(RollbackTest, NothingElseChangesDuringATrialButDrains) {
  ASSERT_TRUE(try_out(70, 300));
  now_ += 100;
  model::SetBackend set;
  set.pool = "fe";
  set.name = "fe11";
  set.weight = 1;
  auto refused = control_->change({set}, options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "revision 2 is on trial for 200 s more, then revision 1 comes back: say `lbctl config confirm` or "
            "`lbctl config rollback` first");
  ChangeOptions o = options();
  o.allow_below["fe"] = 0;
  ASSERT_TRUE(control_->drain({{"fe", "fe11"}}, std::nullopt, o));
  ASSERT_TRUE(control_->trial()) << "a drain is no change of the configuration";
  auto back = control_->rollback(std::nullopt, o);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(weight(), 50u);
  EXPECT_FALSE(control_->trial());
  EXPECT_TRUE(control_->change({set}, options()));
}

// The operator has said that it shall come back: no flag is missing then.
TEST_F(RollbackTest, TheEndOfATrialIsNotGuarded) {
  model::Config to = control_->config();
  to.services["more"] = to.services.at("web");
  to.services["more"].name = "more";
  to.services["more"].listen = {net::Listener::parse("192.0.2.99:80/tcp").value()};
  ChangeOptions o = options("config.apply");
  o.confirm_within_s = 10;
  ASSERT_TRUE(control_->replace(to, o));
  now_ += 10;
  control_->tick();
  EXPECT_FALSE(control_->config().services.contains("more"));
}

TEST_F(RollbackTest, AnUndoThatFailsIsTriedAgain) {
  ASSERT_TRUE(try_out(70, 10));
  std::filesystem::rename(store_->history().path_of(1), dir_ / "away");
  now_ += 10;
  control_->tick();
  EXPECT_EQ(weight(), 70u);
  EXPECT_NE(logged_.find("event=undo_failed"), std::string::npos);
  std::filesystem::rename(dir_ / "away", store_->history().path_of(1));
  now_ += 5;
  control_->tick();
  EXPECT_EQ(weight(), 70u) << "not every second";
  now_ += 5;
  control_->tick();
  EXPECT_EQ(weight(), 50u);
}

TEST_F(RollbackTest, NumbersGoOnThoughTheStateIsLost) {
  set_weight(70);
  set_weight(90);
  std::filesystem::remove(dir_ / "state.json");
  start();
  EXPECT_EQ(control_->revision(), 4u);
  EXPECT_EQ(weight(), 50u) << "the file's";
  ASSERT_TRUE(control_->rollback(2, options()));
  EXPECT_EQ(weight(), 70u);
}

// As after a kill between the state and the line of the index.
TEST_F(RollbackTest, ARevisionThatTheIndexLacksTouchedWhatItChanged) {
  set_weight(70);
  const std::string index = dir_ / "history/index.jsonl", text = slurp(index);
  spill(index, text.substr(0, text.find('\n') + 1));
  start();
  EXPECT_EQ(control_->history().entry(2)->first, "~ backend fe/fe12: weight 50 -> 70");
  EXPECT_EQ(control_->history().touched().at("backend fe/fe12").revision, 2u);
  EXPECT_EQ(control_->history().touched().at("service web").revision, 1u) << "not touched by it";
}

TEST_F(RollbackTest, FormerOnesCanBeLookedAt) {
  set_weight(70);
  EXPECT_EQ(control_->former(1)->pools.at("fe").backends.at(1).weight, 50u);
  EXPECT_EQ(*control_->former(2), control_->config());
  EXPECT_EQ(control_->former(3).error().message, "there is no revision 3: the current one is 2");
}

}  // namespace
}  // namespace lb::ctl
