// A move on trial: a process of its own undoes it when nobody confirmed it in time. It shares nothing with the lbctl
// that made it but the record on disk, so that a lost shell, or the loss of the session that the move cut, is no
// matter.
#pragma once

#include "ctl/nic_move.h"
#include "dataplane/model/decap.h"

namespace lb::ctl {

// What the process does: waits until the record says that there is nothing to wait for, or its time is over; then it
// takes the lock, for as long as others have it, looks once more, and undoes the move. RETURNS: true when it undid it.
// ERRORS: it could not; the record stays. tell: lines of what happens, for the log.
net::Result<bool> watch_trial(NicHost& host, NicRecords& records, const std::string& pci,
                              const std::function<void(const std::string&)>& tell);

// Starts it: a new session, no terminal, no descriptor of ours. REQUIRES: the record is saved; one thread.
// RETURNS: its pid.
net::Result<int> start_trial(NicRecords& records, const std::string& pci);

struct Confirmed {
  NicRecord record;
  bool waited = false;  // else there was nothing to confirm
};
// No undoing any more. word: port name or PCI address; empty: the only one that waits.
// ERRORS: kNotFound: nothing waits; kConflict: several do and `word` is empty.
net::Result<Confirmed> confirm_trial(NicRecords& records, const std::string& word, model::Run run = model::Run::kReal);

// The record of a port name or PCI address. ERRORS: kNotFound.
net::Result<NicRecord> find_record(const NicRecords& records, const std::string& word);

}  // namespace lb::ctl
