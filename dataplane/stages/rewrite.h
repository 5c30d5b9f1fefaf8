// Stage 4: the IP packet as its backend gets it.
//   in    Meta::backend, service, l3, ip_length
//   out   data, length, headroom: room for an untagged Ethernet header, then the IP packet that leaves, no padding
//   drop  ttl_expired, too_big, no_headroom
//   cost  the backend's record (one line, prefetched by choose) and the IP header, at hand since parse
// dsr: TTL or hop limit one less (checksum by RFC 1624), everything else as it came.
// ipip: the same, behind an outer header from our address on that egress (RFC 2003, RFC 2473; net/outer.h).
#pragma once

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/batch.h"

namespace lb::stages {

void rewrite(Batch& b, const model::Snapshot& snapshot) noexcept;

}  // namespace lb::stages
