// The flow tables' memory from lbd to lbd: adopted, kept as the former one, removed.
#include "xdp/flow_maps.h"

#include "dataplane/flows/flow_clock.h"
#include "tests/unit/xdp/life.h"

namespace lb::xdp {
namespace {

constexpr FlowMapOptions kUsual = {.key = {1, 2}, .flows = 4096, .workers = 3, .orphan_after_ms = 60'000};

class FlowMapsTest : public Life {
 protected:
  std::unique_ptr<FlowMaps> maps(const Runtime& runtime, const FlowMapOptions& options = kUsual) {
    auto opened = FlowMaps::open(runtime, options, log());
    EXPECT_OK(opened);
    return opened ? std::move(*opened) : nullptr;
  }
  // One established flow in worker w's table, active now.
  static void put(const FlowMaps& maps, uint32_t w, uint16_t tag) {
    const stages::FlowTable& t = maps.current().tables[w];
    t.lines[7].tag[3] = tag;
    t.lines[7].backend[3] = 9;
    t.lines[7].state[3] = lb_flow_state(LB_FLOW_ESTABLISHED, flows::flow_clock_ms());
    t.cold[7 * LB_FLOW_ENTRIES + 3].hash = tag;
  }
  static bool has(const stages::FlowTable& t, uint16_t tag) {
    return t.lines[7].tag[3] == tag && lb_flow_is_live(t.lines[7].state[3], flows::flow_clock_ms()) != 0 &&
           t.cold[7 * LB_FLOW_ENTRIES + 3].hash == tag;
  }
  // A life of an lbd with one flow in each table, whose number of a backend is 77.
  void live(const FlowMapOptions& options = kUsual) {
    live_and_be_killed([&] {
      const Runtime runtime = open();
      const auto made = maps(runtime, options);
      for (uint32_t w = 0; w < options.workers; w++) put(*made, w, static_cast<uint16_t>(1000 + w));
      made->backend_ids()[9] = 77;
    });
  }
};

TEST_F(FlowMapsTest, TheSameShapeIsAdopted) {
  live();
  const Runtime runtime = open();
  const auto after = maps(runtime);
  EXPECT_TRUE(after->adopted());
  EXPECT_EQ(after->former(), nullptr);
  for (uint32_t w = 0; w < 3; w++) EXPECT_TRUE(has(after->current().tables[w], static_cast<uint16_t>(1000 + w))) << w;
  EXPECT_EQ(after->backend_ids()[9], 77u);
  EXPECT_EQ(after->backend_ids().size(), LB_MAX_BACKENDS + 1u);
  EXPECT_EQ(after->to_reuse().size(), 3u);
  EXPECT_TRUE(lines_.empty());
}

TEST_F(FlowMapsTest, ProgramsTakeThem) {
  const Runtime runtime = open();
  const auto made = maps(runtime);
  const auto all = Maps::create({.workers = 3}, made->to_reuse());
  ASSERT_OK(all);
  put(*made, 1, 4711);
  EXPECT_EQ(all->flows()[made->lines() + 7].tag[3], 4711);
  EXPECT_EQ(all->flow_records()[(made->lines() + 7) * LB_FLOW_ENTRIES + 3].hash, 4711u);
  EXPECT_EQ(all->flows().size(), 3 * made->lines());
}

TEST_F(FlowMapsTest, ProgramsTakeTheFormerOnesToo) {
  live();
  const Runtime runtime = open();
  const auto made = maps(runtime, {.key = {1, 2}, .flows = 4096, .workers = 5, .orphan_after_ms = 1});
  const auto all = Maps::create({.workers = 5}, made->to_reuse());
  ASSERT_OK(all);
  EXPECT_EQ(all->flows().size(), 5 * made->lines());
  // Both were made as lb_flows.
  for (const NamedFd& map : all->all()) {
    if (map.name != "lb_former_flows") continue;
    const auto memory = MapMemory::map(map.fd);
    ASSERT_OK(memory);
    ASSERT_EQ(memory->size(), 3 * made->former_lines() * sizeof(lb_flow_line));
    EXPECT_EQ(static_cast<const lb_flow_line*>(memory->data())[made->former_lines() + 7].tag[3], 1001);
    return;
  }
  FAIL() << "no lb_former_flows";
}

TEST_F(FlowMapsTest, AnotherShapeIsReadUntilItIsEmpty) {
  for (const FlowMapOptions other :
       {FlowMapOptions{.key = {1, 2}, .flows = 4096, .workers = 5, .orphan_after_ms = 1},
        FlowMapOptions{.key = {1, 2}, .flows = 9000, .workers = 3, .orphan_after_ms = 1}}) {
    live();
    live_and_be_killed([&] {
      const Runtime runtime = open();
      const auto after = maps(runtime, other);
      EXPECT_FALSE(after->adopted());
      ASSERT_NE(after->former(), nullptr);
      EXPECT_EQ(after->former_workers(), 3u);
      EXPECT_EQ(after->to_reuse().size(), 4u);
    });
    const Runtime runtime = open();
    const auto after = maps(runtime, other);  // both are found again
    EXPECT_TRUE(after->adopted());
    ASSERT_NE(after->former(), nullptr);
    for (uint32_t w = 0; w < 3; w++) EXPECT_TRUE(has(after->former()->tables[w], static_cast<uint16_t>(1000 + w)));
    EXPECT_TRUE(after->former()->tables[0].former);
    EXPECT_EQ(after->backend_ids()[9], 77u);
    EXPECT_FALSE(has(after->current().tables[0], 1000));
    after->retire_former();
    EXPECT_FALSE(after->former()->tables[0].is_in_use());
    EXPECT_EQ(maps(runtime, other)->former(), nullptr);
    ASSERT_OK(runtime.remove_folder("flows"));
  }
}

TEST_F(FlowMapsTest, ThereIsOneFormerSet) {
  live();
  live({.key = {1, 2}, .flows = 4096, .workers = 4, .orphan_after_ms = 1});
  const Runtime runtime = open();
  const auto after = maps(runtime, {.key = {1, 2}, .flows = 4096, .workers = 5, .orphan_after_ms = 1});
  ASSERT_NE(after->former(), nullptr);
  EXPECT_EQ(after->former_workers(), 4u);
  EXPECT_TRUE(logged("only one former set is read"));
}

TEST_F(FlowMapsTest, AnEmptyFormerSetGoesAtOnce) {
  live_and_be_killed([this] { (void)maps(open()); });
  const Runtime runtime = open();
  const auto after = maps(runtime, {.key = {1, 2}, .flows = 4096, .workers = 4, .orphan_after_ms = 1});
  EXPECT_EQ(after->former(), nullptr);
  EXPECT_FALSE(std::filesystem::exists(folder() + "/former"));
}

TEST_F(FlowMapsTest, WhatCannotBeUsedIsRemovedWithASentence) {
  const auto spoil = [this](auto how) {
    live();
    live_and_be_killed([&] {
      const Runtime runtime = open();
      how(*maps(runtime), runtime);
    });
  };
  const auto put_another = [](const FlowMaps& m, const Runtime& runtime) {  // of the same shape
    bpf_map_create_opts opts{};
    opts.sz = sizeof opts;
    opts.map_flags = BPF_F_MMAPABLE;
    const Fd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_flows", 4, 64, 3 * m.lines(), &opts));
    EXPECT_OK(runtime.pin(fd.get(), "flows/lines"));
  };
  const std::vector<std::pair<const char*, std::function<void(FlowMaps&, const Runtime&)>>> cases = {
      {"its layout is 99", [](FlowMaps& m, const Runtime&) { m.current().header().layout = 99; }},
      {"it is no flow table of lbd", [](FlowMaps& m, const Runtime&) { m.current().header().magic++; }},
      {"another hash key", [](FlowMaps& m, const Runtime&) { m.current().header().key_check++; }},
      {"do not belong together", [&](FlowMaps& m, const Runtime& r) { put_another(m, r); }},
      {"do not belong together", [](FlowMaps& m, const Runtime&) { m.current().header().lines = 5; }},
      {"records is not there", [](FlowMaps&, const Runtime& r) { EXPECT_OK(r.unpin("flows/records")); }},
      {"log is not there", [](FlowMaps&, const Runtime& r) { EXPECT_OK(r.unpin("flows/log")); }},
      {"by the numbers of another lbd", [](FlowMaps&, const Runtime& r) { EXPECT_OK(r.unpin("backend_ids")); }},
  };
  for (const auto& [words, how] : cases) {
    lines_.clear();
    spoil(how);
    const Runtime runtime = open();
    const auto after = maps(runtime);
    EXPECT_FALSE(after->adopted()) << words;
    EXPECT_FALSE(has(after->current().tables[0], 1000)) << words;
    EXPECT_TRUE(logged(words)) << words << ", but: " << (lines_.empty() ? "" : lines_[0]);
    EXPECT_TRUE(logged("they are removed, their flows go where the hash sends them"));
  }
}

TEST_F(FlowMapsTest, AnotherKeyBeginsAnew) {
  live();
  const Runtime runtime = open();
  FlowMapOptions other = kUsual;
  other.key.k0 = 3;
  EXPECT_FALSE(maps(runtime, other)->adopted());
  EXPECT_TRUE(logged("it was made with another hash key"));
}

TEST_F(FlowMapsTest, WhatWasHalfMadeIsRemoved) {
  live();
  {
    const Runtime runtime = open();
    ASSERT_OK(runtime.make_folder("flows%new"));
    ASSERT_OK(runtime.pin(program().get(), "flows%new/lines"));
  }
  const Runtime runtime = open();
  EXPECT_TRUE(maps(runtime)->adopted());
  EXPECT_FALSE(std::filesystem::exists(folder() + "/flows%new"));
}

TEST_F(FlowMapsTest, WhoTracksNothingRemovesThem) {
  live();
  const Runtime runtime = open();
  EXPECT_OK(remove_flow_maps(runtime, log()));
  EXPECT_TRUE(logged("daemon.flows is 0"));
  EXPECT_FALSE(std::filesystem::exists(folder() + "/flows"));
  EXPECT_TRUE(runtime.names().empty());
  lines_.clear();
  EXPECT_OK(remove_flow_maps(runtime, log()));
  EXPECT_TRUE(lines_.empty());
}

TEST_F(FlowMapsTest, NoMemoryIsASentenceWithTheSize) {
  const Runtime runtime = open();
  EXPECT_ERROR(FlowMaps::open(runtime, {.key = {1, 2}, .flows = 0xffffffff, .workers = 2, .orphan_after_ms = 1}, log()),
               kUnavailable, "MB of the kernel's memory, which are not to be had: lower daemon.flows");
  EXPECT_FALSE(std::filesystem::exists(folder() + "/flows"));
}

}  // namespace
}  // namespace lb::xdp
