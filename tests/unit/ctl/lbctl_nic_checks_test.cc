// What keeps a NIC where it is, with the words that mend it.
#include "ctl/nic_checks.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <fstream>

#include "ctl/nic_host.h"
#include "tests/unit/ctl/fake_nic_host.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"
#include "tests/unit/net/fake_sysfs.h"

namespace lb::ctl {
namespace {

struct Case {
  const char* name;
  std::function<void(FakeHost&)> make;
  std::vector<const char*> words;  // all in the sentence
};

net::Status check(FakeHost& host, const std::string& port = "wan", const Forced& forced = {}) {
  const auto nic = find_nic(host, FakeHost::kPci);
  if (!nic) return nic.error();
  return check_bind(host, *nic, port, forced);
}

TEST(NicChecks, ANicThatIsFreeMayBeMoved) {
  FakeHost host;
  const auto checked = check(host);
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_EQ(host.steps(), 0u);
}

TEST(NicChecks, RefusalsNameTheThingAndWhatMendsIt) {
  const std::vector<Case> kCases = {
      {"no root", [](FakeHost& h) { h.root = false; }, {"needs root", "sudo"}},
      {"no group",
       [](FakeHost& h) { h.nic().iommu_group.reset(); },
       {"0000:3b:00.0 is in no IOMMU group", "intel_iommu=on iommu=pt", "update-grub"}},
      {"no group though asked for",
       [](FakeHost& h) { h.nic().iommu_group.reset(), h.command_line = "quiet intel_iommu=on"; },
       {"was started with intel_iommu=on", "firmware"}},
      {"group shared",
       [](FakeHost& h) {
         net::PciDevice other = h.nic();
         other.address = "0000:3b:00.1";
         other.class_code = 0x010802;
         other.driver = "nvme";
         other.interfaces = {};
         h.all_devices()[other.address] = other;
         h.nic().group_others = {other.address};
       },
       {"shares IOMMU group 31 with 0000:3b:00.1", "driver nvme", "another slot"}},
      {"vfio not loaded", [](FakeHost& h) { h.vfio_state = NicHost::Vfio::kLoadable; }, {"modprobe vfio-pci"}},
      {"vfio not there", [](FakeHost& h) { h.vfio_state = NicHost::Vfio::kAbsent; }, {"linux-image-amd64"}},
      {"no TAP", [](FakeHost& h) { h.tun = false; }, {"modprobe tun"}},
      {"two interfaces",
       [](FakeHost& h) {
         h.nic().interfaces = {"eth0", "eth1"};
       },
       {"eth0, eth1"}},
      {"no interface here", [](FakeHost& h) { h.nic().interfaces.clear(); }, {"on the driver i40e", "namespace"}},
      {"NVIDIA's without mlx5_core",
       [](FakeHost& h) { h.nic().vendor = 0x15b3, h.nic().driver = "mlx4_core"; },
       {"mlx5_core and never by vfio-pci", "on the driver mlx4_core", "device: eth0"}},
      {"virtual functions",
       [](FakeHost& h) { h.functions = 8; },
       {"8 SR-IOV", "echo 0 >/sys/bus/pci/devices/0000:3b:00.0/sriov_numvfs"}},
      {"VLAN", [](FakeHost& h) { h.upper_names = {"eth0.10"}; }, {"carries eth0.10", "ip link delete eth0.10"}},
      {"mixed route",
       [](FakeHost& h) { h.interfaces().at("eth0").mixed = {"10.0.0.0/8 nexthop"}; },
       {"10.0.0.0/8 nexthop", "next hop by eth0"}},
      {"twin there", [](FakeHost& h) { h.interfaces()[FakeHost::kTwin] = {}; }, {"lbd-wan already", "--name"}},
      {"session",
       [](FakeHost& h) {
         h.ssh = {"198.51.100.7", "eth0", ""};
       },
       {"this SSH session (from 198.51.100.7)", "--force-session", "--try 120s"}},
      {"default route",
       [](FakeHost& h) { h.interfaces().at("eth0").default_route = "default via 203.0.113.1"; },
       {"default via 203.0.113.1", "--force-default-route"}},
      {"no NIC", [](FakeHost& h) { h.nic().class_code = 0x010802; }, {"no network card", "010802"}},
  };
  for (const Case& c : kCases) {
    FakeHost host;
    c.make(host);
    const auto checked = check(host);
    ASSERT_FALSE(checked) << c.name;
    for (const char* word : c.words)
      EXPECT_NE(checked.error().message.find(word), std::string::npos)
          << c.name << ": no \"" << word << "\" in: " << checked.error().message;
    EXPECT_EQ(host.steps(), 0u) << c.name;
  }
}

TEST(NicChecks, NamesThatMakeNoInterface) {
  FakeHost host;
  for (const auto& [name, word] : {std::pair("enp59s0f0np0", "at most 11"), {"Wan", "lower case"}, {"", "--name"}}) {
    const auto checked = check(host, name);
    ASSERT_FALSE(checked) << name;
    EXPECT_NE(checked.error().message.find(word), std::string::npos) << checked.error().message;
  }
  EXPECT_TRUE(check(host, "enp59s0f0np"));
}

TEST(NicChecks, EachForceCarriesItsOwn) {
  FakeHost host;
  host.ssh = {"198.51.100.7", "eth0", ""};
  host.interfaces().at("eth0").default_route = "default via 203.0.113.1";
  EXPECT_FALSE(check(host, "wan", {.session = true}));
  EXPECT_FALSE(check(host, "wan", {.default_route = true}));
  EXPECT_TRUE(check(host, "wan", {.session = true, .default_route = true}));
  host.ssh->interface = "eth1";
  EXPECT_TRUE(check(host, "wan", {.default_route = true})) << "the session goes another way";
  host.ssh->local_interface = "eth0";
  EXPECT_FALSE(check(host, "wan", {.default_route = true})) << "but came to its address";
}

// Not taken for "there is none".
TEST(NicChecks, WhatCannotBeReadMovesNothing) {
  FakeHost host;
  host.restless = net::Error{net::Code::kUnavailable, "interfaces changed all the time"};
  const auto found = find_nic(host, FakeHost::kPci);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, host.restless->message);
  host.restless.reset();
  const NicFacts nic = find_nic(host, FakeHost::kPci).value();
  host.restless = net::Error{net::Code::kUnavailable, "interfaces changed all the time"};
  EXPECT_EQ(check_bind(host, nic, "wan", {}).error().message, host.restless->message) << "is the twin's name free?";
  NicRecord record;
  record.pci = FakeHost::kPci;
  record.port = "wan";
  host.processes = {{4711, "lbd"}};
  EXPECT_EQ(check_unbind(host, record, {.stop = true}).error().message, host.restless->message) << "what does it cut?";
}

TEST(NicChecks, ASessionThatCannotBeToldIsNotCut) {
  struct Blind : FakeHost {
    net::Result<std::optional<SshSession>> session() override {
      return net::Error{net::Code::kUnavailable, "addresses changed all the time"};
    }
  } host;
  const auto checked = check(host);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message.find("whether eth0 carries this SSH session cannot be told: addresses changed"), 0u)
      << checked.error().message;
  EXPECT_TRUE(check(host, "wan", {.session = true}));
}

