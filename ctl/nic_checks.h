// Whether a NIC may be moved: everything that can be known before the first step. Each refusal is a sentence with the
// command or the option that mends it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ctl/nic_record.h"

namespace lb::ctl {

// What an operator says may be cut.
struct Forced {
  bool session = false;
  bool default_route = false;
  bool stop = false;  // the process that has the NIC, when it is taken back
};

struct NicFacts {
  net::PciDevice device;
  std::optional<InterfaceState> interface;  // none: no driver, or one that makes none
};

// word: a PCI address, or an interface. ERRORS: no such thing; no PCI device behind it; no NIC.
net::Result<NicFacts> find_nic(NicHost& host, const std::string& word);

// Sentences: what has to follow the move, and what of the interface is not carried over.
std::vector<std::string> notes_of(NicHost& host, const NicFacts& nic);

// ERRORS: why the NIC must stay with the kernel.
net::Status check_bind(NicHost& host, const NicFacts& nic, const std::string& port, const Forced& forced);
// ERRORS: why it must stay with vfio-pci.
net::Status check_unbind(NicHost& host, const NicRecord& record, const Forced& forced);

}  // namespace lb::ctl
