#include "ctl/nic_host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <sstream>
#include <thread>

#include "ctl/file_ops.h"
#include "ctl/nic_netlink.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {
namespace {

namespace fs = std::filesystem;

// One write to a file of sysfs, which does what it says before it returns.
net::Status write_attribute(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return io_error("open", path, errno);
  if (::write(fd.get(), text.data(), text.size()) < 0)
    return net::Error{net::Code::kIo,
                      fmt::format("echo {} >{}: {}", text == "\n" ? "" : text, path, std::strerror(errno))};
  return {};
}

// Files of /proc and sysfs, which are short; empty when there is none.
std::string read_text(const std::string& path, size_t limit = size_t{1} << 20) {
  auto text = read_file(path, limit);
  return text ? std::move(*text) : std::string();
}

std::string link_target(const fs::path& path) {
  std::error_code none;
  return fs::read_symlink(path, none).string();
}

// Of /proc/PID/environ; empty: it has none.
std::string environment_of(const std::string& proc, int pid, std::string_view key) {
  const std::string all = read_text(fmt::format("{}/{}/environ", proc, pid));
  const std::string start = std::string(key) + "=";
  for (size_t at = 0; at < all.size();) {
    const std::string entry = all.c_str() + at;
    if (entry.starts_with(start)) return entry.substr(start.size());
    at += entry.size() + 1;
  }
  return "";
}

// /proc/PID/stat: "PID (COMMAND, which may hold anything) STATE PARENT ...". 0: no such process.
int parent_of(const std::string& proc, int pid) {
  const std::string stat = read_text(fmt::format("{}/{}/stat", proc, pid));
  const size_t end = stat.rfind(')');
  int parent = 0;
  if (end == std::string::npos || sscanf(stat.c_str() + end + 1, " %*c %d", &parent) != 1) return 0;
  return parent;
}

// What /dev/vfio has for the group: opened by whoever drives a device of it.
bool has_open(const fs::path& process, const std::string& target) {
  std::error_code none;
  for (const auto& fd : fs::directory_iterator(process / "fd", none)) {
    if (link_target(fd.path()) == target) return true;
  }
  return false;
}

}  // namespace

net::Result<InterfaceState> LinuxHost::interface(const std::string& name) {
  return read_interface(name);
}

bool LinuxHost::is_root() {
  return geteuid() == 0;
}

NicHost::Vfio LinuxHost::vfio() {
  if (bus_.has_driver(net::kVfioDriver)) return Vfio::kLoaded;
  return bus_.has_module(net::kVfioDriver) ? Vfio::kLoadable : Vfio::kAbsent;
}

bool LinuxHost::makes_twins() {
  std::error_code none;
  return fs::exists(paths_.dev + "/net/tun", none);
}

std::string LinuxHost::kernel_command_line() {
  return read_text(paths_.proc + "/cmdline");
}

std::vector<std::string> LinuxHost::uppers(const std::string& interface) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(paths_.sysfs + "/class/net/" + interface, none)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("upper_")) names.push_back(name.substr(6));
  }
  return names;
}

uint32_t LinuxHost::virtual_functions(const std::string& pci) {
  return static_cast<uint32_t>(strtoul(read_text(device_path(pci) + "/sriov_numvfs").c_str(), nullptr, 10));
}

std::vector<Process> LinuxHost::users(const net::PciDevice& device) {
  std::vector<Process> found;
  if (!device.iommu_group) return found;
  const std::string group = fmt::format("{}/vfio/{}", paths_.dev, *device.iommu_group);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(paths_.proc, none)) {
    const int pid = atoi(entry.path().filename().c_str());
    if (pid <= 0 || !has_open(entry.path(), group)) continue;
    std::string name = read_text(entry.path() / "comm");
    name.erase(name.find_last_not_of('\n') + 1);
    found.push_back({pid, std::move(name)});
  }
  return found;
}

