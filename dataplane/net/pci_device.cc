#include "dataplane/net/pci_device.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace lb::net {
namespace {

namespace fs = std::filesystem;

std::string read_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint32_t read_hex(const fs::path& path) {
  return static_cast<uint32_t>(strtoul(read_line(path).c_str(), nullptr, 16));
}

// Last part of what the link points to; empty: no such link.
std::string link_name(const fs::path& path) {
  std::error_code none;
  return fs::read_symlink(path, none).filename();
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// A virtio device stands between the PCI device and its interface.
std::vector<std::string> interfaces_of(const fs::path& device) {
  std::vector<std::string> interfaces = names_in(device / "net");
  for (const std::string& child : names_in(device))
    if (child.starts_with("virtio"))
      for (std::string& name : names_in(device / child / "net")) interfaces.push_back(std::move(name));
  std::sort(interfaces.begin(), interfaces.end());
  return interfaces;
}

std::optional<uint32_t> number(const std::string& text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; }))
    return std::nullopt;
  return static_cast<uint32_t>(strtoul(text.c_str(), nullptr, 10));
}

bool is_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

}  // namespace

bool leaves_group_to_vfio(std::string_view driver) {
  return driver.empty() || driver == "pci-stub" || driver == "pcieport" ||
         driver.find("vfio") != std::string_view::npos;
}

std::optional<std::string> parse_pci_address(std::string_view text) {
  const size_t dot = text.rfind('.');
  if (dot == std::string_view::npos || dot + 2 != text.size() || text[dot + 1] < '0' || text[dot + 1] > '7')
    return std::nullopt;
  std::string_view rest = text.substr(0, dot);
  const size_t slot = rest.rfind(':');
  if (slot == std::string_view::npos || rest.size() - slot != 3 || !is_hex(rest.substr(slot + 1))) return std::nullopt;
  rest = rest.substr(0, slot);
  const size_t bus = rest.rfind(':');
  const std::string_view domain = bus == std::string_view::npos ? "0000" : rest.substr(0, bus);
  rest = bus == std::string_view::npos ? rest : rest.substr(bus + 1);
  if (rest.size() != 2 || !is_hex(rest) || domain.size() < 4 || domain.size() > 8 || !is_hex(domain))
    return std::nullopt;
  std::string address = fmt::format("{}:{}:{}", domain, rest, text.substr(dot - 2));
  std::transform(address.begin(), address.end(), address.begin(), [](unsigned char c) { return std::tolower(c); });
  return address;
}

std::string PciDevice::ids() const {
  return fmt::format("{:04x}:{:04x}", vendor, device);
}

Result<PciDevice> PciBus::find(const std::string& address) const {
  const fs::path path = fs::path(sysfs_) / "bus/pci/devices" / address;
  std::error_code none;
  if (!fs::is_directory(path, none))
    return Error{Code::kNotFound, fmt::format("there is no PCI device {} here; see: lspci -D", address)};
  PciDevice found;
  found.address = address;
  found.vendor = static_cast<uint16_t>(read_hex(path / "vendor"));
  found.device = static_cast<uint16_t>(read_hex(path / "device"));
  found.class_code = read_hex(path / "class");
  found.driver = link_name(path / "driver");
  if (const std::string override = read_line(path / "driver_override"); override != "(null)")
    found.driver_override = override;
  found.interfaces = interfaces_of(path);
  found.numa_node = number(read_line(path / "numa_node"));  // -1: none
  found.verbs = !names_in(path / "infiniband_verbs").empty();
  found.iommu_group = number(link_name(path / "iommu_group"));
  if (!found.iommu_group) return found;
  for (std::string& other : names_in(path / "iommu_group/devices"))
    if (other != address) found.group_others.push_back(std::move(other));
  return found;
}

std::vector<PciDevice> PciBus::network_devices() const {
  std::vector<PciDevice> devices;
  for (const std::string& address : names_in(fs::path(sysfs_) / "bus/pci/devices"))
    if (auto device = find(address); device && device->is_network()) devices.push_back(std::move(*device));
  return devices;
}

std::optional<std::string> PciBus::address_of(const std::string& interface) const {
  std::error_code none;
  fs::path path = fs::canonical(fs::path(sysfs_) / "class/net" / interface / "device", none);
  for (; !path.empty() && path != path.root_path(); path = path.parent_path())
    if (auto address = parse_pci_address(path.filename().string())) return address;
  return std::nullopt;
}

bool PciBus::has_driver(const std::string& name) const {
  std::error_code none;
  return fs::is_directory(fs::path(sysfs_) / "bus/pci/drivers" / name, none);
}

// A line of modules.dep begins with the module's file: kernel/drivers/vfio/pci/vfio-pci.ko or .ko.xz, and a colon.
bool PciBus::has_module(const std::string& name) const {
  utsname kernel = {};
  if (uname(&kernel) != 0) return false;
  std::ifstream file(fs::path(modules_) / kernel.release / "modules.dep");
  for (std::string line; std::getline(file, line);)
    if (line.substr(0, line.find(':')).find("/" + name + ".ko") != std::string::npos) return true;
  return false;
}

bool PciBus::has_iommu() const {
  return !names_in(fs::path(sysfs_) / "kernel/iommu_groups").empty();
}

}  // namespace lb::net
