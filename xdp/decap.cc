#include "xdp/decap.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "xdp/decap_abi.h"
#include "xdp/decap_filter.h"
#include "xdp/decap_program.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

constexpr uint16_t kMinMss = 536;  // RFC 9293 section 3.7.1: what a peer without the option assumes over IPv4

struct Interface {
  std::string name;
  int index = 0;
  std::vector<net::Address> addresses;  // without link-local ones, sorted
};

template <class T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

void take_address(const sockaddr& from, std::vector<net::Address>& out) {
  net::Address address;
  if (from.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &from, sizeof in);
    address = net::Address::from_ipv4(reinterpret_cast<const uint8_t*>(&in.sin_addr));
  } else if (from.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &from, sizeof in);
    address = net::Address::from_ipv6(in.sin6_addr.s6_addr);
  } else {
    return;
  }
  if (!address.is_link_local()) out.push_back(address);
}

net::Result<Interface> find_interface(const std::string& name) {
  Interface out{.name = name, .index = static_cast<int>(if_nametoindex(name.c_str())), .addresses = {}};
  if (out.index == 0) return no_such_interface(name);
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return bpf_error("listing network interfaces", errno);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(all, freeifaddrs);
  bool ethernet = false;
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (name != i->ifa_name || i->ifa_addr == nullptr) continue;
    if (i->ifa_addr->sa_family == AF_PACKET) {
      sockaddr_ll link{};
      std::memcpy(&link, i->ifa_addr, sizeof link);
      ethernet = link.sll_hatype == ARPHRD_ETHER;
    }
    take_address(*i->ifa_addr, out.addresses);
  }
  sort_unique(out.addresses);
  if (!ethernet)
    return net::Error{
        net::Code::kUnsupported,
        fmt::format("{} is no Ethernet interface; decapsulation needs the one that tunnel packets come in by "
                    "(lo, tun and tunnel interfaces are none)",
                    name)};
  return out;
}

bool holds(const std::vector<net::Address>& sorted, const net::Address& address) {
  return std::binary_search(sorted.begin(), sorted.end(), address);
}

net::Error invalid(std::string message) {
  return {net::Code::kInvalid, std::move(message)};
}

net::Status check_counts(const model::DecapSettings& s) {
  if (s.from.empty())
    return invalid(
        "no --from PREFIX: the load balancers' addresses are needed, or anybody could reach a VIP past every filter");
  if (s.vips.empty()) return invalid("no --vip ADDRESS: without the virtual addresses nothing would be decapsulated");
  if (s.from.size() > LB_DECAP_MAX_FROM)
    return invalid(
        fmt::format("{} prefixes in --from, at most {} are possible; join them", s.from.size(), LB_DECAP_MAX_FROM));
  if (s.vips.size() > LB_DECAP_MAX_VIPS)
    return invalid(fmt::format("{} addresses in --vip, at most {} are possible", s.vips.size(), LB_DECAP_MAX_VIPS));
  if (s.to.size() > LB_DECAP_MAX_TO)
    return invalid(fmt::format("{} outer addresses, at most {} are possible; name those that the pool uses with --to",
                               s.to.size(), LB_DECAP_MAX_TO));
  if (s.mss != 0 && s.mss < kMinMss)
    return invalid(fmt::format("--mss {} is below {}, what a peer may send anyway", s.mss, kMinMss));
  return {};
}

// Sorted, without duplicates, `to` filled in.
net::Result<model::DecapSettings> complete(const Interface& interface, model::DecapSettings s) {
  sort_unique(s.from);
  sort_unique(s.vips);
  if (s.to.empty()) {
    std::copy_if(interface.addresses.begin(), interface.addresses.end(), std::back_inserter(s.to),
                 [&](const net::Address& a) { return !holds(s.vips, a); });
    if (s.to.empty())
      return invalid(
          fmt::format("{} has no address that tunnel packets could be sent to; name the outer destination with --to "
                      "ADDRESS",
                      interface.name));
  }
  sort_unique(s.to);
  for (const net::Address& address : s.to)
    if (holds(s.vips, address))
      return invalid(
          fmt::format("{} is both --vip and --to: the outer address must be the server's own, as the pool names it",
                      address.to_string()));
  if (const auto counts = check_counts(s); !counts) return counts.error();
  return s;
}

// Both places on one interface, and who is there.
struct Places {
  DecapFilter ingress, egress;
  std::optional<ProgramInfo> decap, mss;

