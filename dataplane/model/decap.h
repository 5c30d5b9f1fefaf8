// Decapsulation on a backend server, as plain values: what `lbctl decap` asks for and what a server answers.
// Implemented in xdp/, handed to the commands of ctl/ by ctl/lbctl.cc. There is no daemon: what is attached stays
// attached, and all that is known of it is kept by the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/address.h"
#include "dataplane/net/result.h"

namespace lb::model {

struct DecapSettings {
  std::vector<net::Prefix> from;   // outer sources that may: the load balancers
  std::vector<net::Address> to;    // outer destinations that are this server's
  std::vector<net::Address> vips;  // inner destinations
  uint16_t mss = 0;                // largest MSS that a VIP announces on its way out of the interface; 0: as it is
  friend bool operator==(const DecapSettings&, const DecapSettings&) = default;
};

struct DecapCounter {
  std::string_view name;
  std::string_view help;
  bool dropped = false;  // a drop reason
  uint64_t packets = 0;  // bytes in decapsulated_bytes
};

struct DecapState {
  DecapSettings settings;                  // sorted, without duplicates
  std::vector<DecapCounter> counters;      // since the first attach, in the order of the program
  std::vector<net::Address> not_expected;  // addresses of the interface now that are not in settings.to
};

struct DecapChange {
  bool changed = false;   // false: it was so already
  bool replaced = false;  // a program of ours was there with other settings; its counters go on
  DecapSettings settings;
};

enum class Run : uint8_t { kReal, kDry };  // kDry: everything that can be refused is, then nothing is done

class Decapsulation {
 public:
  virtual ~Decapsulation() = default;
  // Empty settings.to: the interface's addresses, without link-local ones and without VIPs. A packet meets the old
  // settings or the new ones, never a mixture. ERRORS: kInvalid, kNotFound (interface), kUnsupported (not Ethernet),
  // kUnavailable (another program has our place), kPermission, kIo.
  virtual net::Result<DecapChange> attach(const std::string& interface, const DecapSettings& settings, Run run) = 0;
  virtual net::Result<DecapChange> detach(const std::string& interface, Run run) = 0;
  virtual net::Result<DecapState> show(const std::string& interface) = 0;  // kNotFound also: nothing is attached
};

}  // namespace lb::model
