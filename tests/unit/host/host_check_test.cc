// What is said of a machine before lbd is started on it: made-up folders for its devices and memory, and interfaces of
// a network namespace of this process.
#include "dataplane/host/host_check.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "dataplane/host/cores.h"
#include "dataplane/host/huge_pages.h"
#include "dataplane/model/xdp_words.h"
#include "tests/unit/net/fake_sysfs.h"

namespace lb::host {
namespace {

using tests::FakeSysfs;

constexpr const char* kNic = "0000:3b:00.0";

// "problem PATH: MESSAGE", "note PATH: MESSAGE"
std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> all;
  for (const Finding& f : findings)
    all.push_back(fmt::format("{} {}: {}", f.kind == Finding::Kind::kProblem ? "problem" : "note", f.path, f.message));
  return all;
}
using Texts = std::vector<std::string>;

// A machine of four cores with a NIC that vfio-pci has, an IOMMU, huge pages, TAPs.
class HostCheck : public ::testing::Test {
 protected:
  HostCheck() {
    sysfs_.add_device(kNic, "0x8086", "0x1572", "0x020000");
    sysfs_.bind(kNic, "vfio-pci");
    sysfs_.set_group(kNic, 31);
    write("devices/system/cpu/online", "0-2,5");
    write("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1024");
    write("dev/net/tun", "");
    machine_.sysfs = sysfs_.root();
    machine_.proc = sysfs_.root() + "/proc";
    machine_.dev = sysfs_.root() + "/dev";
    machine_.modules = sysfs_.root() + "/modules";
    daemon_.workers = {allowed_cores().front()};
    daemon_.ports = {{.name = "wan", .device = kNic, .mtu = {}}};
  }
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = sysfs_.root() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    FakeSysfs::write(path, text);
  }
  void give_to_kernel() {
    sysfs_.bind(kNic, "i40e");
    sysfs_.add_interface(kNic, "ens1f0");
  }
  Texts found() { return texts(check_host(daemon_, machine_)); }

  FakeSysfs sysfs_;
  Machine machine_;
  model::Daemon daemon_;
};

TEST_F(HostCheck, AMachineThatHasItAll) {
  EXPECT_EQ(found(), Texts{});
}

TEST_F(HostCheck, EveryProblemIsToldNotOnlyTheFirst) {
  std::filesystem::remove_all(sysfs_.root() + "/kernel/iommu_groups");
  std::filesystem::remove(sysfs_.root() + "/devices/pci0000:00/" + kNic + "/iommu_group");
  std::filesystem::remove_all(sysfs_.root() + "/bus/pci/drivers/vfio-pci");
  std::filesystem::remove_all(sysfs_.root() + "/dev");
  write("class/net/lbd-wan/type", "1");
  write("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3");
  give_to_kernel();
  daemon_.workers.push_back(700);
  daemon_.huge_pages = model::HugePages::kOn;
  daemon_.ports.push_back({.name = "lan", .device = "nosuch0", .mtu = {}});
  const std::string wan = "problem daemon.dpdk.ports[0].";
  const Texts all = found();
  ASSERT_EQ(all.size(), 8u) << fmt::format("{}", fmt::join(all, "\n"));
  EXPECT_EQ(all[0], "problem daemon.dpdk.workers[1]: core 700 is not on this machine; there are 0-2,5");
  EXPECT_EQ(all[1], wan +
                        "device: 0000:3b:00.0 has no IOMMU group: this machine runs without an IOMMU; turn on VT-d or "
                        "AMD-Vi in its firmware and boot with: intel_iommu=on iommu=pt (AMD: iommu=pt)");
  EXPECT_EQ(all[2], wan +
                        "device: 0000:3b:00.0 needs vfio-pci, and this kernel has no module of that name; install one "
                        "that has and boot it: apt install linux-image-amd64");
  EXPECT_EQ(all[3], wan +
                        "device: 0000:3b:00.0 is in use by the kernel (driver i40e, interface ens1f0); move it to "
                        "vfio-pci: lbctl port bind 0000:3b:00.0 (or share it with the kernel: device: ens1f0)");
  EXPECT_TRUE(all[4].starts_with(wan + "device: the kernel's side of the port needs ")) << all[4];
  EXPECT_TRUE(all[4].ends_with("/dev/net/tun, which is not there (No such file or directory); load it: modprobe tun"));
  EXPECT_EQ(all[5], wan +
                        "name: there is an interface lbd-wan that is no TAP of lbd's kind; rename it, or remove it: ip "
                        "link del lbd-wan");
  EXPECT_TRUE(all[6].starts_with("problem daemon.dpdk.ports[1].device: no such device: 'nosuch0'")) << all[6];
  EXPECT_TRUE(all[7].starts_with("problem daemon.dpdk.huge-pages: huge pages are on, but of the ")) << all[7];
  EXPECT_NE(all[7].find("6 MB are free; reserve them: sysctl -w vm.nr_hugepages="), std::string::npos) << all[7];
}

