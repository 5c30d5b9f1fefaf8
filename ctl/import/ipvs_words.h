// Lines of ipvsadm-save: options with their values, short or long.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/import/statement.h"

namespace lb::importing {

enum class IpvsCommand : uint8_t { kService, kServer, kOther, kUnreadable };

struct IpvsLine {
  Statement statement;
  IpvsCommand command = IpvsCommand::kOther;
  std::string why;                                          // of an unreadable one
  std::string protocol;                                     // tcp, udp, sctp, fwmark
  std::string virtual_address;                              // as written
  std::string forward = "-g";                               // -g, -i, -m
  std::map<std::string, std::string, std::less<>> options;  // by short name where there is one

  std::optional<std::string> value_of(std::string_view option) const;
};

std::vector<IpvsLine> read_ipvs(std::string_view text, const std::string& file);

}  // namespace lb::importing
