#include "xdp/decap_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "xdp/decap.skel.h"
#include "xdp/decap_abi.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

constexpr uint32_t kIpv4Bits = 96;  // of a mapped address in front of the IPv4 address

template <class Key>
net::Status put(const bpf_map* map, const Key& key) {
  const uint8_t present = 1;
  if (bpf_map__update_elem(map, &key, sizeof key, &present, sizeof present, BPF_ANY) != 0)
    return bpf_error(fmt::format("writing BPF map {}", bpf_map__name(map)), errno);
  return {};
}

lb_decap_prefix to_key(const net::Prefix& prefix) {
  const bool ipv4 = prefix.address.is_ipv4();
  return {.bits = LB_DECAP_FAMILY_BITS + (ipv4 ? kIpv4Bits : 0) + prefix.length,
          .family = ipv4 ? 4u : 6u,
          .addr = prefix.address.raw()};
}

net::Prefix from_key(const lb_decap_prefix& key) {
  const uint32_t in_front = LB_DECAP_FAMILY_BITS + (key.family == 4 ? kIpv4Bits : 0);
  return {.address = net::Address(key.addr), .length = static_cast<uint8_t>(key.bits - in_front)};
}

net::Result<Fd> open_shaped(const ProgramInfo& program, std::string_view name, uint32_t key_size, uint32_t value_size) {
  auto map = open_map(program, name);
  if (map) {
    const auto info = map_info(map->get());
    if (!info) return info.error();
    if (info->key_size == key_size && info->value_size == value_size) return map;
  }
  return net::Error{
      net::Code::kUnsupported,
      fmt::format("program {} (id {}) was attached by another version of lbctl: its map {} is not as this one "
                  "knows it; attach again with this version",
                  program.name, program.id, name)};
}

// Every key of a map whose values say nothing.
template <class Key>
net::Result<std::vector<Key>> keys_of(const ProgramInfo& program, std::string_view name) {
  const auto map = open_shaped(program, name, sizeof(Key), 1);
  if (!map) return map.error();
  std::vector<Key> keys;
  Key key{};
  const Key* previous = nullptr;
  while (bpf_map_get_next_key(map->get(), previous, &key) == 0) {
    keys.push_back(key);
    previous = &keys.back();
  }
  return keys;
}

