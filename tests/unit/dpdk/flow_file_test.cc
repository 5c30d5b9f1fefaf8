// The files of the flow tables: made, adopted, refused. In a folder of memory, each test its own.
#include "dataplane/dpdk/flow_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "dataplane/dpdk/flow_header.h"
#include "dataplane/flows/flow_clock.h"
#include "dataplane/model/config.h"

namespace lb::dpdk {
namespace {

namespace fs = std::filesystem;

class FlowFileTest : public testing::Test {
 protected:
  FlowFileTest() {
    char name[] = "/dev/shm/lbd-flow-test-XXXXXX";
    folder_ = std::string(mkdtemp(name)) + "/flows";
  }
  ~FlowFileTest() override { fs::remove_all(fs::path(folder_).parent_path()); }

  FlowOptions options(uint32_t flows = 1024) const {
    return {.folder = folder_, .key = key_, .flows = flows, .huge_pages = false};
  }
  std::unique_ptr<FlowFile> open(uint32_t workers = 1, uint32_t flows = 1024) {
    log_.clear();
    auto file = FlowFile::open(options(flows), workers, [this](std::string_view line) { log_ += line; });
    EXPECT_TRUE(file) << (file ? "" : file.error().message);
    return file ? std::move(*file) : nullptr;
  }
  // An established flow with that hash, last seen now.
  static void put_flow(const stages::FlowTable& t, uint64_t hash, uint16_t backend = 7) {
    lb_flow_line& line = t.lines[lb_flow_first_line(hash, t.count)];
    line.tag[3] = static_cast<uint16_t>(hash);
    line.tag2[3] = static_cast<uint16_t>(hash >> 16);
    line.backend[3] = backend;
    line.state[3] = lb_flow_state(LB_FLOW_ESTABLISHED, flows::flow_clock_ms());
    t.heartbeat->now_ms = flows::flow_clock_ms();
  }
  static uint16_t backend_of(const stages::FlowTable& t, uint64_t hash) {
    const lb_flow_line& line = t.lines[lb_flow_first_line(hash, t.count)];
    const uint32_t found = net::match_flow(line, static_cast<uint32_t>(hash));
    return found == 0 ? uint16_t{0} : line.backend[__builtin_ctz(found)];
  }
  std::string table(uint32_t n) const { return folder_ + "/table-" + std::to_string(n); }
  void overwrite(const std::string& path, off_t at, const std::string& bytes) {
    std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(at);
    f << bytes;
    ASSERT_TRUE(f.good());
  }

