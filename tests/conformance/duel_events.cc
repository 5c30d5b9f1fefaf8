#include "tests/conformance/duel_events.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "tests/property/frames.h"

namespace lb::conformance {
namespace {

using property::pick;

constexpr uint64_t kMostBytes = 1900;

net::Address address(std::string_view text) {
  return net::Address::parse(text).value();
}
model::Backend& backend(World& w, const std::string& pool, const std::string& name) {
  return *std::ranges::find(w.config.pools[pool].backends, name, &model::Backend::name);
}
void remove(World& w, const std::string& pool, const std::string& name) {
  std::erase_if(w.config.pools[pool].backends, [&](const model::Backend& b) { return b.name == name; });
}

struct Change {
  std::function<void(World&, model::Overlay&)> make;
  bool carries = true;  // flows stay with what was removed for a while
};

std::vector<Change> changes() {
  using model::Forward;
  const auto world = [](std::function<void(World&)> f) {
    return Change{[f = std::move(f)](World& w, model::Overlay&) { f(w); }};
  };
  Change gone = world([](World& w) { remove(w, "many", "m2"); });
  gone.carries = false;
  return {
      world([](World&) {}),
      {[](World&, model::Overlay& o) {
        o.drained[{"many", "m1"}] = {};
      }},
      world([](World& w) { remove(w, "many", "m2"); }),
      gone,
      world([](World& w) { backend(w, "many", "m1").weight = 300, backend(w, "many", "m3").weight = 10; }),
      world([](World& w) { backend(w, "many", "m3").weight = 0; }),
      world([](World& w) { w.config.services["spread"].pool = "p4", w.config.services["site"].pool = "p6"; }),
      world([](World& w) { w.topology.reach[address("10.0.1.1")].resolved = false; }),
      world([](World& w) {
        for (const char* lost : {"10.0.1.1", "10.0.1.2", "2001:db8:1::3", "10.0.0.11"})
          w.topology.reach[address(lost)].resolved = false;
      }),
      world([](World& w) {
        for (const char* s : {"spread", "sticky", "site", "web"}) w.config.services[s].forward = Forward::kDsr;
      }),
      world([](World& w) {
        for (auto& [a, reach] : w.topology.reach) reach.mtu = 700;
      }),
      world([](World& w) { w.topology.reach[address("10.0.1.2")].port = net::PortId{kWan}; }),
      world([](World& w) {
        for (const char* s : {"web", "exact", "range"}) w.config.services.erase(s);
      }),
      world([](World& w) { w.topology.kernel_addresses.insert(address("192.0.2.30")); }),
      world([](World& w) { w.config.services.clear(); }),
  };
}

}  // namespace

std::vector<std::shared_ptr<const model::Snapshot>> changing_worlds() {
  model::Compiler compiler(kKey);
  model::IdTable ids;
  std::vector<std::shared_ptr<const model::Snapshot>> all;
  for (const Change& change : changes()) {
    World w = edge();
    model::Overlay overlay;
    change.make(w, overlay);
    model::canonicalize(w.config);
    if (change.carries) {
      model::Overlay carried = model::carry({}, edge().config, w.config, 0);
      carried.drained = overlay.drained;
      overlay = carried;
    }
    const auto made =
        ids.assign(w.config, overlay)
            ? compiler.compile(w.config, w.topology, ids, net::Generation{all.size() + 1}, nullptr, overlay)
            : net::Result<std::shared_ptr<const model::Snapshot>>(
                  net::Error{net::Code::kInternal, "no numbers for its backends"});
    if (!made) {
      std::fprintf(stderr, "world %zu of the duel: %s\n", all.size(), made.error().message.c_str());
      std::abort();
    }
    all.push_back(*made);
  }
  return all;
}

Events::Events(uint64_t seed, size_t worlds, bool is_calm)
    : random_(seed),
      worlds_(worlds),
      is_calm_(is_calm),
      forwarded_(property::seeds(Verdict::kForward)),
      all_(property::seeds(Verdict::kNone)),
      edge_frames_(random_, kClients, is_calm ? kCalmPorts : kPorts) {}

packet::Packet Events::headers(bool ipv6, const char* to) {
  packet::Packet p = packet::eth();
  for (uint64_t tags = pick(random_, 8) == 0 ? 1 + pick(random_, 2) : 0; tags > 0; tags--)
    p.vlan(static_cast<uint16_t>(pick(random_, 4096)), pick(random_, 2) == 0 ? 0x8100 : 0x88a8);
  const std::string client = std::to_string(1 + pick(random_, kClients));
  const auto hops = static_cast<uint8_t>(pick(random_, 40) == 0 ? pick(random_, 3) : 64);
  const auto tos = static_cast<uint8_t>(pick(random_, 4) == 0 ? random_() : 0);
  if (ipv6) {
    p.ip6("2001:db8:f::" + client, to, {.tos = tos, .hop_limit = hops});
    constexpr uint8_t kExtensions[] = {0, 43, 51, 60, 135};
    if (pick(random_, 12) == 0) p.extension(kExtensions[pick(random_, 5)], 8 * (2 + pick(random_, 3)));
  } else {
    p.ip4("198.51.100." + client, to,
          {.tos = tos,
           .ttl = hops,
           .df = pick(random_, 2) == 0,
           .options = packet::Bytes(pick(random_, 12) == 0 ? 4 * (1 + pick(random_, 10)) : 0, 1)});
  }
  return p;
}

// Of some hundred flows to services of every kind, most of which have more than one backend.
packet::Bytes Events::flow_frame() {
  struct To {
    const char *ipv4, *ipv6;
    uint16_t port;
    bool udp;
  };
  static constexpr To kTo[] = {{"192.0.2.60", "2001:db8::60", 80, false},  {"192.0.2.60", "2001:db8::60", 80, false},
                               {"192.0.2.61", "2001:db8::61", 80, false},  {"192.0.2.61", nullptr, 53, true},
                               {"192.0.2.62", nullptr, 80, false},         {"192.0.2.62", nullptr, 80, false},
                               {"192.0.2.10", "2001:db8::10", 80, false},  {"192.0.2.10", "2001:db8::10", 53, true},
                               {"192.0.2.30", "2001:db8::30", 8050, true}, {"192.0.2.30", "2001:db8::30", 8051, true},
                               {"192.0.2.30", "2001:db8::30", 99, true},   {"192.0.2.21", "2001:db8::20", 80, false}};
  static constexpr uint8_t kFlags[] = {0x02, 0x10, 0x10, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x00, 0x03, 0x3f};
  const To& to = kTo[pick(random_, std::size(kTo))];
  const bool ipv6 = to.ipv6 != nullptr && pick(random_, 3) == 0;
  packet::Packet p = headers(ipv6, ipv6 ? to.ipv6 : to.ipv4);
  // Some of a flood, none of which comes twice.
  const bool floods = !is_calm_ && pick(random_, 5) == 0;
  const auto sport = static_cast<uint16_t>(floods ? random_() : 1024 + pick(random_, is_calm_ ? kCalmPorts : kPorts));
  if (to.udp)
    p.udp(sport, to.port);
  else
    p.tcp(sport, to.port, {.flags = kFlags[pick(random_, std::size(kFlags))]});
  p.payload_size(pick(random_, pick(random_, 8) == 0 ? 1700 : 3));
  if (pick(random_, 6) == 0) p.padding(1 + pick(random_, 20));
  return p.bytes();
}

packet::Bytes Events::next_frame() {
  const uint64_t kind = pick(random_, 13);
  packet::Bytes f = kind < 6    ? flow_frame()
                    : kind < 9  ? edge_frames_.next()
                    : kind < 12 ? forwarded_[pick(random_, forwarded_.size())]
                                : all_[pick(random_, all_.size())];
  if (pick(random_, 10) < (is_calm_ ? 2 : 8)) f = property::mutate(std::move(f), random_);
  f.resize(std::clamp<size_t>(f.size(), kLeastXdpFrame, kMostBytes));
  return f;
}

Event Events::next() {
  const uint64_t kind = pick(random_, 10'000);
  if (kind < 40) return {.kind = Event::Kind::kSnapshot, .value = pick(random_, 2) == 0 ? 0 : pick(random_, worlds_)};
  if (kind < 50) return {.kind = Event::Kind::kEgress, .value = pick(random_, 4) != 0};
  if (kind < 60) return {.kind = Event::Kind::kExceptionPath, .value = pick(random_, 4) != 0};
  if (kind < 64) return {.kind = Event::Kind::kTime, .value = 1000 * (1 + pick(random_, 1200))};
  if (kind < 1000) return {.kind = Event::Kind::kTime, .value = 1 + pick(random_, 400)};
  return {.kind = Event::Kind::kFrame, .frame = next_frame()};
}

}  // namespace lb::conformance
