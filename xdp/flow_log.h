// The logs in which programs write the records of new flows, and the way from there to the records' places: see union
// lb_xdp_log_line. One reader of a log at a time, beside the program that writes it.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include "dataplane/stages/flow_table.h"
#include "xdp/lb_abi.h"

namespace lb::xdp {

// Writes what is in a worker's log to `table`, but for records whose entry is another flow's by now. log:
// LB_XDP_LOG_LINES lines. RETURNS: how many there were.
size_t drain_log(std::span<lb_xdp_log_line> log, const stages::FlowTable& table) noexcept;

// After how long it is to be done again, when the fullest log had so many.
std::chrono::milliseconds next_drain(size_t records) noexcept;

}  // namespace lb::xdp