net::Result<std::vector<net::Address>> addresses_of(const ProgramInfo& program, std::string_view name) {
  const auto keys = keys_of<lb_addr>(program, name);
  if (!keys) return keys.error();
  std::vector<net::Address> out;
  for (const lb_addr& key : *keys) out.emplace_back(key);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

DecapProgram::DecapProgram(Skeleton skeleton) noexcept : skeleton_(std::move(skeleton)) {}
DecapProgram::DecapProgram(DecapProgram&&) noexcept = default;
DecapProgram& DecapProgram::operator=(DecapProgram&&) noexcept = default;
DecapProgram::~DecapProgram() = default;

void DecapProgram::Delete::operator()(decap_bpf* skeleton) const noexcept {
  decap_bpf__destroy(skeleton);
}

int DecapProgram::ingress_fd() const noexcept {
  return bpf_program__fd(skeleton_->progs.lbd_decap);
}

int DecapProgram::egress_fd() const noexcept {
  return bpf_program__fd(skeleton_->progs.lbd_decap_mss);
}

net::Result<DecapProgram> DecapProgram::load(const model::DecapSettings& settings, const Fd& counters) {
  const LibbpfLog log;
  Skeleton skeleton(decap_bpf__open());
  if (!skeleton) return bpf_error("opening the decapsulation program", errno);
  if (counters.valid() && bpf_map__reuse_fd(skeleton->maps.lbd_dcp_count, counters.get()) != 0)
    return bpf_error("taking over the counters of the attached program", errno);
  if (const int failed = decap_bpf__load(skeleton.get()); failed != 0) {
    net::Error error = bpf_error("loading the decapsulation program", -failed);
    if (error.code != net::Code::kPermission) error.message += fmt::format(" ({})", log.last_line());
    return error;
  }
  if (const auto filled = fill(*skeleton, settings); !filled) return filled.error();
  return DecapProgram(std::move(skeleton));
}

net::Status DecapProgram::fill(const decap_bpf& skeleton, const model::DecapSettings& settings) {
  const auto& maps = skeleton.maps;
  for (const net::Prefix& prefix : settings.from)
    if (auto done = put(maps.lbd_dcp_from, to_key(prefix)); !done) return done;
  for (const net::Address& address : settings.to)
    if (auto done = put(maps.lbd_dcp_to, address.raw()); !done) return done;
  for (const net::Address& address : settings.vips)
    if (auto done = put(maps.lbd_dcp_vips, address.raw()); !done) return done;
  const uint32_t zero = 0;
  const lb_decap_settings value{.mss = settings.mss, .pad = {}};
  if (bpf_map__update_elem(maps.lbd_dcp_setting, &zero, sizeof zero, &value, sizeof value, BPF_ANY) != 0)
    return bpf_error("writing the settings of the decapsulation program", errno);
  // Only the clamp reads them; bound to the other too, they are found even where no clamp is attached.
  if (bpf_prog_bind_map(bpf_program__fd(skeleton.progs.lbd_decap), bpf_map__fd(maps.lbd_dcp_setting), nullptr) != 0)
    return bpf_error("binding the settings to the decapsulation program", errno);
  return {};
}

net::Result<model::DecapSettings> read_decap_settings(const ProgramInfo& program) {
  model::DecapSettings out;
  auto from = keys_of<lb_decap_prefix>(program, LB_DECAP_MAP_FROM);
  if (!from) return from.error();
  for (const lb_decap_prefix& key : *from) out.from.push_back(from_key(key));
  std::sort(out.from.begin(), out.from.end());
  auto to = addresses_of(program, LB_DECAP_MAP_TO);
  if (!to) return to.error();
  out.to = std::move(*to);
  auto vips = addresses_of(program, LB_DECAP_MAP_VIPS);
  if (!vips) return vips.error();
  out.vips = std::move(*vips);
  const auto map = open_shaped(program, LB_DECAP_MAP_SETTINGS, sizeof(uint32_t), sizeof(lb_decap_settings));
  if (!map) return map.error();
  const uint32_t zero = 0;
  lb_decap_settings value{};
  if (bpf_map_lookup_elem(map->get(), &zero, &value) != 0)
    return bpf_error("reading the settings of the decapsulation program", errno);
  out.mss = value.mss;
  return out;
}

Fd open_decap_counters(const ProgramInfo& program) {
  auto map = open_shaped(program, LB_DECAP_MAP_COUNTERS, sizeof(uint32_t), sizeof(uint64_t));
  if (!map) return Fd();
  const auto info = map_info(map->get());
  return info && info->max_entries == LB_DECAP_COUNT_MAX ? std::move(*map) : Fd();
}

net::Result<std::vector<model::DecapCounter>> read_decap_counters(const ProgramInfo& program) {
  std::vector<model::DecapCounter> out = {
#define X(id, name, help) {name, help, LB_DECAP_##id >= LB_DECAP_DROP_FIRST, 0},
      LB_DECAP_COUNTERS(X)
#undef X
  };
  const Fd map = open_decap_counters(program);
  if (!map.valid())
    return net::Error{
        net::Code::kUnsupported,
        fmt::format("program {} (id {}) was attached by another version of lbctl and counts other things; "
                    "attach again with this version",
                    program.name, program.id)};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return bpf_error("counting the CPUs", -cpus);
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  for (uint32_t i = 0; i < out.size(); i++) {
    if (bpf_map_lookup_elem(map.get(), &i, per_cpu.data()) != 0) return bpf_error("reading the counters", errno);
    for (const uint64_t value : per_cpu) out[i].packets += value;
  }
  return out;
}

}  // namespace lb::xdp
