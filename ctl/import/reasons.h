// Why statements of other products are left: the same sentence for the same thing, whoever said it.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/model/config.h"

namespace lb::importing {

inline constexpr std::string_view kNoChecks = "checks are not in this version";
inline constexpr std::string_view kNoBackup =
    "servers that serve only when all others are down (`backup`) are not in this version: left out, since it would get "
    "flows at all times";
inline constexpr std::string_view kNoNat =
    "NAT is not in this version; ipip is the nearest: the server needs the service's address on lo and decapsulation "
    "(`lbctl decap attach`), and answers the client directly";
inline constexpr std::string_view kLayer7 = "layer 7: lbd forwards packets and reads neither HTTP nor TLS";
inline constexpr std::string_view kProgram = "of the other program itself; `daemon` sets up lbd";
inline constexpr std::string_view kNoSticky =
    "persistence (`sticky`) is not in this version; schedule source-hash is the nearest: a client stays with a server "
    "while the pool stays as it is";
inline constexpr std::string_view kUnknown = "has no meaning here";

// The nearest schedule to another product's.
struct NearSchedule {
  model::Schedule schedule = model::Schedule::kMaglev;
  std::string_view reason;  // what differs; empty: nothing
};
// word: in lower case: rr, wlc, leastconn, ... What is not known is maglev, with its reason.
NearSchedule nearest_schedule(std::string_view word) noexcept;

}  // namespace lb::importing
