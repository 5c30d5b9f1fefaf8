// The maps of lb.bpf.c, made in the kernel and mapped into our memory: what programs and engine share (lb_maps.bpf.h).
// Each array may have been made before (a pin, another Maps), so that new programs go on with what is in it.
//
// Control thread only, but for the memory: programs read and write it at any time, and so may other threads of ours, by
// the rules of lb_abi.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"
#include "xdp/lb_abi.h"

namespace lb::xdp {

// Empty: this kernel can run the program; else a sentence. release: as uname tells it.
std::string why_too_old(std::string_view release);
std::string why_no_xdp();  // the same of the kernel that runs

// Of the maps that are made; those that are reused have the size that they have.
struct MapSizes {
  uint32_t workers = 1;       // of the node, the exception path's included
  uint32_t flow_lines = 1;    // of all workers together; 1 when nothing is tracked
  uint32_t former_lines = 1;  // of all former tables together; 1 when there are none
  uint32_t table_lines = 1;   // room for Maglev tables
};

struct NamedFd {
  std::string_view name;  // as in lb_maps.bpf.h
  int fd = -1;            // stays the caller's
};

class Maps {
 public:
  // Empty, and both halves without a record. ERRORS: kUnsupported: kernel too old; kPermission; kUnavailable: no
  // memory; kInvalid: a map to be reused is not of this version's shape.
  static net::Result<Maps> create(const MapSizes& sizes, std::span<const NamedFd> reuse = {});
  Maps() = default;
  Maps(Maps&& other) noexcept = default;
  Maps& operator=(Maps&& other) noexcept = default;
  ~Maps() = default;

  lb_xdp_config& config() const noexcept { return *static_cast<lb_xdp_config*>(of("lb_config").memory->data); }
  lb_xdp_decision& decision() const noexcept { return *static_cast<lb_xdp_decision*>(of("lb_decision").memory->data); }
  std::span<lb_listener_slot> listeners() const noexcept { return span_of<lb_listener_slot>("lb_listeners"); }
  std::span<lb_address_slot> addresses() const noexcept { return span_of<lb_address_slot>("lb_addresses"); }
  std::span<lb_port_range> ranges() const noexcept { return span_of<lb_port_range>("lb_ranges"); }
  std::span<lb_xdp_service> services() const noexcept { return span_of<lb_xdp_service>("lb_services"); }
  std::span<lb_backend> backends() const noexcept { return span_of<lb_backend>("lb_backends"); }
  std::span<lb_xdp_table_line> tables() const noexcept { return span_of<lb_xdp_table_line>("lb_tables"); }
  std::span<lb_flow_line> flows() const noexcept { return span_of<lb_flow_line>("lb_flows"); }
  std::span<lb_flow_cold> flow_records() const noexcept { return span_of<lb_flow_cold>("lb_flow_records"); }
  std::span<lb_xdp_log_line> flow_log() const noexcept { return span_of<lb_xdp_log_line>("lb_flow_log"); }
  std::span<lb_flow_line> former_flows() const noexcept { return span_of<lb_flow_line>("lb_former_flows"); }
  std::span<lb_xdp_worker> workers() const noexcept { return span_of<lb_xdp_worker>("lb_workers"); }
  std::span<lb_traffic> service_traffic() const noexcept { return span_of<lb_traffic>("lb_service_traffic"); }
  std::span<lb_traffic> backend_traffic() const noexcept { return span_of<lb_traffic>("lb_backend_traffic"); }

  // Of one map, or all of them, to reuse or pin. REQUIRES: name is one of lb_maps.bpf.h.
  int fd(std::string_view name) const noexcept { return of(name).fd.get(); }
  std::vector<NamedFd> all() const;

  // What both have in the kernel is the same memory here too, for as long as one of them lives.
  void share_memory(const Maps& other);

  // By PortId: the interface of a device map (lb_egress, lb_exception); 0: none.
  net::Status set_device(std::string_view map, uint16_t port, unsigned ifindex) const;

 private:
  struct Memory {
    Memory(void* at, size_t size) noexcept : data(at), bytes(size) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory();
    void* const data;
    const size_t bytes;
  };
  struct Map {
    Fd fd;
    uint32_t id = 0;  // the kernel's
    uint32_t entries = 0;
    std::shared_ptr<Memory> memory;  // of arrays
  };

  const Map& of(std::string_view name) const noexcept { return maps_.find(name)->second; }
  template <class T>
  std::span<T> span_of(std::string_view name) const noexcept {
    const Map& map = of(name);
    return {static_cast<T*>(map.memory->data), map.entries};
  }
  net::Status take(std::string_view name, int fd);

  std::map<std::string, Map, std::less<>> maps_;
};

}  // namespace lb::xdp
