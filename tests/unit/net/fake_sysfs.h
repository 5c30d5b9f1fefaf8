// A made-up machine: the part of sysfs that PciBus reads, in a temporary folder.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace lb::tests {

class FakeSysfs {
 public:
  FakeSysfs() {
    std::string name = testing::TempDir() + "sysfs-XXXXXX";
    root_ = mkdtemp(name.data());
    std::filesystem::create_directories(root_ / "bus/pci/devices");
    std::filesystem::create_directories(root_ / "bus/pci/drivers");
    std::filesystem::create_directories(root_ / "class/net");
  }
  ~FakeSysfs() { std::filesystem::remove_all(root_); }
  std::string root() const { return root_; }

  // ids: "0x8086 0x1572"; the kernel's folder of the device is reached by a link, as on a real machine.
  std::filesystem::path add_device(const std::string& address, const std::string& vendor, const std::string& device,
                                   const std::string& class_code) {
    const auto path = root_ / "devices/pci0000:00" / address;
    std::filesystem::create_directories(path);
    write(path / "vendor", vendor);
    write(path / "device", device);
    write(path / "class", class_code);
    write(path / "numa_node", "-1");
    write(path / "driver_override", "(null)");
    std::filesystem::create_directory_symlink(path, root_ / "bus/pci/devices" / address);
    return path;
  }
  void add_driver(const std::string& driver) {
    std::filesystem::create_directories(root_ / "bus/pci/drivers" / driver);
  }
  void bind(const std::string& address, const std::string& driver) {
    add_driver(driver);
    const auto link = root_ / "bus/pci/devices" / address / "driver";
    std::filesystem::remove(link);
    std::filesystem::create_directory_symlink(root_ / "bus/pci/drivers" / driver, link);
  }
  // below: of the device's folder: "" or "virtio2".
  void add_interface(const std::string& address, const std::string& interface, const std::string& below = "") {
    const auto parent = root_ / "devices/pci0000:00" / address / below;
    std::filesystem::create_directories(parent / "net" / interface);
    std::filesystem::create_directory_symlink(parent, parent / "net" / interface / "device");
    std::filesystem::create_directory_symlink(parent / "net" / interface, root_ / "class/net" / interface);
  }
  void set_group(const std::string& address, uint32_t group) {
    const auto path = root_ / "kernel/iommu_groups" / std::to_string(group);
    std::filesystem::create_directories(path / "devices");
    const auto device = root_ / "devices/pci0000:00" / address;
    std::filesystem::create_directory_symlink(device, path / "devices" / address);
    std::filesystem::create_directory_symlink(path, device / "iommu_group");
  }
  static void write(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text << '\n'; }

 private:
  std::filesystem::path root_;
};

}  // namespace lb::tests