TEST_F(HostCheck, ADeviceThatIsNotThereOrNoNic) {
  sysfs_.add_device("0000:00:1f.2", "0x8086", "0x2922", "0x010601");
  daemon_.ports = {{.name = "a", .device = "0000:99:00.0", .mtu = {}}, {.name = "b", .device = "00:1f.2", .mtu = {}}};
  EXPECT_EQ(found(),
            (Texts{"problem daemon.dpdk.ports[0].device: there is no PCI device 0000:99:00.0 here; see: lspci -D",
                   "problem daemon.dpdk.ports[1].device: 0000:00:1f.2 is no network device (class 010601, "
                   "8086:2922); see: lspci -s 0000:00:1f.2"}));
}

TEST_F(HostCheck, TheModuleIsLoadedBeforeTheNicIsMoved) {
  utsname kernel = {};
  ASSERT_EQ(uname(&kernel), 0);
  write(std::string("modules/") + kernel.release + "/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: a");
  std::filesystem::remove_all(sysfs_.root() + "/bus/pci/drivers/vfio-pci");
  give_to_kernel();
  const Texts all = found();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_NE(all[0].find("which is not loaded; load it: modprobe vfio-pci"), std::string::npos) << all[0];
  EXPECT_NE(all[1].find("lbctl port bind 0000:3b:00.0"), std::string::npos) << all[1];
}

TEST_F(HostCheck, OthersOfTheGroupAreToldEachAndHarmlessOnesNot) {
  for (const auto& [address, class_code, driver] : {std::tuple{"0000:3a:00.0", "0x060400", "pcieport"},
                                                    {"0000:3b:00.1", "0x020000", "i40e"},
                                                    {"0000:3b:00.2", "0x010601", "ahci"},
                                                    {"0000:3b:00.3", "0x010601", "pci-stub"}}) {
    sysfs_.add_device(address, "0x8086", "0x1234", class_code);
    sysfs_.bind(address, driver);
    sysfs_.set_group(address, 31);
  }
  EXPECT_EQ(found(),
            (Texts{"problem daemon.dpdk.ports[0].device: 0000:3b:00.0 shares IOMMU group 31 with 0000:3b:00.1, "
                   "which the kernel uses (driver i40e); move that to vfio-pci too: lbctl port bind 0000:3b:00.1",
                   "problem daemon.dpdk.ports[0].device: 0000:3b:00.0 shares IOMMU group 31 with 0000:3b:00.2, "
                   "which the kernel uses (driver ahci); that is no network card: use another slot"}));
}

TEST_F(HostCheck, MtuAndQueuesOfANicThatTheKernelStillHas) {
  give_to_kernel();
  daemon_.ports[0].mtu = 9000;
  daemon_.workers = {0, 1, 2, 5};
  machine_.mtu_range = [](const std::string& name) {
    return name == "ens1f0" ? std::optional(MtuRange{68, 1500}) : std::nullopt;
  };
  machine_.most_queues = [](const std::string& name) { return name == "ens1f0" ? std::optional(2u) : std::nullopt; };
  Texts all = found();
  std::erase_if(all, [](const std::string& text) { return text.find("workers[") != std::string::npos; });
  ASSERT_EQ(all.size(), 3u) << fmt::format("{}", fmt::join(all, "\n"));
  EXPECT_NE(all[0].find("is in use by the kernel"), std::string::npos);
  EXPECT_EQ(all[1],
            "problem daemon.dpdk.ports[0].mtu: mtu 9000 is not possible: the device takes 68 to 1500; set the port's "
            "mtu in that range");
  EXPECT_TRUE(
      all[2].starts_with("note daemon.dpdk.ports[0].device: flows are dispatched in software: 2 receive "
                         "queue(s) for 4 workers, which is all that the NIC has; "))
      << all[2];
  daemon_.workers = {allowed_cores().front()};
  daemon_.ports[0].mtu = 1500;
  EXPECT_EQ(found().size(), 1u);
}

