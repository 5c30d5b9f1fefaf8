#include "ctl/state_store.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "ctl/digest.h"
#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

State state_of(uint64_t revision) {
  State s;
  s.revision = revision;
  s.uid = 1000;
  s.command = "service.add";
  s.reason = "night shift \"x\"\n";
  s.time_s = 1700000000;
  s.config_text = "version: 1\npools: {}\n# " + std::to_string(revision) + "\n";
  s.digest = digest_hex(s.config_text);
  s.login_uid = "1001";
  s.files = {{"/etc/lbd/lbd.yaml", std::string(64, 'a')}, {"/etc/lbd/lbd.d/web.yaml", std::string(64, '0')}};
  s.restores = revision - 1;
  if (revision % 2 == 0) s.trial = {.until = 1700000300, .back_to = revision - 1};
  const auto v4 = net::Address::parse("10.0.0.11").value(), v6 = net::Address::parse("2001:db8::1").value();
  s.overlay.drained[{"fe", "a"}] = {.uid = 7, .login_uid = "1000", .reason = "disk", .since = 5, .expires = 90};
  s.overlay.leaving[{"fe", "b", v4}] = {100, 1000};
  s.overlay.leaving[{"fe", "b", v6}] = {200, 1100};
  s.overlay.former_pools["web"] = {"old", 300};
  s.overlay.withdrawn["web"] = {.uid = 8, .login_uid = "8", .reason = "certificates", .since = 6, .expires = 0};
  s.overlay.node_drain = {.uid = 9, .login_uid = "", .reason = "new kernel", .since = 7, .expires = 70};
  return s;
}

State load(const std::string& folder) {
  StateStore store(folder);
  auto loaded = store.load();
  EXPECT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->damaged, "");
  return loaded->state.value_or(State());
}

bool commit(StateStore& store, const State& state) {
  if (!store.prepare(state)) return false;
  auto done = store.commit();
  return done.has_value();
}

TEST(StateStore, KeepsWhatWasCommitted) {
  TempDir dir;
  StateStore store(dir / "deep/state");
  ASSERT_TRUE(store.open());
  EXPECT_FALSE(store.load()->state.has_value());
  ASSERT_TRUE(commit(store, state_of(1)));
  ASSERT_TRUE(commit(store, state_of(2)));
  EXPECT_EQ(load(dir / "deep/state"), state_of(2));
  struct stat st {};
  ASSERT_EQ(stat(store.path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST(StateStore, AnAbandonedStateLeavesTheOldOneAndNothingElse) {
  TempDir dir;
  StateStore store(dir.path());
  ASSERT_TRUE(store.open());
  ASSERT_TRUE(commit(store, state_of(1)));
  ASSERT_TRUE(store.prepare(state_of(2)));
  store.abandon();
  EXPECT_EQ(load(dir.path()), state_of(1));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path())) files++;
  EXPECT_EQ(files, 3u) << "state.json, lock and history";
}

TEST(StateStore, OneProcessOwnsTheFolder) {
  TempDir dir;
  StateStore first(dir.path()), second(dir.path());
  ASSERT_TRUE(first.open());
  auto refused = second.open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, net::Code::kUnavailable);
  EXPECT_NE(refused.error().message.find(dir.path()), std::string::npos);
}

// Every operation of a commit fails once, in each way: the old state or the new one, and the answer says which.
TEST(StateStore, AnyFailureLeavesTheStateThatTheAnswerTells) {
  for (int error : {EIO, ENOSPC}) {
    for (bool lasting : {false, true}) {
      for (bool first : {false, true}) {
        for (int at = 1; at < 30; at++) {
          TempDir dir;
          FaultyFiles files;
          files.half_write = true;
          StateStore store(dir.path(), files);
          ASSERT_TRUE(store.open());
          if (!first) {
            ASSERT_TRUE(commit(store, state_of(1)));
          }
          files.count = 0;
          files.names.clear();
          files.fail_at = at;
          files.lasting = lasting;
          files.error = error;
          const bool done = commit(store, state_of(2));
          files.fail_at = 0;
          const State expected = done ? state_of(2) : first ? State() : state_of(1);
          EXPECT_EQ(load(dir.path()), expected)
              << "operation " << at << " (" << files.names.back() << ") lasting " << lasting << " first " << first;
          // And the store goes on working.
          EXPECT_TRUE(commit(store, state_of(3)));
          EXPECT_EQ(load(dir.path()), state_of(3));
          if (files.count < at) break;
        }
      }
    }
  }
}

