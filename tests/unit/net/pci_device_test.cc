// PCI devices as a made-up sysfs shows them.
#include "dataplane/net/pci_device.h"

#include <gtest/gtest.h>

#include "tests/unit/net/fake_sysfs.h"

namespace lb::net {
namespace {

TEST(PciAddress, IsCompletedAndLowered) {
  EXPECT_EQ(parse_pci_address("3B:00.0"), "0000:3b:00.0");
  EXPECT_EQ(parse_pci_address("0000:3b:00.1"), "0000:3b:00.1");
  EXPECT_EQ(parse_pci_address("10000:E1:1f.7"), "10000:e1:1f.7");
}

TEST(PciAddress, NothingElseIsOne) {
  for (const char* text : {"", "eth0", "3b:00", "3b:00.8", "3b:00.", "3b:0.0", "3b:00.00", "g0:00.0", "000:3b:00.0",
                           "0000:3b:00.0,x=1", ":3b:00.0", "net_pcap0", "00:11:22:33:44:55"})
    EXPECT_EQ(parse_pci_address(text), std::nullopt) << text;
}

TEST(PciBus, TellsWhatADeviceIs) {
  tests::FakeSysfs sysfs;
  const auto path = sysfs.add_device("0000:3b:00.0", "0x8086", "0x1572", "0x020000");
  tests::FakeSysfs::write(path / "numa_node", "1");
  sysfs.bind("0000:3b:00.0", "i40e");
  sysfs.add_interface("0000:3b:00.0", "ens1f0");
  sysfs.set_group("0000:3b:00.0", 31);
  const auto device = PciBus(sysfs.root()).find("0000:3b:00.0");
  ASSERT_TRUE(device) << device.error().message;
  EXPECT_EQ(device->ids(), "8086:1572");
  EXPECT_TRUE(device->is_network());
  EXPECT_EQ(device->driver, "i40e");
  EXPECT_EQ(device->driver_override, "");
  EXPECT_EQ(device->interfaces, std::vector<std::string>{"ens1f0"});
  EXPECT_EQ(device->iommu_group, 31u);
  EXPECT_TRUE(device->group_others.empty());
  EXPECT_EQ(device->numa_node, 1u);
}

TEST(PciBus, ADeviceWithoutDriverOrGroup) {
  tests::FakeSysfs sysfs;
  const auto path = sysfs.add_device("0000:00:1f.2", "0x8086", "0x2922", "0x010601");
  tests::FakeSysfs::write(path / "driver_override", "vfio-pci");
  const auto device = PciBus(sysfs.root()).find("0000:00:1f.2");
  ASSERT_TRUE(device);
  EXPECT_FALSE(device->is_network());
  EXPECT_EQ(device->driver, "");
  EXPECT_EQ(device->driver_override, "vfio-pci");
  EXPECT_TRUE(device->interfaces.empty());
  EXPECT_EQ(device->iommu_group, std::nullopt);
  EXPECT_EQ(device->numa_node, std::nullopt);
  EXPECT_FALSE(PciBus(sysfs.root()).has_iommu());
}

TEST(PciBus, VirtioInterfacesStandOneFolderDeeper) {
  tests::FakeSysfs sysfs;
  sysfs.add_device("0000:00:04.0", "0x1af4", "0x1041", "0x020000");
  sysfs.add_interface("0000:00:04.0", "eth1", "virtio2");
  const PciBus bus(sysfs.root());
  EXPECT_EQ(bus.find("0000:00:04.0")->interfaces, std::vector<std::string>{"eth1"});
  EXPECT_EQ(bus.address_of("eth1"), "0000:00:04.0");
}

TEST(PciBus, InterfacesThatNoPciDeviceHas) {
  tests::FakeSysfs sysfs;
  std::filesystem::create_directories(sysfs.root() + "/class/net/veth0");
  const PciBus bus(sysfs.root());
  EXPECT_EQ(bus.address_of("veth0"), std::nullopt);
  EXPECT_EQ(bus.address_of("nothing"), std::nullopt);
}

TEST(PciBus, OthersOfTheGroupWithItsBridge) {
  tests::FakeSysfs sysfs;
  sysfs.add_device("0000:00:1c.0", "0x8086", "0x3420", "0x060400");
  sysfs.add_device("0000:03:00.0", "0x8086", "0x1572", "0x020000");
  sysfs.add_device("0000:03:00.1", "0x8086", "0x1572", "0x020000");
  for (const char* address : {"0000:00:1c.0", "0000:03:00.0", "0000:03:00.1"}) sysfs.set_group(address, 7);
  const PciBus bus(sysfs.root());
  EXPECT_EQ(bus.find("0000:03:00.0")->group_others, (std::vector<std::string>{"0000:00:1c.0", "0000:03:00.1"}));
  EXPECT_TRUE(bus.has_iommu());
}

TEST(PciBus, DriversThatLeaveTheGroupToVfio) {
  for (const char* driver : {"", "vfio-pci", "mlx5_vfio_pci", "pci-stub", "pcieport"})
    EXPECT_TRUE(leaves_group_to_vfio(driver)) << driver;
  for (const char* driver : {"i40e", "nvme", "lpc_ich", "shpchp", "uio_pci_generic", "pcieport2"})
    EXPECT_FALSE(leaves_group_to_vfio(driver)) << driver;
}

TEST(PciBus, ListsNetworkDevicesOnly) {
  tests::FakeSysfs sysfs;
  sysfs.add_device("0000:00:1f.2", "0x8086", "0x2922", "0x010601");
  sysfs.add_device("0000:03:00.1", "0x8086", "0x1572", "0x020000");
  sysfs.add_device("0000:03:00.0", "0x15b3", "0x1017", "0x020000");
  const auto devices = PciBus(sysfs.root()).network_devices();
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].ids(), "15b3:1017");
  EXPECT_EQ(devices[1].address, "0000:03:00.1");
}

TEST(PciBus, MissingDevicesAndDrivers) {
  tests::FakeSysfs sysfs;
  sysfs.add_driver("vfio-pci");
  const PciBus bus(sysfs.root());
  EXPECT_TRUE(bus.has_driver("vfio-pci"));
  EXPECT_FALSE(bus.has_driver("igb_uio"));
  const auto device = bus.find("0000:99:00.0");
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, Code::kNotFound);
  EXPECT_EQ(device.error().message, "there is no PCI device 0000:99:00.0 here; see: lspci -D");
}

}  // namespace
}  // namespace lb::net
