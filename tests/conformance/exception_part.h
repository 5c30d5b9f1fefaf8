// Which packets the XDP program leaves to the exception path whatever the configuration, but for whose they are: by the
// bytes alone, in words of its own.
#pragma once

#include <set>

#include "dataplane/net/address.h"
#include "tests/packet/builder.h"

namespace lb::conformance {

// IPv4 options, IPv6 extension headers, fragments; and of packets in which nothing is wrong: ICMP errors, echo requests
// and those with their last hop.
bool is_for_exception_path(const packet::Bytes& frame, const std::set<net::Address>& owned);

}  // namespace lb::conformance