net::Result<std::optional<SshSession>> LinuxHost::session() {
  std::string connection;  // "198.51.100.7 51234 203.0.113.2 22"
  for (int pid = getpid(); pid > 1 && connection.empty(); pid = parent_of(paths_.proc, pid))
    connection = environment_of(paths_.proc, pid, "SSH_CONNECTION");
  std::istringstream fields(connection);
  std::string peer, peer_port, server;
  fields >> peer >> peer_port >> server;
  peer = peer.substr(0, peer.find('%'));  // fe80::1%eth0
  server = server.substr(0, server.find('%'));
  const auto address = net::Address::parse(peer);
  if (!address) return std::optional<SshSession>();
  std::optional<net::Address> local;
  if (const auto parsed = net::Address::parse(server)) local = *parsed;
  const auto has_it = local ? interface_with(*local) : std::optional<std::string>();
  if (!has_it) return has_it.error();
  const auto towards = interface_towards(*address, *has_it ? local : std::nullopt);
  if (!towards) return towards.error();
  if (!*towards && !*has_it) return std::optional<SshSession>();
  return std::optional(SshSession{peer, towards->value_or(""), has_it->value_or("")});
}

net::Status LinuxHost::set_override(const std::string& pci, const std::string& driver) {
  return write_attribute(device_path(pci) + "/driver_override", driver.empty() ? "\n" : driver);
}

net::Status LinuxHost::unbind(const std::string& pci) {
  return write_attribute(device_path(pci) + "/driver/unbind", pci);
}

net::Status LinuxHost::bind(const std::string& pci, const std::string& driver) {
  const std::string folder = paths_.sysfs + "/bus/pci/drivers/" + driver;
  if (!bus_.has_driver(driver))
    return net::Error{net::Code::kUnavailable, fmt::format("the driver {} is not loaded: modprobe {}", driver, driver)};
  return write_attribute(folder + "/bind", pci);
}

net::Status LinuxHost::make_twin(const std::string& name) {
  const std::string path = paths_.dev + "/net/tun";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return net::Error{net::Code::kUnavailable, fmt::format("{}: {}; modprobe tun", path, std::strerror(errno))};
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0 || ::ioctl(fd.get(), TUNSETPERSIST, 1) != 0)
    return net::Error{net::Code::kIo, fmt::format("ip tuntap add {} mode tap: {}", name, std::strerror(errno))};
  return {};
}

net::Status LinuxHost::remove_twin(const std::string& name) {
  return delete_tap(name);
}

net::Status LinuxHost::rename(const std::string& from, const std::string& to) {
  return rename_interface(from, to);
}

net::Status LinuxHost::set_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up) {
  return change_link(name, mac, mtu, up);
}

net::Status LinuxHost::add_address(const std::string& name, const Carried& address) {
  return give_address(name, address);
}

net::Status LinuxHost::add_route(const std::string& name, const Carried& route) {
  return give_route(name, route);
}

net::Status LinuxHost::stop(const Process& process, std::chrono::milliseconds grace) {
  constexpr std::chrono::milliseconds kKillWait{5'000};
  if (::kill(process.pid, SIGTERM) != 0) {
    if (errno == ESRCH) return {};
    return net::Error{net::Code::kPermission,
                      fmt::format("kill {} ({}): {}", process.pid, process.name, std::strerror(errno))};
  }
  if (ends(process.pid, grace)) return {};
  ::kill(process.pid, SIGKILL);
  if (ends(process.pid, kKillWait)) return {};
  return net::Error{net::Code::kTimeout, fmt::format("{} (pid {}) does not end", process.name, process.pid)};
}

// One whose parent has not asked for it yet has ended as well: it has nothing open.
bool LinuxHost::ends(int pid, std::chrono::milliseconds wait) {
  constexpr std::chrono::milliseconds kPoll{50};
  for (const auto until = now() + wait;; sleep(kPoll)) {
    const std::string stat = read_text(fmt::format("{}/{}/stat", paths_.proc, pid));
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || stat.substr(name_end, 3) == ") Z") return true;
    if (now() >= until) return false;
  }
}

std::chrono::milliseconds LinuxHost::now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::milliseconds(time.tv_nsec / 1'000'000);
}

void LinuxHost::sleep(std::chrono::milliseconds time) {
  std::this_thread::sleep_for(time);
}

}  // namespace lb::ctl
