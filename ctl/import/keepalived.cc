// keepalived.conf: virtual_server with its real_server, virtual_server_group. What VRRP does stays keepalived's.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/import/importer.h"
#include "ctl/import/includes.h"
#include "ctl/import/keepalived_words.h"
#include "ctl/import/reasons.h"

namespace lb::importing {
namespace {

constexpr std::string_view kVrrp = "addresses that move between hosts stay keepalived's: keep this part there";
constexpr std::string_view kKeepalivedCheckWords[] = {"delay_loop",      "delay_before_retry",
                                                      "retry",           "nb_get_retry",
                                                      "alpha",           "omega",
                                                      "quorum",          "hysteresis",
                                                      "quorum_up",       "quorum_down",
                                                      "virtualhost",     "TCP_CHECK",
                                                      "HTTP_GET",        "SSL_GET",
                                                      "MISC_CHECK",      "SMTP_CHECK",
                                                      "DNS_CHECK",       "UDP_CHECK",
                                                      "PING_CHECK",      "FILE_CHECK",
                                                      "BFD_CHECK",       "notify_up",
                                                      "notify_down",     "inhibit_on_failure",
                                                      "connect_timeout", "connect_port",
                                                      "retry_count",     "warmup",
                                                      "ha_suspend",      "smtp_alert"};

bool is_check_word(std::string_view word) {
  return std::find(std::begin(kKeepalivedCheckWords), std::end(kKeepalivedCheckWords), word) !=
         std::end(kKeepalivedCheckWords);
}

// "192.0.2.10-20" -> first and last; the last number alone counts.
bool split_range(const std::string& text, std::string& stem, unsigned& first, unsigned& last) {
  const size_t dash = text.rfind('-'), dot = text.rfind('.');
  if (dash == std::string::npos || dot == std::string::npos || dot > dash) return false;
  stem = text.substr(0, dot + 1);
  return read_number(text.substr(dot + 1, dash - dot - 1), first) && read_number(text.substr(dash + 1), last) &&
         first <= last && last <= 255;
}

// $NAME=value on one line, which was put in where it is used.
bool is_definition(const Statement& s) {
  return s.word(0).starts_with('$') && s.word(0).find('=') != std::string_view::npos && !s.words.back().ends_with('\\');
}

class KeepalivedImport {
 public:
  explicit KeepalivedImport(const Given& given) : draft_("keepalived", given) {}

  Draft& draft() { return draft_; }
  size_t known() const { return known_; }

  void read(const std::vector<Statement>& statements) {
    for (const Statement& s : statements)
      if (s.word(0) == "virtual_server_group") groups_[std::string(s.word(1))] = &s;
    for (const Statement& s : statements) {
      if (s.word(0) == "virtual_server") {
        add_virtual(s);
      } else if (s.word(0) == "virtual_server_group") {
        ++known_;
        draft_.take(s.at);
      } else if (s.word(0).starts_with("vrrp_") || s.word(0) == "static_ipaddress" || s.word(0) == "static_routes") {
        ++known_;
        draft_.leave_all(s, kVrrp);
      } else if (is_definition(s)) {
        draft_.take(s.at);
      } else if (s.word(0).starts_with("@") || s.word(0).starts_with("~") || s.word(0).starts_with("$")) {
        draft_.leave_all(s, "conditions, loops and blocks of definitions are not followed");
        draft_.miss(s.at, "conditions, loops and blocks of definitions are not followed");
      } else {
        known_ += s.word(0) == "global_defs";
        draft_.leave_all(s, s.word(0) == "global_defs" ? kProgram : kUnknown);
      }
    }
  }

 private:
  struct Virtual {  // one virtual_server while it is read
    DraftService& service;
    DraftPool& pool;
    std::string algorithm = "wlc", kind = "NAT";
    Source algorithm_at, kind_at;
    bool by_port = false, persistent = false;
  };

