// Which NICs DPDK may take, and what an operator reads when it may not: judged on a made-up sysfs.
#include "dataplane/host/pci_port.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include "dataplane/host/port_plan.h"
#include "dataplane/host/sizes.h"
#include "tests/unit/net/fake_sysfs.h"

namespace lb::host {
namespace {

constexpr const char* kNic = "0000:3b:00.0";

// One Intel NIC with an interface, an IOMMU group of its own, vfio-pci loaded.
class PciPort : public ::testing::Test {
 protected:
  PciPort() {
    sysfs_.add_device(kNic, "0x8086", "0x1572", "0x020000");
    sysfs_.bind(kNic, "i40e");
  }
  net::Error refusal() {
    const auto device = usable_pci_device(net::PciBus(sysfs_.root(), modules()), kNic);
    EXPECT_FALSE(device);
    return device ? net::Error{} : device.error();
  }
  std::string modules() const { return sysfs_.root() + "/modules"; }
  void add_module(const std::string& line) {
    utsname kernel = {};
    ASSERT_EQ(uname(&kernel), 0);
    const std::filesystem::path folder = std::filesystem::path(modules()) / kernel.release;
    std::filesystem::create_directories(folder);
    tests::FakeSysfs::write(folder / "modules.dep", line);
  }
  tests::FakeSysfs sysfs_;
};

TEST_F(PciPort, BoundToVfioIsTaken) {
  sysfs_.set_group(kNic, 31);
  sysfs_.bind(kNic, "vfio-pci");
  const net::PciBus bus(sysfs_.root());
  ASSERT_TRUE(usable_pci_device(bus, kNic));
  const model::Port port{.name = "wan", .device = "3B:00.0", .mtu = {}};
  const auto plans = plan_ports({&port, 1}, TwinsFor::kNics, bus);
  ASSERT_TRUE(plans) << plans.error().message;
  EXPECT_EQ(plans->front().mtu, 1500);
  EXPECT_FALSE(plans->front().interface);
  EXPECT_TRUE(plans->front().twin);
  EXPECT_EQ(pci_addresses(*plans), std::vector<std::string>{kNic});
}

TEST_F(PciPort, InUseByTheKernel) {
  sysfs_.set_group(kNic, 31);
  sysfs_.add_driver("vfio-pci");
  sysfs_.add_interface(kNic, "ens1f0");
  const model::Port port{.name = "wan", .device = kNic, .mtu = {}};
  const auto plans = plan_ports({&port, 1}, TwinsFor::kNics, net::PciBus(sysfs_.root()));
  ASSERT_FALSE(plans);
  EXPECT_EQ(plans.error().code, net::Code::kUnavailable);
  EXPECT_EQ(
      plans.error().message,
      "port wan: 0000:3b:00.0 is in use by the kernel (driver i40e, interface ens1f0); move it to vfio-pci: lbctl "
      "port bind 0000:3b:00.0 (or share it with the kernel: device: ens1f0)");
}

TEST_F(PciPort, BoundToNothing) {
  sysfs_.set_group(kNic, 31);
  sysfs_.add_driver("vfio-pci");
  std::filesystem::remove(sysfs_.root() + "/bus/pci/devices/0000:3b:00.0/driver");
  EXPECT_EQ(refusal().message, "0000:3b:00.0 is bound to no driver; bind it to vfio-pci: lbctl port bind 0000:3b:00.0");
}

TEST_F(PciPort, VfioNotLoaded) {
  sysfs_.set_group(kNic, 31);
  add_module("kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz");
  EXPECT_EQ(refusal().message,
            "0000:3b:00.0 needs the driver vfio-pci, which is not loaded; load it: modprobe vfio-pci (and then: lbctl "
            "port bind 0000:3b:00.0)");
}

// That another module needs it is no file of its own.
TEST_F(PciPort, VfioNotInThisKernel) {
  sysfs_.set_group(kNic, 31);
  add_module("kernel/drivers/vfio/pci/mlx5-vfio-pci.ko: kernel/drivers/vfio/pci/vfio-pci.ko");
  EXPECT_EQ(refusal().message,
            "0000:3b:00.0 needs vfio-pci, and this kernel has no module of that name; install one that has and boot "
            "it: apt install linux-image-amd64");
}

TEST_F(PciPort, MachineWithoutIommu) {
  sysfs_.bind(kNic, "vfio-pci");
  const net::Error e = refusal();
  EXPECT_EQ(e.code, net::Code::kUnavailable);
  EXPECT_NE(e.message.find("boot with: intel_iommu=on iommu=pt"), std::string::npos) << e.message;
}

TEST_F(PciPort, NicThatIsNotBehindTheIommu) {
  sysfs_.add_device("0000:00:02.0", "0x8086", "0x1234", "0x030000");
  sysfs_.set_group("0000:00:02.0", 1);
  EXPECT_NE(refusal().message.find("choose a slot or a virtual NIC that is behind the IOMMU"), std::string::npos);
}

TEST_F(PciPort, GroupSharedWithTheKernel) {
  sysfs_.add_device("0000:3b:00.1", "0x8086", "0x1572", "0x020000");
  for (const char* nic : {kNic, "0000:3b:00.1"}) sysfs_.set_group(nic, 31);
  sysfs_.bind(kNic, "vfio-pci");
  sysfs_.bind("0000:3b:00.1", "i40e");
  EXPECT_EQ(refusal().message,
            "0000:3b:00.0 shares IOMMU group 31 with 0000:3b:00.1, which the kernel uses (driver i40e); move that to "
            "vfio-pci too: lbctl port bind 0000:3b:00.1");
  sysfs_.bind("0000:3b:00.1", "vfio-pci");
  EXPECT_TRUE(usable_pci_device(net::PciBus(sysfs_.root()), kNic));
}

TEST_F(PciPort, GroupSharedWithWhatIsNoNic) {
  sysfs_.add_device("0000:3b:00.1", "0x8086", "0x2922", "0x010601");
  for (const char* device : {kNic, "0000:3b:00.1"}) sysfs_.set_group(device, 31);
  sysfs_.bind(kNic, "vfio-pci");
  sysfs_.bind("0000:3b:00.1", "ahci");
  EXPECT_EQ(refusal().message,
            "0000:3b:00.0 shares IOMMU group 31 with 0000:3b:00.1, which the kernel uses (driver ahci); that is no "
            "network card: use another slot");
}

// A switch without ACS: its port and the NIC are one group, and the port's driver does no DMA. Nobody uses the third.
TEST_F(PciPort, GroupWithABridgeAndAStub) {
  sysfs_.add_device("0000:3a:00.0", "0x8086", "0x3420", "0x060400");
  sysfs_.add_device("0000:3a:00.1", "0x8086", "0x0998", "0x080700");
  sysfs_.add_device("0000:3b:00.1", "0x8086", "0x2922", "0x010601");
  for (const char* device : {kNic, "0000:3a:00.0", "0000:3a:00.1", "0000:3b:00.1"}) sysfs_.set_group(device, 31);
  sysfs_.bind(kNic, "vfio-pci");
  sysfs_.bind("0000:3a:00.0", "pcieport");
  sysfs_.bind("0000:3a:00.1", "pcieport");
  sysfs_.bind("0000:3b:00.1", "pci-stub");
  const auto device = usable_pci_device(net::PciBus(sysfs_.root()), kNic);
  EXPECT_TRUE(device) << device.error().message;
  sysfs_.bind("0000:3a:00.0", "shpchp");
  EXPECT_NE(refusal().message.find("shares IOMMU group 31 with 0000:3a:00.0"), std::string::npos);
}

TEST_F(PciPort, NoNic) {
  const auto path = sysfs_.add_device("0000:00:1f.2", "0x8086", "0x2922", "0x010601");
  const auto device = usable_pci_device(net::PciBus(sysfs_.root()), "0000:00:1f.2");
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, net::Code::kInvalid);
  EXPECT_EQ(device.error().message,
            "0000:00:1f.2 is no network device (class 010601, 8086:2922); see: lspci -s 0000:00:1f.2");
}

// NVIDIA's, whose interface is a real one of this machine, since MAC and MTU are asked of the kernel: lo.
class BifurcatedPort : public PciPort {
 protected:
  BifurcatedPort() {
    sysfs_.add_device(kShared, "0x15b3", "0x1017", "0x020000");
    sysfs_.bind(kShared, "mlx5_core");
    sysfs_.add_interface(kShared, "lo");
    std::filesystem::create_directories(sysfs_.root() + "/bus/pci/devices/0000:5e:00.0/infiniband_verbs/uverbs0");
  }
  net::Result<std::vector<PortPlan>> plan(const std::string& device, std::optional<uint16_t> mtu = {}) {
    const model::Port port{.name = "wan", .device = device, .mtu = mtu};
    return plan_ports({&port, 1}, TwinsFor::kDeviceStrings, net::PciBus(sysfs_.root()));
  }
  void expect_refused(const std::string& words, net::Code code = net::Code::kUnavailable) {
    const auto plans = plan(kShared);
    ASSERT_FALSE(plans);
    EXPECT_EQ(plans.error().code, code);
    EXPECT_NE(plans.error().message.find(words), std::string::npos) << plans.error().message;
  }
  static constexpr const char* kShared = "0000:5e:00.0";
};

TEST_F(BifurcatedPort, IsTakenWhereItIsWithoutTwin) {
  const auto plans = plan(kShared, 1400);
  ASSERT_TRUE(plans) << plans.error().message;
  EXPECT_EQ(pci_addresses(*plans), std::vector<std::string>{kShared});
  ASSERT_TRUE(plans->front().shared);
  EXPECT_EQ(plans->front().shared->name, "lo");
  EXPECT_FALSE(plans->front().twin);
  EXPECT_FALSE(plans->front().interface);
  EXPECT_EQ(plans->front().mtu, 1400);
  EXPECT_EQ(plan(kShared)->front().mtu, model::kMaxMtu) << "the kernel's, which is larger";
}

TEST_F(BifurcatedPort, WithoutVerbs) {
  std::filesystem::remove_all(sysfs_.root() + "/bus/pci/devices/0000:5e:00.0/infiniband_verbs");
  expect_refused(
      "no Verbs device, by which lbd gives rules to a NIC that it shares with the kernel; load the modules: "
      "modprobe -a mlx5_ib ib_uverbs (or give its kernel interface, device: lo)");
}

TEST_F(BifurcatedPort, WithoutInterfaceHere) {
  std::filesystem::remove_all(sysfs_.root() + "/bus/pci/devices/0000:5e:00.0/net");
  expect_refused("may be in another network namespace");
}

TEST_F(BifurcatedPort, WithRepresentors) {
  sysfs_.add_interface(kShared, "lo_0");
  expect_refused("several interfaces (lo, lo_0), as in switchdev mode");
  expect_refused("devlink dev eswitch set pci/0000:5e:00.0 mode legacy");
}

TEST_F(BifurcatedPort, OnTheWrongDriver) {
  sysfs_.bind(kShared, "mlx4_core");
  expect_refused(
      "on the driver mlx4_core, and of NVIDIA's NICs lbd can share those of mlx5_core only; give its kernel "
      "interface instead, device: lo",
      net::Code::kUnsupported);
  std::filesystem::remove_all(sysfs_.root() + "/bus/pci/devices/0000:5e:00.0/net");
  sysfs_.bind(kShared, "vfio-pci");
  expect_refused("it is bound to vfio-pci; give it back: lbctl port unbind 0000:5e:00.0", net::Code::kUnsupported);
}

TEST_F(BifurcatedPort, ATapThatTakesFromAnInterfaceIsOneToo) {
  const auto plans = plan("net_tap0,iface=x,remote=lo");
  ASSERT_TRUE(plans) << plans.error().message;
  ASSERT_TRUE(plans->front().shared);
  EXPECT_EQ(plans->front().shared->name, "lo");
  EXPECT_FALSE(plans->front().twin);
  EXPECT_TRUE(plan("net_tap0,remote=lo,iface=x")->front().shared);
  EXPECT_FALSE(plan("net_tap0,iface=remote")->front().shared);
  EXPECT_TRUE(plan("net_tap0,iface=remote")->front().twin);
  const auto absent = plan("net_tap0,remote=nowhere0");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, net::Code::kNotFound);
}

