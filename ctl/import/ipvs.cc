// `ipvsadm-save -n`, and the same commands of a script: -A for a service, -a for a server of it.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ctl/import/importer.h"
#include "ctl/import/ipvs_words.h"
#include "ctl/import/reasons.h"

namespace lb::importing {
namespace {

class IpvsImport {
 public:
  explicit IpvsImport(const Given& given) : draft_("IPVS", given) {}

  void read(const IpvsLine& line) {
    const Statement& s = line.statement;
    if (line.command == IpvsCommand::kService) return add_virtual(line);
    if (line.command == IpvsCommand::kServer) return add_real(line);
    if (line.command == IpvsCommand::kUnreadable) {
      draft_.leave(s.at, "not a line of ipvsadm-save: " + line.why);
      return draft_.miss(s.at, "not a line of ipvsadm-save: " + line.why);
    }
    draft_.leave(s.at, "only lines of -A (service) and -a (server) say what is balanced");
  }

  Outcome finish() { return draft_.finish(); }

 private:
  static std::string key_of(const IpvsLine& line) { return line.protocol + " " + line.virtual_address; }

  void add_virtual(const IpvsLine& line) {
    const Source& at = line.statement.at;
    if (line.protocol != "tcp" && line.protocol != "udp") return refuse_protocol(line);
    const std::string key = key_of(line);
    if (draft_.find_pool(key) != nullptr) return draft_.leave(at, "a second line of the same service");
    DraftPool& pool = draft_.pool(key, at);
    const HostPort to = split_host(line.virtual_address);
    unsigned port = 0;
    const bool is_port = to.port.empty() || (read_number(to.port, port) && port <= 65535);
    if (!is_port) {
      const std::string reason =
          fmt::format("port {} is no number from 0 to 65535: save with `ipvsadm-save -n`", printable_line(to.port));
      draft_.leave(at, reason);
      draft_.miss(at, reason);
    }
    const std::string port_text = !is_port ? to.port : port == 0 ? "any" : std::to_string(port);
    pool.name = fmt::format("{}-{}-{}", line.protocol, to.host, port_text);
    pool.named = false;
    DraftService& service = draft_.add_service(pool.name, at);
    service.named = false;
    service.pool = key;
    if (is_port)
      draft_.listen(service, at, to.host, port, port, line.protocol == "udp" ? net::IpProto::kUdp : net::IpProto::kTcp);
    else
      service.unplaced.push_back(fmt::format("ADDRESS:PORT/{}", line.protocol));
    choose(line, service);
    service_of_[key] = &service;
  }

  void refuse_protocol(const IpvsLine& line) {
    const std::string reason = line.protocol == "fwmark" ? "marks of a firewall are not read: name address and port of "
                                                           "what is marked in a service of its own"
                                                         : "protocols are tcp and udp";
    draft_.leave(line.statement.at, reason);
    draft_.miss(line.statement.at, reason);
  }

  void choose(const IpvsLine& line, DraftService& service) {
    const Source& at = line.statement.at;
    const std::string scheduler = line.value_of("-s").value_or("wlc");
    NearSchedule near = nearest_schedule(scheduler);
    const std::string flags = line.value_of("-b").value_or("");
    if (near.schedule == model::Schedule::kSourceHash && flags.find("port") != std::string::npos) near = {};
    service.service.schedule = near.schedule;
    if (!near.reason.empty() && !line.value_of("-p"))
      service.remarks.push_back({at, fmt::format("-s {}: {}", scheduler, near.reason)});
    if (const auto timeout = line.value_of("-p")) {
      service.service.schedule = model::Schedule::kSourceHash;
      service.remarks.push_back({at, fmt::format("-p {}: {}", *timeout, kNoSticky)});
    }
    if (const auto mask = line.value_of("-M")) take_mask(*mask, service, at);
    for (const std::string_view option : {"-o", "--pe"})
      if (line.value_of(option)) service.remarks.push_back({at, fmt::format("{} {}", option, kUnknown)});
  }

