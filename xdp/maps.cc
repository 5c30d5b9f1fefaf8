#include "xdp/maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <utility>

#include "xdp/interface.h"
#include "xdp/lb.skel.h"

namespace lb::xdp {
namespace {

// The oldest kernel that the program is tried on; its helpers are those of that one.
constexpr unsigned kMajor = 6, kMinor = 1;

struct SkeletonDelete {
  void operator()(lb_bpf* s) const { lb_bpf__destroy(s); }
};
using Skeleton = std::unique_ptr<lb_bpf, SkeletonDelete>;

void resize(const lb_bpf& s, const MapSizes& sizes) {
  const auto set = [](bpf_map* map, uint64_t entries) {
    bpf_map__set_max_entries(map, static_cast<uint32_t>(entries));
  };
  set(s.maps.lb_tables, sizes.table_lines);
  set(s.maps.lb_flows, sizes.flow_lines);
  set(s.maps.lb_flow_records, uint64_t{sizes.flow_lines} * LB_FLOW_ENTRIES);
  set(s.maps.lb_flow_log, sizes.flow_lines > 1 ? uint64_t{sizes.workers} * LB_XDP_LOG_LINES : 1);
  set(s.maps.lb_former_flows, sizes.former_lines);
  set(s.maps.lb_workers, sizes.workers);
  set(s.maps.lb_service_traffic, uint64_t{sizes.workers} * LB_XDP_SERVICES);
  set(s.maps.lb_backend_traffic, uint64_t{sizes.workers} * LB_XDP_BACKENDS);
}

// The kernel takes a map of another size for another program's; libbpf would take it as it is.
net::Status check_shape(const bpf_map* map, int fd) {
  const auto info = map_info(fd);
  if (!info) return info.error();
  if (info->key_size == bpf_map__key_size(map) && info->value_size == bpf_map__value_size(map)) return {};
  return net::Error{net::Code::kInvalid,
                    fmt::format("BPF map {} has values of {} bytes, this version's have {}: it was made by another "
                                "version of lbd; remove its pin and start again",
                                bpf_map__name(map), info->value_size, bpf_map__value_size(map))};
}

net::Status reuse_maps(const lb_bpf& s, std::span<const NamedFd> reuse) {
  for (const NamedFd& r : reuse) {
    bpf_map* map = bpf_object__find_map_by_name(s.obj, std::string(r.name).c_str());
    if (map == nullptr)
      return net::Error{net::Code::kInternal, fmt::format("the program has no map {} to be reused", r.name)};
    if (net::Status same = check_shape(map, r.fd); !same) return same;
    if (bpf_map__reuse_fd(map, r.fd) != 0) return bpf_error(fmt::format("reusing BPF map {}", r.name), errno);
  }
  return {};
}

uint64_t bytes_of(const lb_bpf& s) {
  uint64_t bytes = 0;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, s.obj) bytes += uint64_t{bpf_map__value_size(map)} * bpf_map__max_entries(map);
  return bytes;
}

net::Error create_error(const lb_bpf& s, int error) {
  if (error == ENOMEM || error == E2BIG)
    return {net::Code::kUnavailable,
            fmt::format("the maps of the XDP program need {} MB of the kernel's memory, which are not to be had: "
                        "lower daemon.flows, or give the machine or its control group more memory",
                        (bytes_of(s) >> 20) + 1)};
  return bpf_error("making the maps of the XDP program", error);
}

}  // namespace

std::string why_too_old(std::string_view release) {
  unsigned major = 0, minor = 0;
  const char* end = release.data() + release.size();
  const auto [dot, first] = std::from_chars(release.data(), end, major);
  if (first != std::errc() || dot == end || *dot != '.') return {};
  if (std::from_chars(dot + 1, end, minor).ec != std::errc()) return {};
  if (major > kMajor || (major == kMajor && minor >= kMinor)) return {};
  return fmt::format(
      "Linux {} is too old for engine xdp, which needs {}.{} or later; use engine dpdk, or a newer kernel", release,
      kMajor, kMinor);
}

std::string why_no_xdp() {
  utsname kernel = {};
  uname(&kernel);
  return why_too_old(kernel.release);
}

Maps::Memory::~Memory() {
  munmap(data, bytes);
}

net::Result<Maps> Maps::create(const MapSizes& sizes, std::span<const NamedFd> reuse) {
  if (std::string why = why_no_xdp(); !why.empty()) return net::Error{net::Code::kUnsupported, std::move(why)};
  const LibbpfLog words;
  const Skeleton skeleton(lb_bpf__open());
  if (!skeleton) return bpf_error("opening the XDP program", errno);
  resize(*skeleton, sizes);
  // A map that is reused gets in libbpf the name under which it was made: the former flow tables were lb_flows then.
  std::vector<std::pair<const bpf_map*, std::string>> named;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    if (!bpf_map__is_internal(map)) named.emplace_back(map, bpf_map__name(map));
  }
  if (net::Status reused = reuse_maps(*skeleton, reuse); !reused) return reused.error();
  bpf_program__set_autoload(skeleton->progs.lbd_balance, false);
  if (const int failed = lb_bpf__load(skeleton.get()); failed != 0) return create_error(*skeleton, -failed);
  Maps maps;
  for (const auto& [made, name] : named)
    if (net::Status taken = maps.take(name, bpf_map__fd(made)); !taken) return taken.error();
  const bool fresh = std::none_of(reuse.begin(), reuse.end(), [](const NamedFd& r) { return r.name == "lb_config"; });
  if (fresh)
    for (lb_xdp_half& half : maps.config().half) half.listeners_mask = half.addresses_mask = LB_XDP_EMPTY;
  return maps;
}

net::Status Maps::take(std::string_view name, int fd) {
  Map map;
  map.fd = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!map.fd.valid()) return bpf_error(fmt::format("keeping BPF map {}", name), errno);
  const auto info = map_info(fd);
  if (!info) return info.error();
  map.id = info->id;
  map.entries = info->max_entries;
  if (info->is_array) {
    const size_t bytes = size_t{info->value_size} * info->max_entries;
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return bpf_error(fmt::format("mapping BPF map {} into memory", name), errno);
    map.memory = std::make_shared<Memory>(at, bytes);
  }
  maps_.emplace(name, std::move(map));
  return {};
}

void Maps::share_memory(const Maps& other) {
  for (auto& [name, map] : maps_)
    if (const auto same = other.maps_.find(name); same != other.maps_.end() && same->second.id == map.id)
      map.memory = same->second.memory;
}

std::vector<NamedFd> Maps::all() const {
  std::vector<NamedFd> all;
  for (const auto& [name, map] : maps_) all.push_back({name, map.fd.get()});
  return all;
}

net::Status Maps::set_device(std::string_view map, uint16_t port, unsigned ifindex) const {
  const uint32_t key = port, value = ifindex;
  if (ifindex == 0) {
    if (bpf_map_delete_elem(fd(map), &key) != 0 && errno != ENOENT)
      return bpf_error(fmt::format("taking port {} out of BPF map {}", port, map), errno);
    return {};
  }
  if (bpf_map_update_elem(fd(map), &key, &value, BPF_ANY) != 0)
    return bpf_error(fmt::format("writing port {} into BPF map {}", port, map), errno);
  return {};
}

}  // namespace lb::xdp
