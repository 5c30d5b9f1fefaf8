// The move itself. Both directions are lists of steps that compare what is with what shall be, so that either may start
// from wherever the other, or a killed lbctl, stopped: undoing a move is going the other way.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ctl/nic_checks.h"
#include "ctl/nic_record.h"

namespace lb::ctl {

struct Step {
  std::string text;              // "take 0000:00:04.0 from virtio-pci"
  std::function<bool()> needed;  // is there anything to do?
  std::function<net::Status()> run;
};

// From the kernel's driver to vfio-pci, and from there back. REQUIRES: host and record outlive the steps.
std::vector<Step> steps_to_bind(NicHost& host, const NicRecord& record);
std::vector<Step> steps_to_unbind(NicHost& host, const NicRecord& record);
std::vector<std::string> texts_of_needed(const std::vector<Step>& steps);

class NicMove {
 public:
  NicMove(NicHost& host, NicRecords& records) : host_(host), records_(records) {}

  // What `record_of` the NIC is to be kept before anything is changed.
  static NicRecord record_of(const NicFacts& nic, const std::string& port);

  // The NIC to vfio-pci. ERRORS: the step that failed; the steps before it are undone and the record is gone, or the
  // sentence says what could not be undone and the record stays. Either way the NIC is never without a record while
  // anything is changed. REQUIRES: check_bind(), the lock.
  net::Status bind(const NicRecord& record);
  // And back. ERRORS: as above. REQUIRES: check_unbind(), the lock.
  net::Status unbind(NicRecord record, const Forced& forced);
  // Undoes a move as it was before, whoever uses the NIC; goes on after a failed step. For a trial that nobody
  // confirmed. ERRORS: all that failed; the record stays then.
  net::Status revert(const NicRecord& record);

 private:
  net::Status run(const std::vector<Step>& steps);
  net::Status undo(const std::vector<Step>& steps, const net::Error& why);
  net::Status stop_users(const NicRecord& record);

  NicHost& host_;
  NicRecords& records_;
};

}  // namespace lb::ctl
