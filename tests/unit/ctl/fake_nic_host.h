// A machine with NICs in memory: drivers come and go with their interfaces, as in the kernel. Any step can be made to
// fail, before or after it did what it should, or to be the last one of its process.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ctl/nic.h"

namespace lb::ctl {

struct Killed {};  // thrown where lbctl would have died

class FakeHost : public NicHost {
 public:
  static constexpr const char* kPci = "0000:3b:00.0";
  static constexpr const char* kTwin = "lbd-wan";

  enum class Fault { kBefore, kAfter, kKilled };

  FakeHost() {
    net::PciDevice nic;
    nic.address = kPci;
    nic.vendor = 0x8086;
    nic.device = 0x1572;
    nic.class_code = 0x020000;
    nic.driver = "i40e";
    nic.iommu_group = 31;
    nic.interfaces = {"eth0"};
    devices_[kPci] = nic;
    InterfaceState eth0;
    eth0.name = "eth0";
    eth0.mac = mac("02:00:00:00:00:99");  // not the one that is burnt in
    eth0.mtu = 9000;
    eth0.up = eth0.carrier = true;
    eth0.addresses = {item("203.0.113.2/24"), item("2001:db8::2/64")};
    eth0.routes = {item("198.51.100.0/24"), item("192.0.2.0/24 via 203.0.113.1")};
    interfaces_["eth0"] = eth0;
  }

  static net::Mac mac(const std::string& text) { return net::Mac::parse(text).value(); }
  static Carried item(const std::string& text) { return {text, {uint8_t(text.size()), 0xff}}; }

  // The n-th step from now (from 0) goes wrong.
  void fail(size_t n, Fault fault) {
    at_ = steps_ + n;
    fault_ = fault;
  }
  void fail_all_from(size_t n) {
    fail(n, Fault::kBefore);
    all_ = true;
  }
  void work() { at_.reset(), all_ = false; }
  size_t steps() const { return steps_; }

  net::PciDevice& nic() { return devices_.at(kPci); }
  std::map<std::string, net::PciDevice>& all_devices() { return devices_; }
  std::map<std::string, InterfaceState>& interfaces() { return interfaces_; }

  // All that a move may change.
  std::string picture() const {
    std::string text;
    for (const auto& [address, d] : devices_)
      text += fmt::format("{} driver {} override {}\n", address, d.driver, d.driver_override);
    for (const auto& [name, i] : interfaces_) {
      text += fmt::format("{} {} {} {}", name, i.mac.to_string(), i.mtu, i.up);
      for (const Carried& a : i.addresses) text += ", " + a.text;
      for (const Carried& r : i.routes) text += ", " + r.text;
      text += "\n";
    }
    return text;
  }

  net::Result<net::PciDevice> device(const std::string& pci) override {
    const auto it = devices_.find(pci);
    if (it == devices_.end()) return net::Error{net::Code::kNotFound, "there is no PCI device " + pci};
    net::PciDevice seen = it->second;
    if (now_ < appears_) seen.interfaces.clear();
    return seen;
  }
  std::vector<net::PciDevice> network_devices() override {
    std::vector<net::PciDevice> all;
    for (const auto& [address, d] : devices_) all.push_back(d);
    return all;
  }
  std::optional<std::string> pci_of(const std::string& interface) override {
    for (const auto& [address, d] : devices_)
      if (std::find(d.interfaces.begin(), d.interfaces.end(), interface) != d.interfaces.end()) return address;
    return std::nullopt;
  }
  net::Result<InterfaceState> interface(const std::string& name) override {
    if (restless) return *restless;
    const auto it = interfaces_.find(name);
    if (it == interfaces_.end() || (now_ < appears_ && name == "eth0")) return absent(name);
    return it->second;
  }
  bool makes_twins() override { return tun; }
  bool is_root() override { return root; }
  Vfio vfio() override { return vfio_state; }
  std::string kernel_command_line() override { return command_line; }
  std::vector<std::string> uppers(const std::string&) override { return upper_names; }
  uint32_t virtual_functions(const std::string&) override { return functions; }
  std::vector<Process> users(const net::PciDevice&) override { return processes; }
  net::Result<std::optional<SshSession>> session() override {
    if (restless) return *restless;
    return ssh;
  }

