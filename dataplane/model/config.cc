#include "dataplane/model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace lb::model {
namespace {

template <class E>
using Names = std::span<const std::pair<E, std::string_view>>;

constexpr std::pair<Forward, std::string_view> kForwards[] = {{Forward::kDsr, "dsr"}, {Forward::kIpip, "ipip"}};
constexpr std::pair<Schedule, std::string_view> kSchedules[] = {{Schedule::kMaglev, "maglev"},
                                                                {Schedule::kSourceHash, "source-hash"}};
constexpr std::pair<Idle, std::string_view> kIdles[] = {{Idle::kSleep, "sleep"}, {Idle::kPoll, "poll"}};
constexpr std::pair<HugePages, std::string_view> kHugePages[] = {
    {HugePages::kAuto, "auto"}, {HugePages::kOn, "on"}, {HugePages::kOff, "off"}};
constexpr std::pair<XdpMode, std::string_view> kXdpModes[] = {{XdpMode::kNative, "native"},
                                                              {XdpMode::kGeneric, "generic"}};

constexpr std::pair<NoListener, std::string_view> kNoListeners[] = {{NoListener::kAuto, "auto"},
                                                                    {NoListener::kDrop, "drop"},
                                                                    {NoListener::kReject, "reject"},
                                                                    {NoListener::kPunt, "punt"}};

constexpr std::pair<Announce, std::string_view> kAnnounces[] = {{Announce::kOff, "off"}, {Announce::kOn, "on"}};

template <class E>
std::string_view name_of(Names<E> names, E value) noexcept {
  for (const auto& [v, name] : names)
    if (v == value) return name;
  return "?";
}

template <class E>
std::optional<E> value_of(Names<E> names, std::string_view text) noexcept {
  for (const auto& [v, name] : names)
    if (name == text) return v;
  return std::nullopt;
}

}  // namespace

std::string Daemon::port_name(size_t port) const {
  if (engine == "xdp") return port < interfaces.size() ? interfaces[port].name : std::to_string(port);
  return port < ports.size() ? ports[port].name : std::to_string(port);
}

void canonicalize(Pool& pool) {
  std::stable_sort(pool.backends.begin(), pool.backends.end(),
                   [](const Backend& a, const Backend& b) { return a.name < b.name; });
}

void canonicalize(Service& service) {
  std::sort(service.listen.begin(), service.listen.end());
}

void canonicalize(Config& config) {
  for (auto& [name, pool] : config.pools) canonicalize(pool);
  for (auto& [name, service] : config.services) canonicalize(service);
  std::sort(config.daemon.access.operators.begin(), config.daemon.access.operators.end());
  std::sort(config.daemon.access.viewers.begin(), config.daemon.access.viewers.end());
}

std::string_view to_string(Forward f) noexcept {
  return name_of<Forward>(kForwards, f);
}
std::string_view to_string(Schedule s) noexcept {
  return name_of<Schedule>(kSchedules, s);
}
std::string_view to_string(NoListener n) noexcept {
  return name_of<NoListener>(kNoListeners, n);
}
std::string_view to_string(Announce a) noexcept {
  return name_of<Announce>(kAnnounces, a);
}
std::string_view to_string(Idle i) noexcept {
  return name_of<Idle>(kIdles, i);
}
std::string_view to_string(HugePages h) noexcept {
  return name_of<HugePages>(kHugePages, h);
}
std::string_view to_string(XdpMode m) noexcept {
  return name_of<XdpMode>(kXdpModes, m);
}
std::string orphan_after_text(uint32_t seconds) {
  return seconds == 0 ? "never" : fmt::format("{}s", seconds);
}
std::optional<Forward> parse_forward(std::string_view s) noexcept {
  return value_of<Forward>(kForwards, s);
}
std::optional<Schedule> parse_schedule(std::string_view s) noexcept {
  return value_of<Schedule>(kSchedules, s);
}
std::optional<NoListener> parse_no_listener(std::string_view s) noexcept {
  return value_of<NoListener>(kNoListeners, s);
}
std::optional<Announce> parse_announce(std::string_view s) noexcept {
  return value_of<Announce>(kAnnounces, s);
}
std::optional<Idle> parse_idle(std::string_view s) noexcept {
  return value_of<Idle>(kIdles, s);
}
std::optional<HugePages> parse_huge_pages(std::string_view s) noexcept {
  return value_of<HugePages>(kHugePages, s);
}
std::optional<XdpMode> parse_xdp_mode(std::string_view s) noexcept {
  return value_of<XdpMode>(kXdpModes, s);
}

}  // namespace lb::model