// A core that lbctl may not run on is there all the same, and one that is switched off is not.
TEST_F(HostCheck, CoresAreTheMachinesNotLbctls) {
  uint32_t other = 0;
  while (std::ranges::count(allowed_cores(), other) > 0) other++;
  write("devices/system/cpu/online", fmt::format("0-{}", other));
  daemon_.workers = {other};
  EXPECT_EQ(found(), Texts{fmt::format("note daemon.dpdk.workers[0]: {}; lbd is refused it too unless it is started "
                                       "elsewhere",
                                       core_not_allowed(other, allowed_cores()))});
  write("devices/system/cpu/online", "900");
  EXPECT_EQ(found(),
            Texts{fmt::format("problem daemon.dpdk.workers[0]: core {} is not on this machine; there are 900", other)});
}

TEST_F(HostCheck, HugePagesAsTheyAreAskedFor) {
  write("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0");
  Texts all = found();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(
      all[0].starts_with("note daemon.dpdk.huge-pages: NICs are driven without huge pages, which is slower; "
                         "reserve them: sysctl -w vm.nr_hugepages="))
      << all[0];
  daemon_.huge_pages = model::HugePages::kOff;
  EXPECT_EQ(found(), Texts{});
  daemon_.huge_pages = model::HugePages::kOn;
  EXPECT_EQ(found().size(), 1u);
  write("kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1");
  EXPECT_EQ(found(), Texts{});
}

// What a running lbd has, the next one gets.
TEST_F(HostCheck, HugePagesOfARunningLbdCountAsThere) {
  daemon_.huge_pages = model::HugePages::kOn;
  write("kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0");
  write("proc/70/status", "Name:\tpostgres\nHugetlbPages:\t 4194304 kB");
  write("proc/self/status", "Name:\tlbd\nHugetlbPages:\t 4194304 kB");
  EXPECT_EQ(found().size(), 1u);
  write("proc/71/status", "Name:\tlbd\nVmRSS:\t 100 kB\nHugetlbPages:\t 1048576 kB");
  EXPECT_EQ(huge_mb_of_lbd(machine_.proc), 1024u);
  EXPECT_EQ(found(), Texts{});
}

TEST_F(HostCheck, ATwinThatIsThereIsAdopted) {
  write("class/net/lbd-wan/tun_flags", "0x1002");
  EXPECT_EQ(found(), Texts{});
}

// Interfaces of the kernel: p0 and p1, joined; p0 is up, with an MTU of 1500.
class HostCheckInterface : public HostCheck {
 protected:
  static void SetUpTestSuite() {
    if (geteuid() != 0) return;
    made_ = unshare(CLONE_NEWNET) == 0 && run("ip link add p0 numrxqueues 2 numtxqueues 2 type veth peer name p1") &&
            run("ip link set p0 up");
  }
  void SetUp() override {
    if (!made_) GTEST_SKIP() << "needs root: a network namespace and veth";
    daemon_.ports = {{.name = "wan", .device = "p0", .mtu = {}}};
  }
  static bool run(const std::string& command) { return std::system((command + " 2>/dev/null").c_str()) == 0; }
  static inline bool made_ = false;
};

TEST_F(HostCheckInterface, IsUpAndHasTheMtu) {
  machine_.mtu_range = [](const std::string&) { return MtuRange{68, 4000}; };
  EXPECT_EQ(found(), Texts{});
  daemon_.ports = {{.name = "wan", .device = "p0", .mtu = 2000},
                   {.name = "lan", .device = "p1", .mtu = 9000},
                   {.name = "dmz", .device = "p2", .mtu = {}}};
  const Texts all = found();
  ASSERT_EQ(all.size(), 4u) << fmt::format("{}", fmt::join(all, "\n"));
  EXPECT_EQ(all[0],
            "problem daemon.dpdk.ports[0].mtu: mtu 2000 is larger than p0's 1500; raise it: ip link set dev p0 mtu "
            "2000");
  EXPECT_EQ(all[1], "problem daemon.dpdk.ports[1].device: p1 is down; bring it up: ip link set dev p1 up");
  EXPECT_EQ(all[2],
            "problem daemon.dpdk.ports[1].mtu: mtu 9000 is not possible: the device takes 68 to 4000; set the port's "
            "mtu in that range");
  EXPECT_TRUE(
      all[3].starts_with("problem daemon.dpdk.ports[2].device: no such device: 'p2' is no network interface here "
                         "(there are lo, "))
      << all[3];
}

