// Programs on interfaces: a veth pair of the test's own.
#include "xdp/attachment.h"

#include <net/if.h>

#include "tests/unit/xdp/life.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

using model::XdpMode;

class AttachmentTest : public Life {
 protected:
  void SetUp() override {
    Life::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_TRUE(shell("ip link add att0 type veth peer name att1 && ip link set att0 up && ip link set att1 up"));
  }
  static uint32_t attached(const char* ifname = "att0") {
    uint32_t id = 0;
    (void)bpf_xdp_query_id(static_cast<int>(if_nametoindex(ifname)), 0, &id);
    return id;
  }
  static bool is_generic() { return shell("ip link show att0 | grep -q xdpgeneric"); }
  net::Result<Attachment> attach(const Runtime& runtime, const Fd& program_fd, XdpMode mode = XdpMode::kNative) {
    return Attachment::attach(runtime, "att0", program_fd.get(), mode, log());
  }
};

TEST_F(AttachmentTest, StaysWhenLbdIsKilledAndIsReplacedInOneStep) {
  live_and_be_killed([this] { EXPECT_OK(attach(open(), program())); });
  const uint32_t before = attached();
  ASSERT_NE(before, 0u);
  const Runtime runtime = open();
  const Fd next = program(XDP_DROP);
  const auto link_before = runtime.pinned(link_pin("att0"));
  ASSERT_OK(link_before);
  const auto attachment = attach(runtime, next);
  ASSERT_OK(attachment);
  EXPECT_TRUE(attachment->adopted());
  EXPECT_EQ(attached(), id_of(next));
  EXPECT_EQ(link_info(link_before->get())->program, id_of(next));  // the same link, never off the interface
  EXPECT_TRUE(lines_.empty());
  const Fd third = program();
  EXPECT_OK(attachment->replace(third.get()));
  EXPECT_EQ(attached(), id_of(third));
}

TEST_F(AttachmentTest, DetachedIsOffAtOnceAndUnpinned) {
  const Runtime runtime = open();
  auto attachment = attach(runtime, program());
  ASSERT_OK(attachment);
  EXPECT_FALSE(attachment->adopted());
  EXPECT_TRUE(attachment->is_attached());
  const auto another = runtime.pinned(link_pin("att0"));  // somebody looks at it
  ASSERT_OK(another);
  EXPECT_OK(attachment->detach());
  EXPECT_EQ(attached(), 0u);
  EXPECT_TRUE(runtime.names().empty());
}

TEST_F(AttachmentTest, AnotherModeIsAnotherAttachment) {
  live_and_be_killed([this] { EXPECT_OK(attach(open(), program())); });
  EXPECT_FALSE(is_generic());
  const Runtime runtime = open();
  const Fd next = program();
  const auto attachment = attach(runtime, next, XdpMode::kGeneric);
  ASSERT_OK(attachment);
  EXPECT_FALSE(attachment->adopted());
  EXPECT_EQ(attachment->mode(), XdpMode::kGeneric);
  EXPECT_TRUE(is_generic());
  EXPECT_EQ(attached(), id_of(next));
  EXPECT_TRUE(logged("attached in generic mode"));
  EXPECT_OK(runtime.pinned(link_pin("att0")));
}

TEST_F(AttachmentTest, WhereTheOtherModeCannotBeHadTheFormerOneStays) {
  // Native mode on a veth refuses a peer with a large MTU.
  live_and_be_killed([this] { EXPECT_OK(attach(open(), program(), XdpMode::kGeneric)); });
  const uint32_t before = attached();
  ASSERT_TRUE(shell("ip link set att1 mtu 9000 && ip link set att0 mtu 9000"));
  const Runtime runtime = open();
  EXPECT_ERROR(attach(runtime, program()), kUnsupported, "mode: generic works with every driver");
  EXPECT_EQ(attached(), before);
  EXPECT_TRUE(is_generic());
  EXPECT_OK(runtime.pinned(link_pin("att0")));
}

