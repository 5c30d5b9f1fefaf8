#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "dataplane/model/compiler_parts.h"

namespace lb::model {
namespace {

constexpr size_t kMinSlots = 16;
constexpr size_t kMinFilterBits = 1024;

bool is_empty(const lb_listener_slot& s) {
  return s.proto == 0;
}
bool is_empty(const lb_address_slot& s) {
  return s.flags == 0;
}
uint32_t hash_of(const lb_listener_slot& s) {
  return lb_listener_hash(lb_address_hash(&s.addr), s.port, s.proto);
}
uint32_t hash_of(const lb_address_slot& s) {
  return lb_address_hash(&s.addr);
}

// Every item within LB_MAX_PROBE slots of its hash; false when that is impossible in `size` slots.
template <class Slot>
bool place(const std::vector<Slot>& items, size_t size, std::vector<Slot>& table) {
  table.assign(size, Slot{});
  for (const Slot& item : items) {
    const uint32_t first = hash_of(item);
    uint32_t probe = 0;
    while (probe < LB_MAX_PROBE && !is_empty(table[(first + probe) & (size - 1)])) probe++;
    if (probe == LB_MAX_PROBE) return false;
    table[(first + probe) & (size - 1)] = item;
  }
  return true;
}

template <class Slot>
net::Status lay_out(const std::vector<Slot>& items, std::string_view what, std::vector<Slot>& table) {
  const size_t start = std::bit_ceil(std::max(kMinSlots, 2 * items.size()));
  for (size_t size = start; size <= start * 1024; size *= 2)
    if (place(items, size, table)) return {};
  return net::Error{net::Code::kInvalid,
                    fmt::format("more than {} of {} {} share one place in the lookup table: change "
                                "some of their addresses or ports",
                                LB_MAX_PROBE, items.size(), what)};
}

struct Owned {
  std::vector<lb_port_range> ranges;  // empty: only exact listeners
  NoListener on_no_listener = NoListener::kAuto;
};
struct Gathered {
  std::vector<lb_listener_slot> exact;
  std::map<net::Address, Owned> by_address;
};

void gather(const Listener& l, uint32_t service, NoListener otherwise, uint32_t name, Gathered& out) {
  Owned& owned = out.by_address[l.address];
  owned.on_no_listener = otherwise;
  auto& ranges = owned.ranges;
  const auto proto = net::raw(l.proto);
  if (l.is_exact()) {
    out.exact.push_back({.addr = l.address.raw(),
                         .port = lb_htons(l.first),
                         .proto = proto,
                         .pad0 = 0,
                         .service = service,
                         .listener = name,
                         .pad1 = 0});
  } else {
    ranges.push_back({.first = l.first,
                      .last = l.last,
                      .proto = proto,
                      .any = l.is_any(),
                      .pad = 0,
                      .service = service,
                      .listener = name});
  }
}

uint8_t flags_of(NoListener otherwise, bool is_kernels) {
  if (otherwise == NoListener::kReject) return LB_ADDR_USED | LB_ADDR_REJECT;
  const bool punt = otherwise == NoListener::kPunt || (otherwise == NoListener::kAuto && is_kernels);
  return punt ? LB_ADDR_USED | LB_ADDR_KERNEL : LB_ADDR_USED;
}

std::vector<lb_address_slot> gather_addresses(Gathered& gathered, const Topology& topology, Snapshot& out) {
  std::vector<lb_address_slot> slots;
  for (auto& [address, owned] : gathered.by_address) {
    auto& ranges = owned.ranges;
    std::ranges::sort(ranges, [](const lb_port_range& a, const lb_port_range& b) {
      return std::tie(a.any, a.proto, a.first) < std::tie(b.any, b.proto, b.first);
    });
    slots.push_back({.addr = address.raw(),
                     .range_start = static_cast<uint32_t>(out.ranges.size()),
                     .range_count = static_cast<uint32_t>(ranges.size()),
                     .flags = flags_of(owned.on_no_listener, topology.kernel_addresses.contains(address)),
                     .pad = {}});
    out.ranges.insert(out.ranges.end(), ranges.begin(), ranges.end());
  }
  return slots;
}

// At most one bit in 32 is set, so that a stranger's is clear nearly always: 8 KB for 1,024 addresses.
std::vector<uint64_t> address_bits(const std::vector<lb_address_slot>& owned) {
  if (owned.empty()) return {};
  std::vector<uint64_t> words(std::bit_ceil(std::max<size_t>(kMinFilterBits, owned.size() * 32)) / 64);
  for (const lb_address_slot& slot : owned) {
    const auto bit = hash_of(slot) & static_cast<uint32_t>(words.size() * 64 - 1);
    words[bit / 64] |= 1ull << (bit % 64);
  }
  return words;
}

}  // namespace

net::Status compile_listeners(const Config& config, const Topology& topology, const IdTable& ids, Snapshot& out) {
  Gathered gathered;
  for (const auto& [name, service] : config.services) {
    const uint32_t index = net::raw(ids.service(name));
    for (const Listener& l : service.listen) {
      gather(l, index, service.on_no_listener, static_cast<uint32_t>(out.listener_names.size()), gathered);
      out.listener_names.push_back(l);
    }
  }
  if (auto status = lay_out(gathered.exact, "listeners", out.listeners); !status) return status;
  const std::vector<lb_address_slot> owned = gather_addresses(gathered, topology, out);
  out.address_bits = address_bits(owned);
  return lay_out(owned, "listener addresses", out.addresses);
}

std::vector<net::Address> owned_addresses(const Snapshot& snapshot) {
  std::vector<net::Address> owned;
  for (const lb_address_slot& slot : snapshot.addresses)
    if (slot.flags & LB_ADDR_USED) owned.emplace_back(slot.addr);
  std::ranges::sort(owned);
  return owned;
}

}  // namespace lb::model