TEST(NicChecks, AGroupWhoseOthersAreFreeIsFine) {
  FakeHost host;
  net::PciDevice other = host.nic();
  other.address = "0000:3b:00.1";
  host.nic().group_others = {other.address, "0000:3b:00.7"};
  for (const char* driver : {"", "vfio-pci", "vfio-pci-of-a-vendor", "pci-stub", "pcieport"}) {
    other.driver = driver;
    host.all_devices()[other.address] = other;
    EXPECT_TRUE(check(host)) << driver;
    EXPECT_TRUE(notes_of(host, find_nic(host, "eth0").value()).empty()) << driver;
  }
}

TEST(NicChecks, CardsOfOneGroupAreMovedOneAfterTheOther) {
  FakeHost host;
  net::PciDevice other = host.nic();
  other.address = "0000:3b:00.1";
  other.interfaces = {"eth1"};
  host.nic().group_others = {other.address};
  host.all_devices()[other.address] = other;
  const auto checked = check(host);
  EXPECT_TRUE(checked) << checked.error().message;
  const auto notes = notes_of(host, find_nic(host, "eth0").value());
  ASSERT_EQ(notes.size(), 1u);
  for (const char* word : {"driver i40e (eth1)", "lbctl port bind 0000:3b:00.1"})
    EXPECT_NE(notes[0].find(word), std::string::npos) << notes[0];
}

TEST(NicChecks, NicsAreFoundByAddressAndByInterface) {
  FakeHost host;
  EXPECT_EQ(find_nic(host, "eth0").value().device.address, FakeHost::kPci);
  EXPECT_EQ(find_nic(host, "3B:00.0").value().interface->name, "eth0");
  EXPECT_EQ(find_nic(host, "eth9").error().code, net::Code::kNotFound);
  EXPECT_EQ(find_nic(host, "0000:3b:00.5").error().code, net::Code::kNotFound);
  host.interfaces()["lo"].name = "lo";
  EXPECT_NE(find_nic(host, "lo").error().message.find("no PCI device behind it"), std::string::npos);
}

TEST(NicChecks, ANicInUseIsNotTakenBackUnlessItsUserMayBeStopped) {
  FakeHost host;
  NicRecord record;
  record.pci = FakeHost::kPci;
  record.port = "wan";
  EXPECT_TRUE(check_unbind(host, record, {}));
  host.processes = {{4711, "lbd"}};
  const auto checked = check_unbind(host, record, {});
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("in use by lbd (pid 4711)"), std::string::npos) << checked.error().message;
  EXPECT_NE(checked.error().message.find("--force-stop"), std::string::npos) << checked.error().message;
  EXPECT_TRUE(check_unbind(host, record, {.stop = true}));
  host.interfaces()[FakeHost::kTwin].name = FakeHost::kTwin;
  host.ssh = {"198.51.100.7", FakeHost::kTwin, ""};
  EXPECT_FALSE(check_unbind(host, record, {.stop = true})) << "stopping it cuts the session";
  EXPECT_TRUE(check_unbind(host, record, {.session = true, .stop = true}));
}

