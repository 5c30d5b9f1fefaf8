// Pins by name, one lbd at a time.
#include "xdp/runtime.h"

#include <sys/stat.h>

#include "tests/unit/xdp/life.h"

namespace lb::xdp {
namespace {

class RuntimeTest : public Life {};

TEST(RuntimeNames, BesideTheSocket) {
  EXPECT_EQ(runtime_folder("/run/lbd/lbd.sock"), "/run/lbd/xdp");
  EXPECT_EQ(runtime_folder("lbd.sock"), "xdp");
}

TEST(RuntimeNames, EveryInterfaceNameHasAPinOfItsOwn) {
  for (const char* name : {"eth0", "eth0.100", "a%2Eb", "a%b.c", "x-new", "%"}) {
    const std::string pin = link_pin(name);
    EXPECT_EQ(pin.find('.'), std::string::npos) << pin;
    EXPECT_EQ(ifname_of_pin(pin), name);
  }
  EXPECT_NE(link_pin("a.b"), link_pin("a%2Eb"));
  EXPECT_EQ(ifname_of_pin("config"), "");
}

TEST_F(RuntimeTest, PinsOutliveTheProcess) {
  live_and_be_killed([this] {
    const Runtime runtime = open();
    EXPECT_OK(runtime.pin(program().get(), "config"));
    EXPECT_OK(runtime.make_folder("flows"));
    EXPECT_OK(runtime.pin(program().get(), "flows/lines"));
  });
  const Runtime runtime = open();
  EXPECT_EQ(runtime.names(), std::vector<std::string>{"config"});
  EXPECT_OK(runtime.pinned("flows/lines"));
  ASSERT_OK(runtime.rename_folder("flows", "former"));
  EXPECT_ERROR(runtime.pinned("flows/lines"), kNotFound, "flows/lines");
  EXPECT_OK(runtime.pinned("former/lines"));
  EXPECT_OK(runtime.remove_folder("former"));
  EXPECT_OK(runtime.remove_folder("former"));
  EXPECT_ERROR(runtime.pinned("former/lines"), kNotFound, "former/lines");
}

TEST_F(RuntimeTest, APinIsReplacedInOneStepAndGoesOnce) {
  const Runtime runtime = open();
  const Fd first = program(), second = program();
  ASSERT_OK(runtime.pin(first.get(), "config"));
  ASSERT_OK(runtime.pin(second.get(), "config"));
  EXPECT_EQ(id_of(*runtime.pinned("config")), id_of(second));
  EXPECT_OK(runtime.unpin("config"));
  EXPECT_OK(runtime.unpin("config"));
  EXPECT_TRUE(runtime.names().empty());
}

TEST_F(RuntimeTest, WhatWasHalfPinnedIsRemoved) {
  {
    const Runtime runtime = open();
    ASSERT_EQ(bpf_obj_pin(program().get(), (folder() + "/config%new").c_str()), 0) << strerror(errno);
  }
  EXPECT_TRUE(open().names().empty());
}

TEST_F(RuntimeTest, OneLbdAtATime) {
  EXPECT_ERROR(Runtime::find(folder()), kNotFound, folder());
  auto first = std::make_unique<Runtime>(open());
  auto other = Runtime::find(folder());
  ASSERT_OK(other);
  EXPECT_TRUE(other->is_in_use().value());
  EXPECT_ERROR(Runtime::open(folder(), log()), kUnavailable, "another lbd has " + folder());
  EXPECT_ERROR(other->claim(), kUnavailable, "stop it first");
  first.reset();
  EXPECT_FALSE(other->is_in_use().value());
  EXPECT_OK(other->claim());
}

TEST_F(RuntimeTest, AMountThatIsThereIsUsed) {
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  ASSERT_EQ(mount("bpf", folder().c_str(), "bpf", 0, "mode=0700"), 0) << strerror(errno);
  const Runtime runtime = open();
  ASSERT_OK(runtime.pin(program().get(), "config"));
  EXPECT_EQ(umount(folder().c_str()), 0);
  EXPECT_FALSE(std::filesystem::exists(folder() + "/config")) << "a second mount lies on the first";
  EXPECT_TRUE(lines_.empty());
}

TEST_F(RuntimeTest, ItSaysThatPinsEndWithItsMountNamespace) {
  (void)open();
  EXPECT_TRUE(logged("mount -t bpf bpf " + folder()));
}

TEST_F(RuntimeTest, AFolderOfSomebodyElseIsRefused) {
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  ASSERT_EQ(chown(folder().c_str(), 65534, 65534), 0);
  EXPECT_ERROR(Runtime::open(folder(), log()), kPermission, "is there already and is no folder that only its owner");
  ASSERT_EQ(rmdir(folder().c_str()), 0);
  ASSERT_EQ(symlink("/tmp", folder().c_str()), 0);
  EXPECT_ERROR(Runtime::open(folder(), log()), kPermission, "remove it");
}

}  // namespace
}  // namespace lb::xdp