  static constexpr uint64_t kHash = 0x1234567890abcdefull;
  std::string folder_, log_;
  lb_hash_key key_ = {1, 2};
};

TEST_F(FlowFileTest, IsAdoptedByTheNextOne) {
  {
    const auto first = open(2);
    ASSERT_FALSE(first->adopted());
    put_flow(first->current().tables[1], kHash);
    first->backend_ids()[7] = 99;
  }
  const auto second = open(2);
  EXPECT_TRUE(second->adopted());
  EXPECT_EQ(7, backend_of(second->current().tables[1], kHash));
  EXPECT_EQ(99, second->backend_ids()[7]);
  EXPECT_TRUE(second->former().empty());
  EXPECT_EQ("", log_);
}

TEST_F(FlowFileTest, IsClaimedByOneProcess) {
  const auto first = open();
  const auto second = FlowFile::open(options(), 1, [](std::string_view) {});
  ASSERT_FALSE(second);
  EXPECT_NE(std::string::npos, second.error().message.find("another lbd uses"));
}

TEST_F(FlowFileTest, StaysReadableForAnotherNumberOfWorkers) {
  put_flow(open(1)->current().tables[0], kHash);
  {
    const auto two = open(2);
    EXPECT_FALSE(two->adopted());
    ASSERT_EQ(1, two->former().size());
    EXPECT_TRUE(two->former()[0].tables[0].former);
    EXPECT_EQ(7, backend_of(two->former()[0].tables[0], kHash));
    put_flow(two->current().tables[1], kHash, 8);
  }
  // Back to one: the newest is not of that shape, so a new one is made and both older ones are read, the newer first.
  const auto one = open(1);
  EXPECT_FALSE(one->adopted());
  ASSERT_EQ(2, one->former().size());
  EXPECT_EQ(8, backend_of(one->former()[0].tables[1], kHash));
  EXPECT_EQ(7, backend_of(one->former()[1].tables[0], kHash));
}

TEST_F(FlowFileTest, GivesBackWhatIsRetired) {
  put_flow(open(1)->current().tables[0], kHash);
  const auto two = open(2);
  ASSERT_EQ(1, two->former().size());
  two->retire(0);
  EXPECT_FALSE(fs::exists(table(1)));
  EXPECT_FALSE(two->former()[0].in_use->load());
  EXPECT_EQ(0, backend_of(two->former()[0].tables[0], kHash));  // a hole by now, harmless to who still reads
}

TEST_F(FlowFileTest, SetsAsideAnotherKeysTables) {
  put_flow(open()->current().tables[0], kHash);
  key_ = {3, 4};
  const auto file = open();
  EXPECT_FALSE(file->adopted());
  EXPECT_NE(std::string::npos, log_.find("another hash key")) << log_;
  EXPECT_TRUE(fs::exists(folder_ + "/set-aside"));
  EXPECT_EQ(0, backend_of(file->current().tables[0], kHash));
}

TEST_F(FlowFileTest, SetsAsideDamage) {
  const std::pair<off_t, std::string> damages[] = {{0, "X"},     {8, "\x07"},  {12, "\x05"},    {16, "\xff"},
                                                   {24, "\x01"}, {40, "boot"}, {88, "checksum"}};
  for (const auto& [at, bytes] : damages) {
    put_flow(open()->current().tables[0], kHash);
    const std::string path = fs::exists(table(1)) ? table(1) : table(2);
    overwrite(path, at, bytes);
    const auto file = open();
    EXPECT_FALSE(file->adopted()) << at;
    EXPECT_NE(std::string::npos, log_.find("is set aside as")) << at << ": " << log_;
    EXPECT_EQ(0, backend_of(file->current().tables[0], kHash)) << at;
  }
}

TEST_F(FlowFileTest, SetsAsideAFileCutShort) {
  open();
  fs::resize_file(table(1), 1 << 20);
  EXPECT_FALSE(open()->adopted());
  EXPECT_NE(std::string::npos, log_.find("bytes instead of")) << log_;
  fs::resize_file(table(1), 100);
  EXPECT_FALSE(open()->adopted());
  EXPECT_NE(std::string::npos, log_.find("cut short")) << log_;
}

TEST_F(FlowFileTest, RemovesTablesWhoseNumbersNobodyKnows) {
  put_flow(open()->current().tables[0], kHash);
  fs::remove(folder_ + "/ids");
  const auto file = open();
  EXPECT_FALSE(file->adopted());
  EXPECT_EQ(0, backend_of(file->current().tables[0], kHash));
  EXPECT_NE(std::string::npos, log_.find("`ids` is missing")) << log_;
}

TEST_F(FlowFileTest, LeavesNothingHalfMade) {
  open();
  std::ofstream(folder_ + "/table-9.new") << "half";
  EXPECT_TRUE(open()->adopted());
  EXPECT_FALSE(fs::exists(folder_ + "/table-9.new"));
}

TEST_F(FlowFileTest, RefusesAFolderThatOthersMayWriteTo) {
  fs::create_directories(folder_);
  ASSERT_EQ(0, chmod(folder_.c_str(), 0777));
  const auto file = FlowFile::open(options(), 1, [](std::string_view) {});
  ASSERT_FALSE(file);
  EXPECT_NE(std::string::npos, file.error().message.find("only we can write to"));
}

TEST_F(FlowFileTest, TellsWhenThereIsNoMemory) {
  const auto file = FlowFile::open(options(model::kMaxFlows), 1, [](std::string_view) {});
  if (file) GTEST_SKIP() << "this machine has the memory for 268 M flows";
  EXPECT_NE(std::string::npos, file.error().message.find("daemon.flows")) << file.error().message;
  EXPECT_FALSE(fs::exists(table(1) + ".new"));
}

// A disk's folder is no place for tables: they go to shared memory, and the folder is a link to it.
TEST_F(FlowFileTest, GoesToMemoryFromADisk) {
  char name[] = "/var/tmp/lbd-flow-test-XXXXXX";
  const std::string disk = mkdtemp(name);
  const auto resolved = resolve_flow_folder(disk + "/flows", [](std::string_view) {});
  ASSERT_TRUE(resolved);
  EXPECT_TRUE(resolved->starts_with("/dev/shm/lbd-")) << *resolved;
  EXPECT_EQ(*resolved, fs::read_symlink(disk + "/flows").string());
  const auto again = resolve_flow_folder(disk + "/flows", [](std::string_view) {});
  ASSERT_TRUE(again);
  EXPECT_EQ(*resolved, *again);
  fs::remove_all(*resolved);
  fs::remove_all(disk);
}

}  // namespace
}  // namespace lb::dpdk
