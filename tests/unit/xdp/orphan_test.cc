// What lbctl learns and ends where no lbd lives.
#include "xdp/orphan.h"

#include <net/if.h>

#include "dataplane/flows/flow_clock.h"
#include "tests/unit/xdp/life.h"
#include "xdp/attachment.h"
#include "xdp/flow_maps.h"

namespace lb::xdp {
namespace {

using model::Force;

class OrphanTest : public Life {
 protected:
  void SetUp() override {
    Life::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_TRUE(shell("ip link add orp0 type veth peer name orp1 && ip link set orp0 up && ip link set orp1 up"));
  }
  static uint32_t attached(const char* ifname) {
    uint32_t id = 0;
    (void)bpf_xdp_query_id(static_cast<int>(if_nametoindex(ifname)), 0, &id);
    return id;
  }
  // Everything that an lbd pins, its heartbeat `ago` ms old.
  void leave(uint64_t ago, uint32_t orphan_after_ms = 60'000) {
    const Runtime runtime = open();
    for (const char* ifname : {"orp0", "orp1"})
      EXPECT_OK(Attachment::attach(runtime, ifname, program().get(), model::XdpMode::kNative, log()));
    bpf_map_create_opts opts{};
    opts.sz = sizeof opts;
    const Fd config(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_config", 4, sizeof(lb_xdp_config), 1, nullptr));
    lb_xdp_config value{};
    value.pid = 4711;
    value.orphan_after_ms = orphan_after_ms;
    value.heartbeat_ms = flows::flow_clock_ms() - ago;
    value.started_ms = value.heartbeat_ms - 500;
    const uint32_t key = 0;
    EXPECT_EQ(bpf_map_update_elem(config.get(), &key, &value, BPF_ANY), 0);
    EXPECT_OK(runtime.pin(config.get(), "config"));
    EXPECT_OK(FlowMaps::open(runtime, {.key = {1, 2}, .flows = 4096, .workers = 3, .orphan_after_ms = 1}, log()));
  }
  void die(uint64_t ago, uint32_t orphan_after_ms = 60'000) {
    live_and_be_killed([&] { leave(ago, orphan_after_ms); });
  }
  model::OrphanState show() {
    auto state = orphans_->show(socket());
    EXPECT_OK(state);
    return state ? *state : model::OrphanState{};
  }
  net::Result<model::OrphanState> detach(Force force, model::Run run = model::Run::kReal) {
    return orphans_->detach(socket(), force, run);
  }

  std::unique_ptr<model::Orphans> orphans_ = orphans();
};

TEST_F(OrphanTest, WithoutAnythingThereIsNothing) {
  EXPECT_TRUE(show().is_empty());
  EXPECT_EQ(show().folder, folder());
  EXPECT_ERROR(detach(Force::kYes), kNotFound, folder());
  EXPECT_FALSE(std::filesystem::exists(folder())) << "looking makes nothing";
  (void)open();
  EXPECT_TRUE(show().is_empty());
  EXPECT_ERROR(detach(Force::kYes), kNotFound, "nothing is left of an lbd");
}

TEST_F(OrphanTest, TellsWhatForwardsAndSinceWhen) {
  die(1000);
  const model::OrphanState state = show();
  EXPECT_FALSE(state.daemon);
  EXPECT_TRUE(state.forwards);
  EXPECT_EQ(state.pid, 4711u);
  EXPECT_GE(state.heartbeat_ago_ms, 1000u);
  EXPECT_EQ(state.started_ago_ms, state.heartbeat_ago_ms + 500);
  EXPECT_EQ(state.orphan_after_ms, 60'000u);
  EXPECT_GT(state.memory, 4096u * 64);
  ASSERT_EQ(state.interfaces.size(), 2u);
  EXPECT_EQ(state.interfaces[0].name, "orp0");
  EXPECT_EQ(state.interfaces[0].ifindex, if_nametoindex("orp0"));
  EXPECT_EQ(state.interfaces[0].program, attached("orp0"));
}

TEST_F(OrphanTest, ForwardingEndsWithOrphanAfterUnlessThatIsNever) {
  die(2000, 1000);
  EXPECT_FALSE(show().forwards);
  die(2000, 0);
  EXPECT_TRUE(show().forwards);
}

TEST_F(OrphanTest, WhereWordsAreOfAnotherVersionItForwards) {
  die(2000, 1000);
  const Fd other(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_config", 4, sizeof(lb_xdp_config) + 8, 1, nullptr));
  ASSERT_OK(open().pin(other.get(), "config"));
  EXPECT_TRUE(show().forwards);
  EXPECT_EQ(show().pid, 0u);
}

TEST_F(OrphanTest, DetachEndsItAll) {
  die(1000);
  EXPECT_ERROR(detach(Force::kNo), kConflict, "the programs on orp0, orp1 still forward with all their flows");
  EXPECT_ERROR(detach(Force::kNo), kConflict, "--force");
  ASSERT_OK(detach(Force::kYes, model::Run::kDry));
  EXPECT_NE(attached("orp0"), 0u);
  const auto was = detach(Force::kYes);
  ASSERT_OK(was);
  EXPECT_EQ(was->interfaces.size(), 2u);
  EXPECT_EQ(attached("orp0"), 0u);
  EXPECT_EQ(attached("orp1"), 0u);
  EXPECT_TRUE(show().is_empty());
  for (const char* pin : {"flows", "config", "backend_ids", "link-orp0"})
    EXPECT_FALSE(std::filesystem::exists(folder() + "/" + pin)) << pin;
}

TEST_F(OrphanTest, WhatForwardsNoMoreNeedsNoForce) {
  die(2000, 1000);
  EXPECT_OK(detach(Force::kNo));
  EXPECT_TRUE(show().is_empty());
}

TEST_F(OrphanTest, AGoneInterfaceIsTold) {
  die(1000);
  ASSERT_TRUE(shell("ip link del orp0"));
  EXPECT_EQ(show().interfaces[0].ifindex, 0u);
  EXPECT_FALSE(show().forwards);
  EXPECT_OK(detach(Force::kNo));
}

TEST_F(OrphanTest, ALivingLbdIsNotTakenItsPrograms) {
  die(0);
  const Runtime runtime = open();
  EXPECT_TRUE(show().daemon);
  for (const Force force : {Force::kNo, Force::kYes})
    EXPECT_ERROR(detach(force), kConflict, "lbd (pid 4711) lives and has " + folder() + ": stop it");
  EXPECT_NE(attached("orp0"), 0u);
}

}  // namespace
}  // namespace lb::xdp
