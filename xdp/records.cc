#include "xdp/records.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "xdp/interface.h"

namespace lb::xdp {
namespace {

constexpr uint32_t kZero = 0;

// Into one half of an array; what the half had behind it becomes zero.
template <class T>
void write_records(std::span<T> both, uint32_t half, const std::vector<T>& records, size_t had) {
  const std::span<T> mine = both.subspan(half * (both.size() / 2), both.size() / 2);
  std::copy(records.begin(), records.end(), mine.begin());
  if (had > records.size()) std::fill(mine.begin() + records.size(), mine.begin() + had, T{});
}

uint32_t mask_of(size_t slots) {
  return slots == 0 ? LB_XDP_EMPTY : static_cast<uint32_t>(slots - 1);
}

net::Status fits_one(size_t records, size_t most, const char* what) {
  if (records <= most) return {};
  return net::Error{net::Code::kInvalid,
                    fmt::format("the configuration needs {} {}, the XDP program has room for {}: configure fewer "
                                "listeners, or use engine dpdk",
                                records, what, most)};
}

}  // namespace

net::Result<GracePeriod> GracePeriod::create() {
  GracePeriod grace;
  const uint32_t word = sizeof(uint32_t);
  grace.inner_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_grace_inner", word, word, 1, nullptr));
  if (!grace.inner_.valid()) return bpf_error("making a BPF map", errno);
  bpf_map_create_opts opts{};
  opts.sz = sizeof(opts);
  opts.inner_map_fd = static_cast<uint32_t>(grace.inner_.get());
  grace.outer_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "lb_grace", word, word, 1, &opts));
  if (!grace.outer_.valid()) return bpf_error("making a BPF map of maps", errno);
  return grace;
}

net::Status GracePeriod::wait() const {
  const uint32_t inner = static_cast<uint32_t>(inner_.get());
  if (bpf_map_update_elem(outer_.get(), &kZero, &inner, BPF_ANY) != 0)
    return bpf_error("waiting for the packets that are in the XDP program", errno);
  return {};
}

net::Result<Records> Records::create(const Maps& maps) {
  auto grace = GracePeriod::create();
  if (!grace) return grace.error();
  return Records(maps, std::move(*grace));
}

Records::Records(const Maps& maps, GracePeriod grace)
    : maps_(&maps), grace_(std::move(grace)), room_(static_cast<uint32_t>(maps.tables().size())) {}

net::Status Records::fits(const model::Snapshot& s) const {
  if (auto ok = fits_one(s.listeners.size(), maps_->listeners().size() / 2, "slots for listeners"); !ok) return ok;
  if (auto ok = fits_one(s.addresses.size(), maps_->addresses().size() / 2, "slots for addresses"); !ok) return ok;
  if (auto ok = fits_one(s.ranges.size(), maps_->ranges().size() / 2, "port ranges"); !ok) return ok;
  if (auto ok = fits_one(s.services.size(), maps_->services().size() / 2, "services"); !ok) return ok;
  return fits_one(s.backends.size(), maps_->backends().size() / 2, "backends");
}

net::Status Records::publish(std::shared_ptr<const model::Snapshot> snapshot) {
  if (net::Status fit = fits(*snapshot); !fit) return fit;
  if (net::Status settled = settle(); !settled) return settled;
  const auto fresh = room_.place(snapshot->tables);
  if (!fresh)
    return net::Error{
        net::Code::kUnavailable,
        fmt::format(
            "the tables of this configuration take {} lines of 64 bytes; {} of {} lines are free while those in "
            "use stay: use a smaller table-size, or fewer pools",
            table_lines(*snapshot), room_.free_lines(), room_.lines())};
  write_tables(*fresh);
  uint32_t& active = maps_->config().active;
  const uint32_t before = __atomic_load_n(&active, __ATOMIC_RELAXED) & 1;
  write_half(1 - before, *snapshot);
  __atomic_store_n(&active, 1 - before, __ATOMIC_RELEASE);  // partner: the program's one load of it
  is_settled_ = false;
  const auto old = std::exchange(current_, std::move(snapshot));
  net::Status settled = settle();
  if (!settled) {
    __atomic_store_n(&active, before, __ATOMIC_RELEASE);
    current_ = old;
  }
  return settled;
}

// After a flip: until nothing reads the half that is not in use.
net::Status Records::settle() {
  if (is_settled_) return {};
  if (net::Status waited = grace_.wait(); !waited) return waited;
  is_settled_ = true;
  room_.keep_only(current_ == nullptr ? std::span<const std::shared_ptr<const model::Table>>() : current_->tables);
  return {};
}

// Lines that no half names: plain writes, before the flip releases them.
void Records::write_tables(std::span<const TableRoom::Placed> fresh) const {
  const std::span<lb_xdp_table_line> lines = maps_->tables();
  for (const TableRoom::Placed& p : fresh) {
    if (p.table->slots.empty()) continue;
    lb_xdp_table_line* const at = &lines[p.line];
    at[table_lines(*p.table) - 1] = {};
    std::memcpy(at, p.table->slots.data(), p.table->slots.size() * sizeof(uint16_t));
  }
}

void Records::write_half(uint32_t half, const model::Snapshot& s) {
  std::vector<lb_xdp_service> services(s.services.size());
  for (size_t i = 0; i < services.size(); i++) {
    services[i].service = s.services[i];
    if (s.services[i].table_size == 0) continue;
    services[i].line4 = room_.line_of(*s.tables[s.services[i].table4]);
    services[i].line6 = room_.line_of(*s.tables[s.services[i].table6]);
  }
  write_records(maps_->services(), half, services, std::exchange(services_[half], services.size()));
  write_records(maps_->backends(), half, s.backends, std::exchange(backends_[half], s.backends.size()));
  write_records(maps_->listeners(), half, s.listeners, 0);  // by mask: slots behind are not read
  write_records(maps_->addresses(), half, s.addresses, 0);
  write_records(maps_->ranges(), half, s.ranges, 0);
  lb_xdp_half& h = maps_->config().half[half];
  h.key = s.hash_key;
  h.generation = net::raw(s.generation);
  h.listeners_mask = mask_of(s.listeners.size());
  h.addresses_mask = mask_of(s.addresses.size());
  h.backends = static_cast<uint32_t>(s.backends.size());
  h.services = static_cast<uint32_t>(services.size());
  h.ranges = static_cast<uint32_t>(s.ranges.size());
}

}  // namespace lb::xdp
