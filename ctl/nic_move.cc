#include "ctl/nic_move.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace lb::ctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInterfaceWait{15'000};  // a card that loads its firmware
constexpr milliseconds kRenameWait{3'000};      // udev gives interfaces their lasting names
constexpr milliseconds kPoll{50};
constexpr milliseconds kStopGrace{20'000};  // lbd: at most shutdown-delay, 10 s by default

std::string joined(const std::vector<Carried>& items) {
  std::string text;
  for (const Carried& item : items) text += (text.empty() ? "" : ", ") + item.text;
  return text;
}

bool has(const std::vector<Carried>& items, const Carried& item) {
  return std::any_of(items.begin(), items.end(), [&](const Carried& other) { return other.text == item.text; });
}

bool has_all(const std::vector<Carried>& items, const std::vector<Carried>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const Carried& item) { return has(items, item); });
}

// What one thing that failed shall not keep from being done: all of it is tried.
class Failures {
 public:
  void note(const net::Status& done) {
    if (done) return;
    if (!first_) first_ = done.error();
    if (++count_ <= kTold) text_ += (text_.empty() ? "" : "; ") + done.error().message;
  }
  net::Status status() const {
    if (!first_) return {};
    const std::string more = count_ > kTold ? fmt::format("; and {} more", count_ - kTold) : "";
    return net::Error{first_->code, text_ + more};
  }

 private:
  static constexpr size_t kTold = 8;
  std::optional<net::Error> first_;
  std::string text_;
  size_t count_ = 0;
};

// Steps that are the same in both directions: a driver, and an interface that gets what another one had.
class StepList {
 public:
  StepList(NicHost& host, const NicRecord& record) : host_(host), record_(record) {}

  void change_driver(const std::string& to, const std::string& override_) {
    const std::string pci = record_.pci;
    NicHost& host = host_;
    add(
        override_.empty() ? fmt::format("let any driver take {}", pci)
                          : fmt::format("let only {} take {}", override_, pci),
        [&host, pci, override_] { return driver_fact(host, pci, &net::PciDevice::driver_override) != override_; },
        [&host, pci, override_] { return host.set_override(pci, override_); });
    add(
        fmt::format("take {} from its driver", pci),
        [&host, pci, to] {
          const std::string now = driver_fact(host, pci, &net::PciDevice::driver);
          return !now.empty() && now != to;
        },
        [&host, pci] { return host.unbind(pci); });
    if (to.empty()) return;
    add(
        fmt::format("give {} to {}", pci, to),
        [&host, pci, to] { return driver_fact(host, pci, &net::PciDevice::driver) != to; },
        [&host, pci, to] { return host.bind(pci, to); });
  }

  // MAC, MTU, state, addresses and routes of the record. may: asked before each step.
  void furnish(const std::string& name, bool up, const std::function<net::Status()>& may) {
    const size_t first = steps_.size();
    add_furnishing(name, up);
    for (size_t i = first; i < steps_.size(); i++) {
      steps_[i].run = [may, run = std::move(steps_[i].run)] {
        auto allowed = may();
        return allowed ? run() : allowed;
      };
      steps_[i].needed = [may, needed = std::move(steps_[i].needed)] { return !may() || needed(); };
    }
  }

  void add(std::string text, std::function<bool()> needed, std::function<net::Status()> run) {
    steps_.push_back({std::move(text), std::move(needed), std::move(run)});
  }
  std::vector<Step> take() { return std::move(steps_); }

 private:
  void add_furnishing(const std::string& name, bool up) {
    NicHost& host = host_;
    const NicRecord& r = record_;
    add(
        fmt::format("set {}: MAC {}, MTU {}, {}", name, r.mac.to_string(), r.mtu, up ? "up" : "down"),
        [&host, &r, name, up] {
          const auto now = host.interface(name);
          return !now || now->mac != r.mac || now->mtu != r.mtu || now->up != up;
        },
        [&host, &r, name, up] { return host.set_link(name, r.mac, r.mtu, up); });
    carry(name, "addresses", r.addresses, &InterfaceState::addresses, &NicHost::add_address);
    carry(name, "routes", r.routes, &InterfaceState::routes, &NicHost::add_route);
  }

