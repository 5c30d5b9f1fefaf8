#include "xdp/offloads.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lb::xdp {
namespace {

Features in_the_way(model::XdpMode mode) {
  Features all = {"rx-lro", "rx-gro-hw", "rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"};
  if (mode == model::XdpMode::kGeneric) all.insert("rx-gro");
  return all;
}

Features without(const Features& all, const Features& these) {
  Features left;
  std::set_difference(all.begin(), all.end(), these.begin(), these.end(), std::inserter(left, left.end()));
  return left;
}

net::Error file_error(const std::string& file, const char* what) {
  return {net::Code::kIo, fmt::format("{}: {}: {}; it keeps what offloads were on before lbd turned them off", file,
                                      what, strerror(errno))};
}

}  // namespace

net::Result<std::unique_ptr<Offloads>> Offloads::turn_off(std::string file,
                                                          const std::vector<model::XdpInterface>& interfaces, Log log) {
  std::unique_ptr<Offloads> offloads(new Offloads(std::move(file), std::move(log)));
  offloads->read_file();
  offloads->restore_others(interfaces);
  const auto before = offloads->was_on_;
  if (auto done = offloads->turn_off_all(interfaces); !done) {
    offloads->undo(before);
    return done.error();
  }
  return offloads;
}

net::Status Offloads::turn_off_all(const std::vector<model::XdpInterface>& interfaces) {
  for (const auto& interface : interfaces)
    if (auto done = remember(interface); !done) return done;
  // Before anything is changed: killed in between, the next lbd knows.
  if (auto done = write_file(); !done) return done;
  for (const auto& interface : interfaces)
    if (auto done = turn_off_of(interface); !done) return done;
  return {};
}

// What a former lbd turned off stays off: its program may be attached still.
void Offloads::undo(const std::map<std::string, Features>& before) {
  for (const auto& [ifname, features] : was_on_) {
    const auto then = before.find(ifname);
    turn_on(ifname, then == before.end() ? features : without(features, then->second));
  }
  was_on_ = before;
  if (was_on_.empty())
    std::remove(file_.c_str());
  else if (auto done = write_file(); !done)
    log_(done.error().message);
  was_on_.clear();
  file_.clear();  // nothing is left to the destructor
}

void Offloads::restore() {
  if (file_.empty()) return;
  for (const auto& [ifname, features] : was_on_) turn_on(ifname, features);
  was_on_.clear();
  std::remove(file_.c_str());
}

// Lines that make no sense are of nobody's interest: the worst of it is an offload that stays off.
void Offloads::read_file() {
  std::ifstream file(file_);
  std::string line, ifname, feature;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    if (!(words >> ifname)) continue;
    while (words >> feature) was_on_[ifname].insert(feature);
  }
}

net::Status Offloads::write_file() const {
  const std::string temporary = file_ + ".new";
  std::ofstream file(temporary, std::ios::trunc);
  for (const auto& [ifname, features] : was_on_)
    if (!features.empty()) file << fmt::format("{} {}\n", ifname, fmt::join(features, " "));
  file.close();
  if (!file) return file_error(temporary, "writing it");
  if (std::rename(temporary.c_str(), file_.c_str()) != 0) return file_error(file_, "replacing it");
  return {};
}

void Offloads::restore_others(const std::vector<model::XdpInterface>& interfaces) {
  std::map<std::string, Features> kept;
  for (const auto& [ifname, features] : was_on_) {
    const auto now =
        std::find_if(interfaces.begin(), interfaces.end(), [&name = ifname](const auto& i) { return i.name == name; });
    const Features needless = now == interfaces.end() ? features : without(features, in_the_way(now->mode));
    turn_on(ifname, needless);
    if (now != interfaces.end()) kept[ifname] = without(features, needless);
  }
  was_on_ = std::move(kept);
}

net::Status Offloads::remember(const model::XdpInterface& interface) {
  const auto table = FeatureTable::read(interface.name);
  if (!table) return table.error();
  was_on_[interface.name].merge(table->active(in_the_way(interface.mode)));
  return {};
}

net::Status Offloads::turn_off_of(const model::XdpInterface& interface) {
  const Features unwanted = in_the_way(interface.mode);
  auto table = FeatureTable::read(interface.name);
  if (!table) return table.error();
  const Features active = table->active(unwanted);
  if (active.empty()) return {};
  if (auto done = table->set(active, false); !done) return done.error();
  table = FeatureTable::read(interface.name);
  if (!table) return table.error();
  if (const Features left = table->active(unwanted); !left.empty())
    log_(
        fmt::format("{}: its driver does not let {} be turned off: the program may see other frames than there were on "
                    "the wire",
                    interface.name, fmt::join(left, ", ")));
  return {};
}

void Offloads::turn_on(const std::string& ifname, const Features& features) const {
  if (features.empty()) return;
  const auto table = FeatureTable::read(ifname);
  const net::Status done = table ? table->set(features, true) : net::Status(table.error());
  if (!done) log_(fmt::format("{}; offloads that stay off: {}", done.error().message, fmt::join(features, ", ")));
}

}  // namespace lb::xdp