  static net::Result<Places> find(const Interface& interface) {
    Places p{.ingress = DecapFilter(interface.name, interface.index, Direction::kIngress),
             .egress = DecapFilter(interface.name, interface.index, Direction::kEgress),
             .decap = {},
             .mss = {}};
    auto decap = p.ingress.attached();
    if (!decap) return decap.error();
    p.decap = std::move(*decap);
    auto mss = p.egress.attached();
    if (!mss) return mss.error();
    p.mss = std::move(*mss);
    return p;
  }
};

// Nothing to do: the same instructions with the same settings run already.
bool runs_already(const Places& places, const DecapProgram& program, const model::DecapSettings& settings) {
  if (!places.decap || places.mss.has_value() != (settings.mss != 0)) return false;
  const auto now = read_decap_settings(*places.decap);
  if (!now || *now != settings || !open_decap_counters(*places.decap).valid()) return false;
  const auto ingress = program_info_of(program.ingress_fd());
  const auto egress = program_info_of(program.egress_fd());
  if (!ingress || !egress || ingress->tag != places.decap->tag) return false;
  return !places.mss || egress->tag == places.mss->tag;
}

net::Status put_in_place(const Places& places, const DecapProgram& program, const model::DecapSettings& settings) {
  // The clamp first: where it can't be had, decapsulation is as it was before.
  if (settings.mss != 0)
    if (auto done = places.egress.attach(program.egress_fd()); !done) return done;
  if (auto done = places.ingress.attach(program.ingress_fd()); !done) {
    if (settings.mss != 0 && !places.mss) (void)places.egress.detach();
    return done;
  }
  return settings.mss == 0 && places.mss ? places.egress.detach() : net::Status();
}

class TcDecapsulation : public model::Decapsulation {
 public:
  net::Result<model::DecapChange> attach(const std::string& name, const model::DecapSettings& wanted,
                                         model::Run run) override {
    const auto interface = find_interface(name);
    if (!interface) return interface.error();
    auto settings = complete(*interface, wanted);
    if (!settings) return settings.error();
    const auto places = Places::find(*interface);
    if (!places) return places.error();
    const Fd counters = places->decap ? open_decap_counters(*places->decap) : Fd();
    const auto program = DecapProgram::load(*settings, counters);
    if (!program) return program.error();
    model::DecapChange change{.changed = !runs_already(*places, *program, *settings),
                              .replaced = places->decap.has_value(),
                              .settings = std::move(*settings)};
    if (!change.changed || run == model::Run::kDry) return change;
    if (const auto made = make_hooks(name, interface->index); !made) return made.error();
    if (const auto done = put_in_place(*places, *program, change.settings); !done) return done.error();
    return change;
  }

  net::Result<model::DecapChange> detach(const std::string& name, model::Run run) override {
    const auto interface = find_interface(name);
    if (!interface) return interface.error();
    const auto places = Places::find(*interface);
    if (!places) return places.error();
    const model::DecapChange change{
        .changed = places->decap || places->mss, .replaced = false, .settings = model::DecapSettings{}};
    if (run == model::Run::kDry) return change;
    if (places->decap)
      if (const auto done = places->ingress.detach(); !done) return done.error();
    if (places->mss)
      if (const auto done = places->egress.detach(); !done) return done.error();
    return change;
  }

  net::Result<model::DecapState> show(const std::string& name) override {
    const auto interface = find_interface(name);
    if (!interface) return interface.error();
    const auto places = Places::find(*interface);
    if (!places) return places.error();
    if (!places->decap)
      return net::Error{
          net::Code::kNotFound,
          fmt::format("no decapsulation on {}; attach it: lbctl decap attach {} --from PREFIX --vip ADDRESS", name,
                      name)};
    auto settings = read_decap_settings(*places->decap);
    if (!settings) return settings.error();
    auto counters = read_decap_counters(*places->decap);
    if (!counters) return counters.error();
    model::DecapState state{.settings = std::move(*settings), .counters = std::move(*counters), .not_expected = {}};
    for (const net::Address& address : interface->addresses)
      if (!holds(state.settings.to, address) && !holds(state.settings.vips, address))
        state.not_expected.push_back(address);
    return state;
  }
};

}  // namespace

std::unique_ptr<model::Decapsulation> decapsulation() {
  return std::make_unique<TcDecapsulation>();
}

}  // namespace lb::xdp