  static net::IpProto protocol_of(const Statement& s) {
    const Statement* protocol = s.find("protocol");
    return protocol != nullptr && lower(protocol->word(1)) == "udp" ? net::IpProto::kUdp : net::IpProto::kTcp;
  }

  void refuse_virtual(const Statement& s, std::string_view reason) {
    draft_.leave_all(s, reason);
    draft_.miss(s.at, reason);
  }

  void add_virtual(const Statement& s) {
    ++known_;
    const net::IpProto proto = protocol_of(s);
    const Statement* protocol = s.find("protocol");
    if (protocol != nullptr && lower(protocol->word(1)) != "tcp" && lower(protocol->word(1)) != "udp")
      return refuse_virtual(s, "protocols are tcp and udp");
    if (s.word(1) == "fwmark")
      return refuse_virtual(s, "marks of a firewall are not read: name address and port of what is marked");
    const std::string key = s.at.text + " " + std::string(net::to_string(proto));
    if (draft_.find_pool(key) != nullptr) return refuse_virtual(s, "a second block of the same virtual server");
    const bool group = s.word(1) == "group";
    DraftPool& pool = draft_.pool(key, s.at);
    pool.name = group ? std::string(s.word(2)) : fmt::format("{}-{}-{}", net::to_string(proto), s.word(1), s.word(2));
    pool.named = group;
    DraftService& service = draft_.add_service(pool.name, s.at);
    service.named = group;
    service.pool = key;
    if (group)
      listen_group(service, s, proto);
    else
      listen_one(service, s.at, std::string(s.word(1)), std::string(s.word(2)), proto);
    read_virtual(s, service, pool);
  }

  void listen_one(DraftService& service, const Source& at, const std::string& host, const std::string& port_word,
                  net::IpProto proto) {
    unsigned port = 0;
    if (port_word.empty() || (read_number(port_word, port) && port <= 65535))
      return draft_.listen(service, at, host, port, port, proto);
    const std::string reason = fmt::format("port {} is no number from 1 to 65535", printable_line(port_word));
    service.remarks.push_back({at, reason});
    draft_.miss(at, reason);
  }

  void listen_group(DraftService& service, const Statement& s, net::IpProto proto) {
    const auto it = groups_.find(s.word(2));
    if (it == groups_.end()) {
      service.remarks.push_back({s.at, "there is no virtual_server_group of that name"});
      return draft_.miss(s.at, "there is no virtual_server_group of that name");
    }
    for (const Statement& entry : it->second->block) {
      std::string stem, address(entry.word(0));
      unsigned first = 0, last = 0;
      if (address == "fwmark") {
        service.remarks.push_back({entry.at, "marks of a firewall are not read"});
        draft_.miss(entry.at, "marks of a firewall are not read");
      } else if (split_range(address, stem, first, last)) {
        for (unsigned i = first; i <= last; ++i)
          listen_one(service, entry.at, stem + std::to_string(i), std::string(entry.word(1)), proto);
      } else {
        listen_one(service, entry.at, address, std::string(entry.word(1)), proto);
      }
    }
  }

  void read_virtual(const Statement& s, DraftService& service, DraftPool& pool) {
    Virtual v{service, pool, "wlc", "NAT", s.at, s.at};
    for (const Statement& inner : s.block) read_setting(inner, v);
    NearSchedule near = nearest_schedule(lower(v.algorithm));
    if (near.schedule == model::Schedule::kSourceHash && v.by_port) near = {};
    service.service.schedule = v.persistent ? model::Schedule::kSourceHash : near.schedule;
    if (!near.reason.empty() && !v.persistent) service.remarks.push_back({v.algorithm_at, std::string(near.reason)});
    const std::string kind = lower(v.kind);
    service.service.forward = kind == "dr" ? model::Forward::kDsr : model::Forward::kIpip;
    if (kind == "dr" || kind == "tun") return draft_.take(v.kind_at);
    service.remarks.push_back({v.kind_at, std::string(kNoNat)});
    draft_.miss(v.kind_at, kNoNat);
  }