TEST(PciDeviceNotTaken, WithoutDriverOrWithDpdksWords) {
  EXPECT_NE(pci_device_not_taken(kNic, "").message.find("no driver of lbd takes 0000:3b:00.0"), std::string::npos);
  EXPECT_EQ(
      pci_device_not_taken(kNic, "EAL: Cannot open /dev/vfio/31: Device or resource busy; EAL: and so on").message,
      "another process has 0000:3b:00.0, or a device of its IOMMU group; see who: fuser -v /dev/vfio/*");
  EXPECT_NE(pci_device_not_taken(kNic, "Failed to open VFIO group 31").message.find("Failed to open VFIO group 31"),
            std::string::npos);
}

TEST(PortPlan, NicsGetBuffersInStepsOfOneKilobyte) {
  PortPlan plan;
  plan.pci = net::PciDevice{};
  plan.mtu = 3000;
  EXPECT_FALSE(needs_large_buffers(plan));
  plan.mtu = 3060;  // the NIC would be told 3,072 of the 3,584 bytes
  EXPECT_TRUE(needs_large_buffers(plan));
  plan.mtu = 9000;
  EXPECT_EQ(large_room_needed({&plan, 1}), 9216);
}

// Two ports, two workers.
class LargeBuffers : public ::testing::Test {
 protected:
  static PortPlan nic(uint16_t mtu, bool twin) {
    PortPlan plan;
    plan.pci = net::PciDevice{};
    plan.mtu = mtu;
    plan.twin = twin;
    return plan;
  }
  static PortPlan interface(uint16_t mtu) {
    PortPlan plan;
    plan.interface = KernelInterface{};
    plan.interface->queues = 2;
    plan.mtu = mtu;
    return plan;
  }
  static uint32_t needed(const PortPlan& wan, const PortPlan& lan) {
    return large_buffers_needed(std::vector{wan, lan}, 2);
  }
};