  static std::string driver_fact(NicHost& host, const std::string& pci, std::string net::PciDevice::*fact) {
    const auto device = host.device(pci);
    return device ? (*device).*fact : std::string();
  }

  void carry(const std::string& name, const char* what, const std::vector<Carried>& items,
             std::vector<Carried> InterfaceState::*there,
             net::Status (NicHost::*give)(const std::string&, const Carried&)) {
    if (items.empty()) return;
    NicHost& host = host_;
    add(
        fmt::format("give {} the {} {}", name, what, joined(items)),
        [&host, &items, name, there] {
          const auto now = host.interface(name);
          return !now || !has_all((*now).*there, items);
        },
        [&host, &items, name, give] {
          Failures failures;
          for (const Carried& item : items) failures.note((host.*give)(name, item));
          return failures.status();
        });
  }

  NicHost& host_;
  const NicRecord& record_;
  std::vector<Step> steps_;
};

// The name that the NIC's interface has now, after waiting for it to come and for udev to name it.
net::Result<std::string> await_interface(NicHost& host, const NicRecord& record) {
  const auto look = [&](milliseconds wait, const auto& good) {
    const milliseconds until = host.now() + wait;
    while (true) {
      const auto device = host.device(record.pci);
      std::string name = device && !device->interfaces.empty() ? device->interfaces.front() : std::string();
      if (good(name) || host.now() >= until) return name;
      host.sleep(kPoll);
    }
  };
  if (look(kInterfaceWait, [](const std::string& name) { return !name.empty(); }).empty()) {
    return net::Error{net::Code::kTimeout, fmt::format("{} made no interface of {} within {} s", record.driver,
                                                       record.pci, kInterfaceWait.count() / 1000)};
  }
  return look(kRenameWait, [&](const std::string& name) { return name == record.interface; });
}

bool is_of_nic(NicHost& host, const NicRecord& record) {
  const auto device = host.device(record.pci);
  return device && std::count(device->interfaces.begin(), device->interfaces.end(), record.interface) > 0;
}

net::Error with(const net::Error& error, std::string sentence) {
  return {error.code, std::move(sentence)};
}

}  // namespace

std::vector<Step> steps_to_bind(NicHost& host, const NicRecord& record) {
  StepList steps(host, record);
  steps.change_driver(net::kVfioDriver, net::kVfioDriver);
  if (record.interface.empty()) return steps.take();  // nothing to carry over: lbd makes the twin
  const std::string twin = record.twin();
  steps.add(
      fmt::format("make {}", twin), [&host, twin] { return !host.interface(twin); },
      [&host, twin] { return host.make_twin(twin); });
  // A twin that is down would take no routes; one whose NIC was down has none.
  steps.furnish(twin, record.up, [] { return net::Status(); });
  return steps.take();
}

std::vector<Step> steps_to_unbind(NicHost& host, const NicRecord& record) {
  StepList steps(host, record);
  const std::string twin = record.twin();
  // Before the addresses come back: the same route by two interfaces is none that can be trusted.
  steps.add(
      fmt::format("remove {}", twin), [&host, twin] { return !is_absent(host.interface(twin)); },
      [&host, twin] { return host.remove_twin(twin); });
  steps.change_driver(record.driver, record.override_);
  if (record.interface.empty()) return steps.take();
  steps.add(
      fmt::format("wait for {}", record.interface), [&host, &record] { return !is_of_nic(host, record); },
      [&host, &record]() -> net::Status {
        const auto name = await_interface(host, record);
        if (!name) return name.error();
        return *name == record.interface ? net::Status() : host.rename(*name, record.interface);
      });
  // Not to another NIC's, when the driver's interface could not get its name.
  steps.furnish(record.interface, record.up, [&host, &record]() -> net::Status {
    if (is_of_nic(host, record)) return {};
    return net::Error{net::Code::kConflict, fmt::format("{} is no interface of {}", record.interface, record.pci)};
  });
  return steps.take();
}

std::vector<std::string> texts_of_needed(const std::vector<Step>& steps) {
  std::vector<std::string> texts;
  for (const Step& step : steps) {
    if (step.needed()) texts.push_back(step.text);
  }
  return texts;
}