  void read_setting(const Statement& s, Virtual& v) {
    const std::string_view word = s.word(0);
    if (word == "real_server") return add_real(s, v);
    if (word == "lb_algo" || word == "lvs_sched") {
      v.algorithm = s.word(1);
      v.algorithm_at = s.at;
      return draft_.take(s.at);
    }
    if (word == "lb_kind" || word == "lvs_method") {
      v.kind = s.word(1);
      v.kind_at = s.at;
      return;
    }
    if (word == "protocol") return draft_.take(s.at);
    if (word == "mh-port" || word == "sh-port") {
      v.by_port = true;
      return draft_.take(s.at);
    }
    std::string_view reason = is_check_word(word) ? kNoChecks : kUnknown;
    if (word == "sorry_server") reason = kNoBackup;
    if (word == "persistence_timeout") {
      v.persistent = true;
      reason = kNoSticky;
    }
    if (word == "persistence_granularity" && take_granularity(s, v)) return;
    draft_.leave_all(s, reason, &v.service.remarks);
  }

  bool take_granularity(const Statement& s, Virtual& v) {
    const std::string word(s.word(1));
    unsigned bits = 0;
    const auto mask = word.size() < 20 ? net::Address::parse(word) : net::Error{};
    if (mask && mask->is_ipv4()) {
      for (int i = 0; i < 32 && (mask->ipv4_bytes()[i / 8] >> (7 - i % 8) & 1) != 0; ++i) ++bits;
      if (bits == 0) return false;
      v.service.service.prefix4 = static_cast<uint8_t>(bits);
    } else if (read_number(word, bits) && bits >= 1 && bits <= 128) {
      v.service.service.prefix6 = static_cast<uint8_t>(bits);
    } else {
      return false;
    }
    draft_.take(s.at);
    return true;
  }

  void add_real(const Statement& s, Virtual& v) {
    unsigned port = 0;
    const bool has_port = read_number(s.word(2), port) && port >= 1 && port <= 65535;
    const std::string host(s.word(1));
    DraftServer* server = draft_.add_server(v.pool, s.at, host, host,
                                            has_port ? std::optional(static_cast<uint16_t>(port)) : std::nullopt);
    for (const Statement& inner : s.block) {
      std::vector<Remark>& remarks = server == nullptr ? v.pool.remarks : server->remarks;
      unsigned weight = 0;
      if (inner.word(0) == "weight" && read_number(inner.word(1), weight) && server != nullptr) {
        server->backend.weight = weight;
        draft_.take(inner.at);
      } else if (server == nullptr) {
        draft_.leave_all(inner, "as its server", &remarks);
      } else if (inner.word(0) == "lvs_method" || inner.word(0) == "lb_kind") {
        draft_.leave_all(inner, "all servers of a service are reached the same way here", &remarks);
        draft_.miss(inner.at, "all servers of a service are reached the same way here");
      } else {
        draft_.leave_all(inner, is_check_word(inner.word(0)) ? kNoChecks : kUnknown, &remarks);
      }
    }
  }

  Draft draft_;
  std::map<std::string, const Statement*, std::less<>> groups_;
  size_t known_ = 0;
};

}  // namespace

net::Result<Outcome> import_keepalived(std::string_view text, const std::string& file, const Given& given,
                                       const model::Reader& reader) {
  KeepalivedImport import(given);
  std::map<std::string, std::string> definitions;
  const auto parse = [&](std::string_view t, const std::string& f) { return read_keepalived(t, f, definitions); };
  auto statements = parse(text, file);
  if (!statements) return statements.error();
  Includes includes(reader, parse, import.draft(), true);
  statements = includes.follow(std::move(*statements), file);
  if (!statements) return statements.error();
  import.read(*statements);
  if (import.known() == 0 && !statements->empty())
    return net::Error{
        net::Code::kInvalid,
        fmt::format("{}: no virtual_server and no vrrp_instance in it: is this a keepalived.conf?", file)};
  return import.draft().finish();
}

}  // namespace lb::importing