  net::Status set_override(const std::string& pci, const std::string& driver) override {
    return step([&] { devices_.at(pci).driver_override = driver; });
  }
  net::Status unbind(const std::string& pci) override {
    return step([&] {
      for (const std::string& name : devices_.at(pci).interfaces) interfaces_.erase(name);
      devices_.at(pci).interfaces.clear();
      devices_.at(pci).driver.clear();
    });
  }
  net::Status bind(const std::string& pci, const std::string& driver) override {
    net::PciDevice& d = devices_.at(pci);
    if (!d.driver_override.empty() && d.driver_override != driver)
      return net::Error{net::Code::kIo, "driver_override is another driver"};
    if (!d.driver.empty()) return net::Error{net::Code::kIo, "has a driver already"};
    return step([&] {
      d.driver = driver;
      if (driver == net::kVfioDriver) return;
      d.interfaces = {fresh_name};
      InterfaceState fresh;
      fresh.name = fresh_name;
      fresh.mac = mac("02:00:00:00:00:01");
      fresh.mtu = 1500;
      interfaces_[fresh_name] = fresh;
      appears_ = now_ + appear_delay;
    });
  }
  net::Status make_twin(const std::string& name) override {
    return step([&] {
      InterfaceState twin;
      twin.name = name;
      interfaces_[name] = twin;
    });
  }
  net::Status remove_twin(const std::string& name) override {
    return step([&] { interfaces_.erase(name); });
  }
  net::Status rename(const std::string& from, const std::string& to) override {
    if (!interfaces_.count(from)) return absent(from);
    if (interfaces_.count(to))
      return net::Error{net::Code::kIo, fmt::format("ip link set {} name {}: File exists", from, to)};
    return step([&] {
      InterfaceState state = interfaces_.at(from);
      interfaces_.erase(from);
      state.name = to;
      interfaces_[to] = state;
      for (auto& [address, d] : devices_) std::replace(d.interfaces.begin(), d.interfaces.end(), from, to);
    });
  }
  net::Status set_link(const std::string& name, const net::Mac& mac, uint32_t mtu, bool up) override {
    if (!interfaces_.count(name)) return absent(name);
    return step([&] {
      InterfaceState& i = interfaces_.at(name);
      i.mac = mac, i.mtu = mtu, i.up = up;
    });
  }
  net::Status add_address(const std::string& name, const Carried& address) override {
    if (!interfaces_.count(name)) return absent(name);
    return step([&] { put(interfaces_.at(name).addresses, address); });
  }
  net::Status add_route(const std::string& name, const Carried& route) override {
    if (!interfaces_.count(name)) return absent(name);
    if (!interfaces_.at(name).up) return net::Error{net::Code::kIo, "the interface is down"};
    if (route.text == refused || (name == kTwin && route.text == refused_of_twin))
      return net::Error{net::Code::kIo, route.text + " is refused"};
    return step([&] { put(interfaces_.at(name).routes, route); });
  }
  net::Status stop(const Process& process, std::chrono::milliseconds) override {
    return step([&] { std::erase_if(processes, [&](const Process& p) { return p.pid == process.pid; }); });
  }

  std::chrono::milliseconds now() override { return now_; }
  void sleep(std::chrono::milliseconds time) override {
    now_ += time;
    if (while_asleep) while_asleep();
  }

  bool root = true, tun = true;
  Vfio vfio_state = Vfio::kLoaded;
  std::string command_line = "quiet", fresh_name = "eth0";
  std::string refused, refused_of_twin;  // routes
  std::vector<std::string> upper_names;
  uint32_t functions = 0;
  std::vector<Process> processes;
  std::optional<SshSession> ssh;
  std::optional<net::Error> restless;  // why interfaces cannot be read
  std::chrono::milliseconds appear_delay{0};
  std::function<void()> while_asleep;
  std::chrono::milliseconds now_{1'000};

 private:
  static void put(std::vector<Carried>& items, const Carried& item) {
    for (const Carried& there : items)
      if (there == item) return;
    items.push_back(item);
  }

  static net::Error absent(const std::string& name) { return {net::Code::kNotFound, "there is no interface " + name}; }

  template <class F>
  net::Status step(F&& effect) {
    const size_t now = steps_++;
    const bool wrong = at_ && (now == *at_ || (all_ && now >= *at_));
    if (wrong && fault_ == Fault::kKilled) throw Killed();
    if (!wrong || fault_ == Fault::kAfter) effect();
    if (wrong) return net::Error{net::Code::kIo, "the kernel said no"};
    return {};
  }

  std::map<std::string, net::PciDevice> devices_;
  std::map<std::string, InterfaceState> interfaces_;
  std::chrono::milliseconds appears_{0};
  size_t steps_ = 0;
  std::optional<size_t> at_;
  Fault fault_ = Fault::kBefore;
  bool all_ = false;
};

}  // namespace lb::ctl
