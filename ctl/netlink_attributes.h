// Attributes of one message of rtnetlink, as views of its bytes.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/net/address.h"

namespace lb::ctl {

struct Attribute {
  uint16_t type = 0;
  std::span<const uint8_t> value;
};

// The attributes behind a body of `header` bytes. Cut ones end the list.
inline std::vector<Attribute> attributes(std::span<const uint8_t> message, size_t header) {
  std::vector<Attribute> found;
  size_t at = NLMSG_ALIGN(header);
  while (at + sizeof(nlattr) <= message.size()) {
    nlattr head;
    std::memcpy(&head, message.data() + at, sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > message.size() - at) break;
    found.push_back({static_cast<uint16_t>(head.nla_type & NLA_TYPE_MASK),
                     message.subspan(at + sizeof head, head.nla_len - sizeof head)});
    at += NLMSG_ALIGN(size_t{head.nla_len});
  }
  return found;
}

inline std::span<const uint8_t> find(const std::vector<Attribute>& attributes, uint16_t type) {
  const auto it =
      std::find_if(attributes.begin(), attributes.end(), [&](const Attribute& a) { return a.type == type; });
  return it == attributes.end() ? std::span<const uint8_t>() : it->value;
}

template <class T>
std::optional<T> value_of(std::span<const uint8_t> bytes) {
  T value;
  if (bytes.size() < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

inline uint32_t u32_of(std::span<const uint8_t> bytes) {
  return value_of<uint32_t>(bytes).value_or(0);
}

inline std::string text_value(std::span<const uint8_t> bytes) {
  return {bytes.begin(), std::find(bytes.begin(), bytes.end(), 0)};
}

inline std::optional<net::Address> address_of(std::span<const uint8_t> bytes) {
  if (bytes.size() == 4) return net::Address::from_ipv4(bytes.data());
  if (bytes.size() == 16) return net::Address::from_ipv6(bytes.data());
  return std::nullopt;
}

inline std::span<const uint8_t> payload(const nlmsghdr& message) {
  return {static_cast<const uint8_t*>(mnl_nlmsg_get_payload(&message)), mnl_nlmsg_get_payload_len(&message)};
}

}  // namespace lb::ctl
