#include "ctl/hash_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "ctl/log.h"
#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {
namespace {

void write_key(const std::string& path, const std::string& text, mode_t mode = 0600) {
  spill(path, text);
  ASSERT_EQ(chmod(path.c_str(), mode), 0);
}

TEST(HashKey, IsReadAsTheBytesOfTheSipHashPaper) {
  TempDir dir;
  write_key(dir / "key", "000102030405060708090a0b0c0d0e0f\n");
  auto key = load_hash_key(dir / "key");
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->k0, 0x0706050403020100ull);
  EXPECT_EQ(key->k1, 0x0f0e0d0c0b0a0908ull);
}

TEST(HashKey, IsMadeOnceAndStays) {
  TempDir dir;
  std::string logged;
  LogSink before = set_log_sink([&](LogLevel, const std::string& line) { logged += line; });
  auto first = load_hash_key(dir / "etc/lbd/key");
  set_log_sink(before);
  auto second = load_hash_key(dir / "etc/lbd/key");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->k0, second->k0);
  EXPECT_EQ(first->k1, second->k1);
  const std::string text = slurp(dir / "etc/lbd/key");
  EXPECT_EQ(text.size(), 33u);
  EXPECT_EQ(logged.find(text.substr(0, 8)), std::string::npos) << "never printed";
  struct stat st {};
  ASSERT_EQ(stat((dir / "etc/lbd/key").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  auto other = load_hash_key(dir / "other");
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->k0 == first->k0 && other->k1 == first->k1);
}

TEST(HashKey, RefusesOthersAccessAndWrongTexts) {
  TempDir dir;
  write_key(dir / "open", "000102030405060708090a0b0c0d0e0f\n", 0640);
  auto open = load_hash_key(dir / "open");
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("chmod 0600"), std::string::npos) << open.error().message;
  for (const char* text : {"", "\n", "0001", "000102030405060708090a0b0c0d0e0f00", "000102030405060708090a0b0c0d0e0g",
                           "000102030405060708090a0b0c0d0e0f\n\n"}) {
    write_key(dir / "bad", text);
    auto bad = load_hash_key(dir / "bad");
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(bad.error().code, net::Code::kInvalid);
    EXPECT_NE(bad.error().message.find("hexadecimal"), std::string::npos) << bad.error().message;
    EXPECT_EQ(bad.error().message.find("0001020304"), std::string::npos) << "never printed";
  }
  std::filesystem::create_directory(dir / "folder");
  chmod((dir / "folder").c_str(), 0700);
  EXPECT_FALSE(load_hash_key(dir / "folder"));
}

TEST(HashKey, AnyFailureLeavesNoKeyOrAWholeOne) {
  for (int at = 1; at < 20; at++) {
    TempDir dir;
    FaultyFiles files;
    files.half_write = true;
    files.fail_at = at;
    auto key = load_hash_key(dir / "key", files);
    const bool there = std::filesystem::exists(dir / "key");
    if (there) {
      EXPECT_EQ(slurp(dir / "key").size(), 33u) << "operation " << at;
    }
    EXPECT_TRUE(there || !key);
    files.fail_at = 0;
    EXPECT_TRUE(load_hash_key(dir / "key", files)) << "operation " << at;
    if (files.count < at) break;
  }
}

}  // namespace
}  // namespace lb::ctl