NicRecord NicMove::record_of(const NicFacts& nic, const std::string& port) {
  NicRecord record;
  record.pci = nic.device.address;
  record.port = port;
  record.driver = nic.device.driver;
  record.override_ = nic.device.driver_override;
  if (!nic.interface) return record;
  record.interface = nic.interface->name;
  record.mac = nic.interface->mac;
  record.mtu = nic.interface->mtu;
  record.up = nic.interface->up;
  record.addresses = nic.interface->addresses;
  record.routes = nic.interface->routes;
  return record;
}

net::Status NicMove::run(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    if (!step.needed()) continue;
    if (auto done = step.run(); !done)
      return with(done.error(), fmt::format("could not {}: {}", step.text, done.error().message));
  }
  return {};
}

// After a failed step: the other way. RETURNS: why the move failed, and what is left to undo by hand if that failed
// too.
net::Status NicMove::undo(const std::vector<Step>& steps, const net::Error& why) {
  if (auto undone = run(steps); !undone) {
    std::string left;
    for (const std::string& text : texts_of_needed(steps)) left += (left.empty() ? "" : "; ") + text;
    return with(why, fmt::format("{}; undoing that failed too: {}; still to do: {}", why.message,
                                 undone.error().message, left));
  }
  return with(why, why.message + "; everything is as it was before");
}

net::Status NicMove::bind(const NicRecord& record) {
  if (auto saved = records_.save(record); !saved) return saved;
  auto moved = run(steps_to_bind(host_, record));
  if (moved) {
    NicRecord done = record;
    done.complete = true;
    moved = records_.save(done);
  }
  if (moved) return {};
  const auto back = steps_to_unbind(host_, record);
  const net::Status failed = undo(back, moved.error());
  if (!texts_of_needed(back).empty())
    return with(failed.error(),
                fmt::format("{}; `lbctl port unbind {}` tries again", failed.error().message, record.pci));
  if (auto removed = records_.remove(record.pci); !removed) return removed;
  return failed;
}

net::Status NicMove::stop_users(const NicRecord& record) {
  const auto device = host_.device(record.pci);
  if (!device) return device.error();
  for (const Process& process : host_.users(*device)) {
    if (auto stopped = host_.stop(process, kStopGrace); !stopped) return stopped;
  }
  return {};
}

net::Status NicMove::unbind(NicRecord record, const Forced& forced) {
  if (forced.stop) {
    if (auto stopped = stop_users(record); !stopped) return stopped;
  }
  // What came to the twin meanwhile is the host's configuration as well, and what was taken from it is no more. One
  // that is down has lost its routes, and one of a move that was cut short has not got all.
  const auto twin = host_.interface(record.twin());
  if (!twin && !is_absent(twin)) return twin.error();
  const bool had = !record.interface.empty() && twin;
  if (had && record.complete && twin->up) {
    record.addresses = twin->addresses;
    record.routes = twin->routes;
  } else if (had) {
    for (const Carried& address : twin->addresses)
      if (!has(record.addresses, address)) record.addresses.push_back(address);
    for (const Carried& route : twin->routes)
      if (!has(record.routes, route)) record.routes.push_back(route);
  }
  const bool was_complete = std::exchange(record.complete, false);
  if (auto saved = records_.save(record); !saved) return saved;
  const auto moved = run(steps_to_unbind(host_, record));
  if (moved) return records_.remove(record.pci);
  const auto forth = steps_to_bind(host_, record);
  const net::Status failed = undo(forth, moved.error());
  record.complete = was_complete && texts_of_needed(forth).empty();
  if (auto saved = records_.save(record); !saved) return saved;
  return failed;
}

net::Status NicMove::revert(const NicRecord& record) {
  Failures failures;
  failures.note(stop_users(record));
  const auto steps = steps_to_unbind(host_, record);
  for (const Step& step : steps) {
    if (!step.needed()) continue;
    if (auto done = step.run(); !done)
      failures.note(with(done.error(), fmt::format("could not {}: {}", step.text, done.error().message)));
  }
  if (auto all = failures.status(); !all) return all;
  return records_.remove(record.pci);
}

}  // namespace lb::ctl