// The machine itself, with other folders for sysfs and proc.
class LinuxHostTest : public testing::Test {
 protected:
  LinuxHostTest() { sysfs_.add_device(kPci, "0x8086", "0x1572", "0x020000"); }
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = dir_.file(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static constexpr const char* kPci = "0000:3b:00.0";
  TempDir dir_;
  tests::FakeSysfs sysfs_;
  LinuxHost host_{
      {.sysfs = sysfs_.root(), .proc = dir_.file("proc"), .dev = dir_.file("dev"), .modules = dir_.file("modules")}};
};

TEST_F(LinuxHostTest, WritesWhatSysfsWants) {
  sysfs_.bind(kPci, "i40e");
  const std::string bus = sysfs_.root() + "/bus/pci";
  const std::string device = bus + "/devices/" + kPci;
  for (const std::string& path :
       {device + "/driver_override", bus + "/drivers/i40e/unbind", bus + "/drivers/i40e/bind"})
    std::ofstream(path).flush();
  ASSERT_TRUE(host_.set_override(kPci, "vfio-pci"));
  EXPECT_EQ(read(device + "/driver_override"), "vfio-pci");
  const auto unbound = host_.unbind(kPci);
  ASSERT_TRUE(unbound) << unbound.error().message;
  EXPECT_EQ(read(bus + "/drivers/i40e/unbind"), kPci);
  ASSERT_TRUE(host_.bind(kPci, "i40e"));
  EXPECT_EQ(read(bus + "/drivers/i40e/bind"), kPci);
  const auto absent = host_.bind(kPci, "ixgbe");
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().message.find("modprobe ixgbe"), std::string::npos) << absent.error().message;
  const auto nothing = host_.set_override("0000:99:00.0", "x");
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("0000:99:00.0/driver_override"), std::string::npos);
}

TEST_F(LinuxHostTest, KnowsWhetherVfioCanBeHad) {
  EXPECT_EQ(host_.vfio(), NicHost::Vfio::kAbsent);
  utsname kernel{};
  ASSERT_EQ(uname(&kernel), 0);
  write(std::string("modules/") + kernel.release + "/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: a b\n");
  EXPECT_EQ(host_.vfio(), NicHost::Vfio::kLoadable);
  std::filesystem::create_directories(sysfs_.root() + "/bus/pci/drivers/vfio-pci");
  EXPECT_EQ(host_.vfio(), NicHost::Vfio::kLoaded);
}

TEST_F(LinuxHostTest, FindsTheProcessThatHasTheGroup) {
  sysfs_.set_group(kPci, 31);
  write("proc/4711/comm", "lbd\n");
  write("proc/12/comm", "other\n");
  std::filesystem::create_directories(dir_.file("proc/4711/fd"));
  std::filesystem::create_symlink(dir_.file("dev/vfio/31"), dir_.file("proc/4711/fd/9"));
  std::filesystem::create_directories(dir_.file("proc/12/fd"));
  std::filesystem::create_symlink(dir_.file("dev/vfio/3"), dir_.file("proc/12/fd/9"));
  const auto users = host_.users(host_.device(kPci).value());
  ASSERT_EQ(users.size(), 1u);
  EXPECT_EQ(users[0].pid, 4711);
  EXPECT_EQ(users[0].name, "lbd");
}

TEST_F(LinuxHostTest, FindsTheSessionOfAnAncestor) {
  const std::string self = std::to_string(getpid());
  write("proc/" + self + "/stat", self + " (lbctl) S 77 1 1");
  write("proc/" + self + "/environ", std::string("SUDO_USER=a\0PATH=/bin\0", 21));
  write("proc/77/stat", "77 (a) name) S 78 1 1");
  write("proc/77/environ", "");
  write("proc/78/stat", "78 (bash) S 1 1 1");
  EXPECT_FALSE(host_.session().value());
  write("proc/78/environ", std::string("A=b\0SSH_CONNECTION=127.0.0.1 5 127.0.0.1 22\0", 44));
  const auto session = host_.session().value();
  ASSERT_TRUE(session);
  EXPECT_EQ(session->peer, "127.0.0.1");
  EXPECT_EQ(session->interface, "lo");
  EXPECT_EQ(session->local_interface, "lo");
}

TEST(LinuxHost, StopsAProcessThatDoesNotWantToThoughNobodyAsksForIt) {
  LinuxHost host;
  const auto before = signal(SIGTERM, SIG_IGN);  // inherited: there is no moment in which the child is not deaf
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  signal(SIGTERM, before);
  const auto start = host.now();
  EXPECT_TRUE(host.stop({child, "stubborn"}, std::chrono::milliseconds(300)));
  EXPECT_GE(host.now() - start, std::chrono::milliseconds(300));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WNOHANG), child) << "it was a zombie";
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(host.stop({child, "gone"}, std::chrono::milliseconds(300)));
}

}  // namespace
}  // namespace lb::ctl
