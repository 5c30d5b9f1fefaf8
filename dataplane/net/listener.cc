// Text of listeners and endpoints: ADDRESS:PORTS/PROTO, ADDRESS:PORT.
#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "dataplane/net/address.h"

namespace lb::net {
namespace {

Error invalid(std::string sentence) {
  return {Code::kInvalid, std::move(sentence)};
}

struct HostPort {
  Address address;
  std::string_view port;  // behind the last ':'
};

// `what` and `form` go into the sentences: "listener", "192.0.2.10:443/tcp or [2001:db8::10]:443/tcp".
Result<HostPort> split_host_port(std::string_view text, std::string_view whole, std::string_view what,
                                 std::string_view form) {
  const bool brackets = text.starts_with('[');
  const size_t close = brackets ? text.find(']') : text.rfind(':');
  if (close == std::string_view::npos)
    return invalid(brackets ? fmt::format("{} '{}': ']' is missing: write {}", what, whole, form)
                            : fmt::format("{} '{}' has no port: write {}", what, whole, form));
  const std::string_view host = brackets ? text.substr(1, close - 1) : text.substr(0, close);
  const std::string_view rest = text.substr(brackets ? close + 1 : close);
  if (!rest.starts_with(':')) return invalid(fmt::format("{} '{}' has no port: write {}", what, whole, form));
  if (!brackets && host.find(':') != std::string_view::npos)
    return invalid(fmt::format("{} '{}': an IPv6 address with a port goes into brackets: write {}", what, whole, form));
  auto address = Address::parse(host);
  if (!address) return invalid(fmt::format("{} '{}': {}", what, whole, address.error().message));
  if (brackets && address->is_ipv4())
    return invalid(
        fmt::format("{} '{}': brackets are for IPv6: write {}:{}", what, whole, address->to_string(), rest.substr(1)));
  return HostPort{*address, rest.substr(1)};
}

std::optional<uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > 65535 || text[0] == '0')
    return std::nullopt;
  return static_cast<uint16_t>(value);
}

Status parse_ports(std::string_view ports, std::string_view whole, Listener& l) {
  if (ports == "*") {
    l.first = 0;
    l.last = 65535;
    return {};
  }
  const size_t dash = ports.find('-');
  const auto first = parse_port(ports.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(ports.substr(dash + 1));
  if (!first || !last)
    return invalid(
        fmt::format("listener '{}': port '{}' must be 1 to 65535, a range like 8000-8100, or *", whole, ports));
  if (*first > *last)
    return invalid(
        fmt::format("listener '{}': port range '{}' runs backwards: write {}-{}", whole, ports, *last, *first));
  l.first = *first;
  l.last = *last;
  return {};
}

std::string format_host(const Address& a) {
  return a.is_ipv4() ? a.to_string() : fmt::format("[{}]", a.to_string());
}

}  // namespace

Result<Listener> Listener::parse(std::string_view text) {
  constexpr std::string_view kForm = "192.0.2.10:443/tcp or [2001:db8::10]:443/tcp";
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos)
    return invalid(fmt::format("listener '{}' has no protocol: end it with /tcp or /udp", text));
  const auto proto = parse_proto(text.substr(slash + 1));
  if (!proto) return invalid(fmt::format("listener '{}': {}", text, proto.error().message));
  const auto host = split_host_port(text.substr(0, slash), text, "listener", kForm);
  if (!host) return host.error();
  Listener l{.address = host->address, .proto = *proto};
  if (auto status = parse_ports(host->port, text, l); !status) return status.error();
  return l;
}

std::string Listener::to_string() const {
  const std::string host = format_host(address);
  if (is_any()) return fmt::format("{}:*/{}", host, net::to_string(proto));
  if (is_range()) return fmt::format("{}:{}-{}/{}", host, first, last, net::to_string(proto));
  return fmt::format("{}:{}/{}", host, first, net::to_string(proto));
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto host = split_host_port(text, text, "endpoint", "198.51.100.7:40000 or [2001:db8::7]:40000");
  if (!host) return host.error();
  const auto port = parse_port(host->port);
  if (!port) return invalid(fmt::format("endpoint '{}': port '{}' must be 1 to 65535", text, host->port));
  return Endpoint{host->address, *port};
}

std::string Endpoint::to_string() const {
  return fmt::format("{}:{}", format_host(address), port);
}

std::string_view to_string(IpProto p) noexcept {
  switch (p) {
    case IpProto::kIcmp:
      return "icmp";
    case IpProto::kTcp:
      return "tcp";
    case IpProto::kUdp:
      return "udp";
    case IpProto::kIcmp6:
      return "icmp6";
  }
  return "unknown";
}

Result<IpProto> parse_proto(std::string_view text) {
  if (text == "tcp") return IpProto::kTcp;
  if (text == "udp") return IpProto::kUdp;
  return invalid(fmt::format("protocol '{}' must be tcp or udp", text));
}

}  // namespace lb::net
