// What a NIC had before it was moved, on disk from before the first step until the last step of the way back: any later
// lbctl, and the process that undoes a trial, can finish or undo a move from that alone. In /run: a boot undoes moves
// and forgets them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ctl/nic.h"
#include "ctl/unique_fd.h"
#include "dataplane/model/config.h"

namespace lb::ctl {

struct NicRecord {
  std::string pci;
  std::string port;       // the port's name
  std::string driver;     // before; empty: none
  std::string override_;  // driver_override before
  // Of the interface; name is empty when it had none (no driver).
  std::string interface;
  net::Mac mac;
  uint32_t mtu = 0;
  bool up = false;
  std::vector<Carried> addresses, routes;
  bool complete = false;  // every step of the move is done
  // Milliseconds since boot; the move is undone then. None: it stays.
  std::optional<uint64_t> confirm_by_ms;

  std::string twin() const { return std::string(model::kTwinPrefix) + port; }
};

std::string encode_record(const NicRecord& record);
net::Result<NicRecord> decode_record(const std::string& text);  // ERRORS: kInvalid, kUnsupported (a newer schema)

class NicRecords {
 public:
  explicit NicRecords(std::string folder, std::chrono::milliseconds patience = std::chrono::seconds(10))
      : folder_(std::move(folder)), patience_(patience) {}

  // Held while a NIC is moved: one mover at a time, of whichever NIC. Makes the folder. ERRORS: kTimeout: another one
  // has had it for as long as `patience`.
  net::Result<UniqueFd> lock();
  struct Listing {
    std::vector<NicRecord> records;  // by PCI address; no folder: empty
    std::vector<net::Error> unreadable;
  };
  // By PCI address. ERRORS: a record that cannot be read, with its path.
  net::Result<std::optional<NicRecord>> find(const std::string& pci) const;
  Listing all() const;                        // one that cannot be read does not hide the others
  net::Status save(const NicRecord& record);  // on disk when it returns
  net::Status remove(const std::string& pci);

  std::string log_path(const std::string& pci) const { return folder_ + "/" + pci + ".log"; }

 private:
  std::string path_of(const std::string& pci) const { return folder_ + "/" + pci + ".json"; }
  std::string folder_;
  std::chrono::milliseconds patience_;
};

}  // namespace lb::ctl
