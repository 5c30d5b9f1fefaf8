// What an operator asks for: the YAML document of docs/config.md as plain values, defaults filled in, names resolved
// nowhere. A Config that passed validate() is complete and consistent; engines and controllers never see another one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/abi.h"
#include "dataplane/net/address.h"

namespace lb::model {

using net::Address;
using net::Listener;

enum class Forward : uint8_t { kDsr = LB_FORWARD_DSR, kIpip = LB_FORWARD_IPIP };
enum class Schedule : uint8_t { kMaglev = LB_SCHEDULE_MAGLEV, kSourceHash = LB_SCHEDULE_SOURCE_HASH };
// What a packet to a service's address gets when no listener wants it. kAuto: the kernel has it when the address is on
// one of the host's interfaces, else it is dropped.
enum class NoListener : uint8_t { kAuto, kDrop, kReject, kPunt };
// Whether the host route of a service's addresses is given to routing daemons while the service can take new flows.
enum class Announce : uint8_t { kOff, kOn };
enum class Idle : uint8_t { kSleep, kPoll };
enum class HugePages : uint8_t { kAuto, kOn, kOff };

inline constexpr uint32_t kMaxWeight = 1000;
inline constexpr uint32_t kDefaultTableSize = 65537;
inline constexpr uint32_t kMinTableSize = 251;
inline constexpr uint32_t kMaxTableSize = 655373;
inline constexpr uint32_t kDefaultFlows = 1048576;
inline constexpr uint32_t kMinFlows = 1024;  // 0 apart
inline constexpr uint32_t kMaxFlows = 268435456;
inline constexpr uint32_t kMinOrphanAfter = 1, kMaxOrphanAfter = 604800;  // seconds; 0 (never) apart
inline constexpr uint32_t kMaxShutdownDelay = 3600;                       // seconds
inline constexpr uint16_t kMinMtu = LB_IPV6_LEAST_MTU;
inline constexpr uint16_t kMaxMtu = 9000;
inline constexpr uint32_t kMaxCore = 1023;  // CPU_SETSIZE - 1
inline constexpr uint8_t kMaxPrefix4 = 32, kMaxPrefix6 = 128;

// A TAP that stands for a port in the kernel where that cannot see the device.
inline constexpr std::string_view kTwinPrefix = "lbd-";
inline constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

struct Port {
  std::string name;             // wan, lan
  std::string device;           // kernel interface name, PCI address, or a DPDK device string such as net_ring0
  std::optional<uint16_t> mtu;  // largest IP packet in bytes, 1280..9000; default: the interface's, else 1500
  std::string twin_name() const { return std::string(kTwinPrefix) + name; }
  friend bool operator==(const Port&, const Port&) = default;
};

// An interface of the XDP engine; its place in the list is its PortId.
enum class XdpMode : uint8_t { kNative, kGeneric };
struct XdpInterface {
  std::string name;  // of the kernel
  XdpMode mode = XdpMode::kNative;
  friend bool operator==(const XdpInterface&, const XdpInterface&) = default;
};

// Who may do what at the control socket: users, and groups with `%` in front, by name or number, as written. Sorted;
// what a name stands for is the host's affair. Root and the user that lbd runs as may do everything in any case.
struct Access {
  std::vector<std::string> operators = {"root"};  // `operator`: may change
  std::vector<std::string> viewers;               // `viewer`: may read
  friend bool operator==(const Access&, const Access&) = default;
};
inline constexpr size_t kMaxAccessEntries = 256;  // of a role
inline constexpr size_t kMaxAccessName = 255;     // bytes, without `%`

struct Daemon {                 // read at start
  std::string engine = "dpdk";  // dpdk, xdp
  std::string socket = "/run/lbd/lbd.sock";
  std::string state_dir = "/var/lib/lbd";
  std::string hash_key_file = "/etc/lbd/hash-key";
  uint32_t hash_version = 1;
  uint32_t flows = kDefaultFlows;  // flow table capacity, whole node; 0: no tracking, hash only
  uint32_t shutdown_delay_s = 10;  // from the withdrawal of announced addresses to the end, still forwarding
  Access access;
  std::vector<uint32_t> workers;  // CPU cores, one poll-mode worker each
  HugePages huge_pages = HugePages::kAuto;
  Idle idle = Idle::kSleep;
  std::vector<Port> ports;
  // Of engine xdp alone.
  std::vector<XdpInterface> interfaces;
  uint32_t orphan_after_s = 60;  // how long the program forwards without a living lbd; 0: for ever
  // What commands call a port of the chosen engine, by PortId: a port's name, an interface's. Of none: the number.
  std::string port_name(size_t port) const;
  friend bool operator==(const Daemon&, const Daemon&) = default;
};

struct Backend {
  std::string name;  // unique in its pool
  Address address;
  uint32_t weight = 100;  // 0..1000; 0 takes no new flows
  std::map<std::string, std::string> labels;
  friend bool operator==(const Backend&, const Backend&) = default;
};

struct Pool {
  std::string name;
  std::vector<Backend> backends;  // sorted by name; the order never matters to the tables
  friend bool operator==(const Pool&, const Pool&) = default;
};

struct Service {
  std::string name;
  std::vector<Listener> listen;  // sorted
  std::string pool;
  Forward forward = Forward::kIpip;
  Schedule schedule = Schedule::kMaglev;
  uint32_t table_size = kDefaultTableSize;  // slots, a prime
  uint8_t prefix4 = 32;                     // source-hash: source-prefix: [32, 64]
  uint8_t prefix6 = 64;
  NoListener on_no_listener = NoListener::kAuto;  // the same in all services of an address
  Announce announce = Announce::kOff;
  friend bool operator==(const Service&, const Service&) = default;
};

// Keyed by name, backends and listeners sorted (canonicalize), so that order in the document does not matter and
// equality is plain. parse_config() and apply() give sorted ones; who fills a Config by hand calls canonicalize().
struct Config {
  Daemon daemon;
  std::map<std::string, Pool> pools;
  std::map<std::string, Service> services;
  friend bool operator==(const Config&, const Config&) = default;
};

void canonicalize(Pool& pool);
void canonicalize(Service& service);
void canonicalize(Config& config);  // with the lists of `access`

std::string_view to_string(Forward f) noexcept;     // "dsr", "ipip"
std::string_view to_string(Schedule s) noexcept;    // "maglev", "source-hash"
std::string_view to_string(NoListener n) noexcept;  // "auto", "drop", "reject", "punt"
std::string_view to_string(Announce a) noexcept;    // "off", "on"
std::string_view to_string(Idle i) noexcept;        // "sleep", "poll"
std::string_view to_string(HugePages h) noexcept;   // "auto", "on", "off"
std::string_view to_string(XdpMode m) noexcept;     // "native", "generic"
std::string orphan_after_text(uint32_t seconds);    // "60s", "never"
std::string access_text(const Access& access);      // "operator: [root, \"%lbd\"], viewer: []", as in the document
std::optional<Forward> parse_forward(std::string_view s) noexcept;
std::optional<Schedule> parse_schedule(std::string_view s) noexcept;
std::optional<NoListener> parse_no_listener(std::string_view s) noexcept;
std::optional<Announce> parse_announce(std::string_view s) noexcept;
std::optional<Idle> parse_idle(std::string_view s) noexcept;
std::optional<HugePages> parse_huge_pages(std::string_view s) noexcept;
std::optional<XdpMode> parse_xdp_mode(std::string_view s) noexcept;

}  // namespace lb::model