TEST_F(HostCheckInterface, QueuesForTheWorkers) {
  write("devices/system/cpu/online", "0-63");
  daemon_.workers = {allowed_cores().front(), 60, 61, 62};
  const Texts all = found();
  EXPECT_EQ(std::ranges::count_if(all,
                                  [](const std::string& text) {
                                    return text.starts_with(
                                        "note daemon.dpdk.ports[0].device: flows are dispatched in software: 2 receive "
                                        "queue(s) for 4 workers, which is all that the NIC has; ");
                                  }),
            1)
      << fmt::format("{}", fmt::join(all, "\n"));
  ASSERT_TRUE(run("ethtool -L p0 rx 1 tx 1"));
  const Texts fewer = found();
  EXPECT_NE(fewer.back().find("1 receive queue(s) for 4 workers; more: ethtool -L p0 rx 2 tx 2"), std::string::npos)
      << fewer.back();
  ASSERT_TRUE(run("ethtool -L p0 rx 2 tx 2"));
}

TEST_F(HostCheckInterface, AnXdpProgramOfSomebodyElse) {
  using By = model::XdpUse::By;
  model::XdpUse use;
  std::string asked;
  machine_.xdp_use = [&](const std::string& name) {
    asked = name;
    return use;
  };
  EXPECT_EQ(found(), Texts{});
  EXPECT_EQ(asked, "p0");
  use = {By::kOther, "p0 is busy"};
  EXPECT_EQ(found(), Texts{"problem daemon.dpdk.ports[0].device: p0 is busy"});
  use = {By::kUntold, "an XDP program is attached"};
  EXPECT_EQ(found(), Texts{"note daemon.dpdk.ports[0].device: an XDP program is attached: unless it is lbd's own, lbd "
                           "is refused the interface"});
  use = {By::kLbd, ""};
  EXPECT_EQ(found(), Texts{"note daemon.dpdk.ports[0].device: p0 is a port of an lbd that runs: one lbd can have it"});
}

// Frames that AF_XDP does not take come by AF_PACKET, beside any XDP program.
TEST_F(HostCheckInterface, AnXdpProgramIsNoMatterWithLargeFrames) {
  machine_.xdp_use = [](const std::string&) { return model::XdpUse{model::XdpUse::By::kOther, "p0 is busy"}; };
  ASSERT_TRUE(run("ip link set p0 mtu 9000"));
  EXPECT_EQ(found(), Texts{});
  ASSERT_TRUE(run("ip link set p0 mtu 1500"));
}

TEST_F(HostCheckInterface, OfEngineXdp) {
  using By = model::XdpUse::By;
  daemon_.engine = "xdp";
  daemon_.ports = {};
  daemon_.workers = {model::kMaxCore};  // nobody's business here
  daemon_.interfaces = {{"p0", model::XdpMode::kNative}, {"p1", model::XdpMode::kGeneric}};
  EXPECT_EQ(found(), Texts{"problem daemon.xdp.interfaces[1].name: p1 is down; bring it up: ip link set dev p1 up"});
  daemon_.interfaces.pop_back();
  EXPECT_EQ(found(), Texts{});
  ASSERT_TRUE(run("ip link set p0 mtu 9000"));
  EXPECT_EQ(found(), Texts{"note daemon.xdp.interfaces[0].mode: whether p0 can be native shows when lbd starts: " +
                           model::native_xdp_needs(9000) + "; mode: generic works with every driver"});
  daemon_.interfaces[0].mode = model::XdpMode::kGeneric;
  EXPECT_EQ(found(), Texts{});
  ASSERT_TRUE(run("ip link set p0 mtu 1500"));
  model::XdpUse use = {By::kOther, "p0 is busy"};
  machine_.xdp_use = [&](const std::string&) { return use; };
  EXPECT_EQ(found(), Texts{"problem daemon.xdp.interfaces[0].name: p0 is busy"});
  use = {By::kLbd, ""};
  EXPECT_EQ(found(), Texts{"note daemon.xdp.interfaces[0].name: p0 has a program of lbd: one lbd can have it, the next "
                           "one takes it over"});
  machine_.why_no_xdp = [] { return std::string("Linux 5.15 is too old"); };
  daemon_.interfaces = {{"p9", model::XdpMode::kNative}};
  std::filesystem::remove(machine_.dev + "/net/tun");
  const Texts all = found();
  ASSERT_EQ(all.size(), 3u) << fmt::format("{}", fmt::join(all, "\n"));
  EXPECT_EQ(all[0], "problem daemon.engine: Linux 5.15 is too old");
  EXPECT_TRUE(all[1].starts_with("problem daemon.engine: ")) << all[1];
  EXPECT_EQ(all[2], "problem daemon.xdp.interfaces[0].name: no network interface 'p9' here");
  write("dev/net/tun", "");
}

}  // namespace
}  // namespace lb::host