// A worker's burst and cache: 512. A NIC: 1,024 descriptors each way for each worker, 2,048 in the rings to and from
// the second worker.
TEST_F(LargeBuffers, NicsFillTheirDescriptors) {
  EXPECT_EQ(needed(nic(9000, false), nic(9000, false)), 2u * 512 + 2 * (2 * 2048 + 2048));
}

// A twin: 1,024 on the way down, 32 at hand, 1,536 on the way up.
TEST_F(LargeBuffers, TwinsFillTheirRings) {
  EXPECT_EQ(needed(nic(9000, true), nic(9000, true)), 2u * 512 + 2 * (2 * 2048 + 2048 + 2592));
}

TEST_F(LargeBuffers, ASmallNicSendsLargeBuffers) {
  EXPECT_EQ(needed(nic(9000, false), nic(1500, true)), 2u * 512 + (2 * 2048 + 2048) + 2 * 1024);
}

TEST_F(LargeBuffers, InterfacesHoldNone) {
  EXPECT_EQ(needed(interface(9000), interface(9000)), 4096u);
  EXPECT_EQ(needed(interface(9000), interface(1500)), 4096u);
}

TEST_F(LargeBuffers, NobodyNeedsThem) {
  EXPECT_EQ(needed(nic(1500, true), interface(1500)), 0u);
}

// 13,312 or 18,496 in each pool: 4,096 bytes a buffer of the first, 9,216 and 512 of the second; an eighth and 32 MB
// more.
TEST_F(LargeBuffers, AreAskedForAtTheStart) {
  EXPECT_EQ(memory_needed_mb(std::vector{nic(9000, false), nic(9000, false)}, 2), 32u + 197);
  EXPECT_EQ(memory_needed_mb(std::vector{nic(9000, true), nic(9000, true)}, 2), 32u + 274);
}

}  // namespace
}  // namespace lb::host