  static void take_mask(const std::string& mask, DraftService& service, const Source& at) {
    unsigned bits = 0;
    const auto parsed = mask.size() < 20 ? net::Address::parse(mask) : net::Error{};
    if (parsed && parsed->is_ipv4()) {
      for (int i = 0; i < 4; ++i)
        for (int bit = 7; bit >= 0 && (parsed->ipv4_bytes()[i] >> bit & 1) != 0; --bit) ++bits;
      if (bits > 0) service.service.prefix4 = static_cast<uint8_t>(bits);
    } else if (read_number(mask, bits) && bits >= 1 && bits <= 128) {
      service.service.prefix6 = static_cast<uint8_t>(bits);
    } else {
      service.remarks.push_back({at, fmt::format("-M {} {}", mask, kUnknown)});
    }
  }

  void add_real(const IpvsLine& line) {
    const Source& at = line.statement.at;
    if (line.protocol != "tcp" && line.protocol != "udp") return refuse_protocol(line);
    const auto it = service_of_.find(key_of(line));
    if (it == service_of_.end()) {
      draft_.leave(at, "its service has no line of -A above it");
      return draft_.miss(at, "its service has no line of -A above it");
    }
    const HostPort to = split_host(line.value_of("-r").value_or(""));
    unsigned port = 0;
    const bool has_port = read_number(to.port, port) && port >= 1 && port <= 65535;
    DraftServer* server = draft_.add_server(draft_.pool(it->first, at), at, to.host, to.host,
                                            has_port ? std::optional(static_cast<uint16_t>(port)) : std::nullopt);
    if (server == nullptr) return;
    unsigned weight = 1;
    if (const auto word = line.value_of("-w")) {
      if (read_number(*word, weight))
        server->backend.weight = weight;
      else
        server->remarks.push_back({at, fmt::format("weight {} is no number", printable_line(*word))});
    }
    forward(line, *it->second, *server);
    for (const std::string_view option : {"-x", "-y"})
      if (line.value_of(option).value_or("0") != "0")
        server->remarks.push_back({at, fmt::format("{}: limits of connections are not known here", option)});
  }

  // The first server decides for its service.
  void forward(const IpvsLine& line, DraftService& service, DraftServer& server) {
    const std::string how = line.forward;
    if (how == "-m") {
      server.remarks.push_back({server.at, fmt::format("-m: {}", kNoNat)});
      draft_.miss(server.at, fmt::format("-m: {}", kNoNat));
    }
    if (line.value_of("--tun-type").value_or("ipip") != "ipip")
      server.remarks.push_back({server.at, "tunnels other than ipip are not in this version"});
    const model::Forward wanted = how == "-g" ? model::Forward::kDsr : model::Forward::kIpip;
    const auto [it, first] = forward_of_.emplace(&service, wanted);
    if (first) service.service.forward = wanted;
    if (it->second == wanted) return;
    const std::string reason = fmt::format(
        "{}: all servers of a service are reached the same way here, this one by {} "
        "like the first",
        how, model::to_string(it->second));
    server.remarks.push_back({server.at, reason});
    draft_.miss(server.at, reason);
  }

  Draft draft_;
  std::map<std::string, DraftService*> service_of_;
  std::map<const DraftService*, model::Forward> forward_of_;
};

}  // namespace

net::Result<Outcome> import_ipvs(std::string_view text, const std::string& file, const Given& given,
                                 const model::Reader&) {
  IpvsImport import(given);
  size_t known = 0;
  const auto lines = read_ipvs(text, file);
  for (const IpvsLine& line : lines) {
    known += line.command == IpvsCommand::kService || line.command == IpvsCommand::kServer;
    import.read(line);
  }
  if (known == 0 && !lines.empty())
    return net::Error{net::Code::kInvalid,
                      fmt::format("{}: no line of `-A` or `-a` in it: is this what `ipvsadm-save -n` prints?", file)};
  return import.finish();
}

}  // namespace lb::importing