TEST_F(AttachmentTest, AForeignProgramIsRefusedAndLeftAlone) {
  const Runtime runtime = open();
  const Fd foreign = program();
  const int ifindex = static_cast<int>(if_nametoindex("att0"));
  for (const uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    ASSERT_EQ(bpf_xdp_attach(ifindex, foreign.get(), mode, nullptr), 0);
    EXPECT_ERROR(attach(runtime, program()), kUnavailable,
                 "att0 is busy: another XDP program is attached (lbd_balance");
    EXPECT_EQ(attached(), id_of(foreign));
    EXPECT_TRUE(runtime.names().empty());
    ASSERT_EQ(bpf_xdp_detach(ifindex, mode, nullptr), 0);
  }
  EXPECT_OK(attach(runtime, program()));
}

TEST_F(AttachmentTest, AnInterfaceThatIsMadeAnewGetsALinkOfItsOwn) {
  live_and_be_killed([this] { EXPECT_OK(attach(open(), program())); });
  ASSERT_TRUE(shell("ip link del att0 && ip link add att0 type veth peer name att1"));
  const Runtime runtime = open();
  const auto attachment = attach(runtime, program());
  ASSERT_OK(attachment);
  EXPECT_FALSE(attachment->adopted());
  EXPECT_TRUE(attachment->is_attached());
  EXPECT_TRUE(lines_.empty());
  ASSERT_TRUE(shell("ip link del att0"));
  EXPECT_FALSE(attachment->is_attached());
  EXPECT_ERROR(attachment->replace(program().get()), kUnavailable, "att0: the interface is gone");
  EXPECT_ERROR(attach(runtime, program()), kNotFound, "att0");
}

TEST_F(AttachmentTest, ARenamedInterfaceLeavesItsNameToAnother) {
  live_and_be_killed([this] { EXPECT_OK(attach(open(), program())); });
  ASSERT_TRUE(
      shell("ip link set att0 down && ip link set att0 name old0 && ip link set old0 up && "
            "ip link add att0 type veth peer name att2"));
  const Runtime runtime = open();
  ASSERT_OK(attach(runtime, program()));
  EXPECT_EQ(attached("old0"), 0u);
  EXPECT_NE(attached("att0"), 0u);
}

TEST_F(AttachmentTest, InterfacesThatAreNotConfiguredAnyMoreAreFreed) {
  ASSERT_TRUE(shell("ip link add att0.7 type veth peer name att3"));  // a name as VLAN interfaces have
  live_and_be_killed([this] {
    const Runtime runtime = open();
    EXPECT_OK(attach(runtime, program()));
    EXPECT_OK(Attachment::attach(runtime, "att0.7", program().get(), XdpMode::kNative, log()));
    EXPECT_OK(Attachment::attach(runtime, "att1", program().get(), XdpMode::kNative, log()));
  });
  const Runtime runtime = open();
  const std::vector<std::string> keep = {"att0"};
  ASSERT_OK(detach_others(runtime, keep, log()));
  EXPECT_NE(attached("att0"), 0u);
  EXPECT_EQ(attached("att0.7"), 0u);
  EXPECT_EQ(attached("att1"), 0u);
  EXPECT_EQ(runtime.names(), std::vector<std::string>{link_pin("att0")});
  EXPECT_TRUE(logged("att0.7: the program of the lbd before is detached"));
  ASSERT_TRUE(shell("ip link del att0"));
  ASSERT_OK(detach_others(runtime, {}, log()));
  EXPECT_TRUE(runtime.names().empty());
}

TEST_F(AttachmentTest, ADeadOneThatPinnedNothingLeavesNothing) {
  live_and_be_killed([this] {
    const Runtime runtime = open();
    EXPECT_OK(attach(runtime, program()));
    EXPECT_OK(runtime.unpin(link_pin("att0")));
  });
  // The kernel lets go of a pin with some delay.
  for (int tries = 0; tries < 1000 && attached() != 0; tries++) usleep(10'000);
  EXPECT_EQ(attached(), 0u);
}

}  // namespace
}  // namespace lb::xdp
