// Stage 1, in one go for the packet that nearly every packet is: what is it, is it ours, and which service is it for?
//   in    data, length, port_mac of the batch
//   out   Batch::recognised; for the usual ones among them Batch::usual, with the hash; for the others Meta but for
//         hash, backend and address
//   cost  the first line of the frame, one line of Snapshot::address_bits, one slot of the listener table
// Recognised is a packet to the port's MAC address, with at most two tags, IPv4 without options or IPv6 without
// extension headers, TCP or UDP, no fragment, without any fault that parse() would find, from a source that is surely
// none of ours, to a listener's very address, port and protocol. Every other packet is left as it was for parse() and
// find_listener(), which tell all the rest apart; for a recognised one they would say the same
// (tests/property/recognise_test.cc).
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"

namespace lb::stages {

// REQUIRES: nothing has happened to the batch since start(). flows: the worker's table, or null; the lines of usual
// packets are on their way when this returns.
void recognise(Batch& b, const model::Snapshot& snapshot, const FlowTable* flows) noexcept;

// Writes the Meta of usual packets that have none yet, with the hash.
void complete(Batch& b, uint64_t slots) noexcept;

}  // namespace lb::stages