TEST(StateStore, AKillAtAnyOperationLeavesTheOldOrTheNewState) {
  int old_states = 0, new_states = 0;
  for (int at = 1;; at++) {
    TempDir dir;
    {
      StateStore store(dir.path());
      ASSERT_TRUE(store.open());
      ASSERT_TRUE(commit(store, state_of(1)));
    }
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultyFiles files;
      StateStore store(dir.path(), files);
      if (!store.open()) _exit(1);
      files.count = 0;
      files.kill_at = at;
      files.short_writes = true;
      _exit(commit(store, state_of(2)) ? 0 : 2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    StateStore after(dir.path());
    ASSERT_TRUE(after.open());
    const State found = load(dir.path());
    EXPECT_TRUE(found == state_of(1) || found == state_of(2)) << "killed at operation " << at;
    (found == state_of(1) ? old_states : new_states)++;
    EXPECT_FALSE(std::filesystem::exists(dir / "state.json.new"));
    EXPECT_FALSE(std::filesystem::exists(dir / "state.json.old"));
    if (WEXITSTATUS(status) == 0) break;
    ASSERT_EQ(WEXITSTATUS(status), 42);
  }
  EXPECT_GT(old_states, 3);
  EXPECT_GT(new_states, 1);
}

TEST(StateStore, ShortWritesAreContinued) {
  TempDir dir;
  FaultyFiles files;
  files.short_writes = true;
  StateStore store(dir.path(), files);
  ASSERT_TRUE(store.open());
  ASSERT_TRUE(commit(store, state_of(1)));
  EXPECT_EQ(load(dir.path()), state_of(1));
}

TEST(StateStore, ATruncatedOrChangedFileIsSetAsideAndTold) {
  const std::string whole = encode_state(state_of(4));
  std::vector<std::string> damaged = {"", "{}", "null", "[1]", std::string(whole.size(), '\0')};
  for (size_t cut : {size_t{1}, whole.size() / 2, whole.size() - 3}) damaged.push_back(whole.substr(0, cut));
  std::string flipped = whole;
  flipped[flipped.find("night")] = 'f';
  damaged.push_back(flipped);
  for (const std::string& text : damaged) {
    TempDir dir;
    spill(dir / "state.json", text);
    StateStore store(dir.path());
    ASSERT_TRUE(store.open());
    auto loaded = store.load();
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_FALSE(loaded->state.has_value()) << text;
    EXPECT_NE(loaded->damaged.find("state.json.damaged-"), std::string::npos) << loaded->damaged;
    const std::string aside = loaded->damaged.substr(loaded->damaged.rfind(' ') + 1);
    EXPECT_EQ(slurp(aside), text) << "kept byte for byte";
    EXPECT_FALSE(std::filesystem::exists(dir / "state.json"));
  }
}

TEST(StateStore, ANewerSchemaIsRefusedAndLeftAlone) {
  TempDir dir;
  auto json = nlohmann::json::parse(encode_state(state_of(1)));
  json["schema"] = kStateSchema + 1;
  spill(dir / "state.json", json.dump());
  StateStore store(dir.path());
  ASSERT_TRUE(store.open());
  auto loaded = store.load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, net::Code::kUnsupported);
  EXPECT_NE(loaded.error().message.find("schema is 4"), std::string::npos) << loaded.error().message;
  EXPECT_EQ(slurp(dir / "state.json"), json.dump());
}

TEST(StateStore, TheSchemaBeforeIsRead) {
  State old = state_of(1);
  old.overlay = {};
  old.login_uid.clear();
  old.files.clear();
  old.restores = 0;
  auto json = nlohmann::json::parse(encode_state(old));
  json["schema"] = 1;
  for (const char* newer : {"overlay", "login_uid", "files", "restores", "trial", "checksum"}) json.erase(newer);
  json["checksum"] = digest_hex(json.dump());
  const auto read = decode_state(json.dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, old);
}

TEST(StateStore, TheSchemaWithoutWithdrawalsIsRead) {
  State old = state_of(1);
  old.login_uid.clear();
  old.files.clear();
  old.restores = 0;
  old.overlay.withdrawn.clear();
  old.overlay.node_drain.reset();
  auto json = nlohmann::json::parse(encode_state(old));
  json["schema"] = 2;
  json["overlay"].erase("withdrawn");
  json["overlay"].erase("node_drain");
  for (const char* newer : {"login_uid", "files", "restores", "trial", "checksum"}) json.erase(newer);
  json["checksum"] = digest_hex(json.dump());
  const auto read = decode_state(json.dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, old);
}

TEST(StateStore, AFullDiskIsToldAndChangesNothing) {
  if (geteuid() != 0) GTEST_SKIP() << "a small tmpfs needs root";
  TempDir dir;
  const std::string disk = dir / "disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "tmpfs cannot be mounted here";
  {
    StateStore store(disk);
    ASSERT_TRUE(store.open());
    ASSERT_TRUE(commit(store, state_of(1)));
    State large = state_of(2);
    large.config_text.assign(200000, 'x');
    auto refused = store.prepare(large);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, net::Code::kIo);
    EXPECT_NE(refused.error().message.find("No space left on device; make room"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(load(disk), state_of(1));
    EXPECT_TRUE(commit(store, state_of(3))) << "the failed attempt left its space";
  }
  umount(disk.c_str());
}

}  // namespace
}  // namespace lb::ctl
