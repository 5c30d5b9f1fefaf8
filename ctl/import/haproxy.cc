// haproxy.cfg: frontend, backend, listen. What reads requests (acl, use_backend, cookies) is layer 7.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/import/haproxy_words.h"
#include "ctl/import/importer.h"
#include "ctl/import/reasons.h"

namespace lb::importing {
namespace {

constexpr std::string_view kBindTls =
    "TLS ends at haproxy; lbd forwards packets, so that the servers have to speak TLS themselves on that port";
constexpr std::string_view kNoTimeouts = "lbd holds no connections: it neither limits them nor times them out";
constexpr std::string_view kProxyProtocol = "not needed: servers see the client's own address";

struct ParameterKind {
  std::string_view word;
  bool has_value;
  std::string_view reason;
};
// Of a `server` line.
constexpr ParameterKind kServerParameters[] = {
    {"check", false, kNoChecks},
    {"inter", true, kNoChecks},
    {"fastinter", true, kNoChecks},
    {"downinter", true, kNoChecks},
    {"rise", true, kNoChecks},
    {"fall", true, kNoChecks},
    {"port", true, kNoChecks},
    {"addr", true, kNoChecks},
    {"agent-check", false, kNoChecks},
    {"agent-port", true, kNoChecks},
    {"agent-addr", true, kNoChecks},
    {"agent-inter", true, kNoChecks},
    {"agent-send", true, kNoChecks},
    {"track", true, kNoChecks},
    {"observe", true, kNoChecks},
    {"on-error", true, kNoChecks},
    {"error-limit", true, kNoChecks},
    {"on-marked-down", true, kNoChecks},
    {"on-marked-up", true, kNoChecks},
    {"slowstart", true, kNoChecks},
    {"check-ssl", false, kNoChecks},
    {"check-sni", true, kNoChecks},
    {"check-proto", true, kNoChecks},
    {"check-send-proxy", false, kNoChecks},
    {"check-alpn", true, kNoChecks},
    {"check-via-socks4", false, kNoChecks},
    {"ssl", false, kLayer7},
    {"verify", true, kLayer7},
    {"verifyhost", true, kLayer7},
    {"ca-file", true, kLayer7},
    {"crt", true, kLayer7},
    {"crl-file", true, kLayer7},
    {"sni", true, kLayer7},
    {"alpn", true, kLayer7},
    {"proto", true, kLayer7},
    {"cookie", true, kLayer7},
    {"ciphers", true, kLayer7},
    {"ciphersuites", true, kLayer7},
    {"no-ssl-reuse", false, kLayer7},
    {"send-proxy", false, kProxyProtocol},
    {"send-proxy-v2", false, kProxyProtocol},
    {"maxconn", true, kNoTimeouts},
    {"minconn", true, kNoTimeouts},
    {"maxqueue", true, kNoTimeouts},
    {"id", true, kUnknown},
    {"source", true, kUnknown},
    {"resolvers", true, kUnknown},
    {"init-addr", true, kUnknown},
    {"resolve-prefer", true, kUnknown},
    {"resolve-opts", true, kUnknown},
    {"namespace", true, kUnknown},
    {"pool-max-conn", true, kUnknown},
    {"pool-purge-delay", true, kUnknown},
};

std::string_view reason_of_line(const Statement& s) {
  static constexpr std::string_view kReadsRequests[] = {
      "acl",           "use_backend", "http-request", "http-response", "http-after-response", "redirect",
      "cookie",        "stick",       "stick-table",  "capture",       "compression",         "errorfile",
      "stats",         "tcp-request", "filter",       "monitor-uri",   "unique-id-format",    "rate-limit",
      "force-persist", "use-server",  "http-reuse",   "errorloc",      "errorloc302",         "errorloc303",
      "tcp-response",  "email-alert", "http-error",   "option"};
  const std::string_view word = s.word(0);
  if (word == "timeout" || word == "maxconn" || word == "fullconn" || word == "retries") return kNoTimeouts;
  if (word == "http-check" || word == "tcp-check" || word == "default-server") return kNoChecks;
  const std::string_view option = word == "option" ? s.word(1) : std::string_view();
  if (option.ends_with("chk") || option.ends_with("-check") || option == "external-check") return kNoChecks;
  if (option.starts_with("tcplog") || option.starts_with("dontlog") || option == "httplog" || word == "log" ||
      word == "log-format" || word == "description" || word == "id")
    return kUnknown;
  return std::find(std::begin(kReadsRequests), std::end(kReadsRequests), word) != std::end(kReadsRequests) ? kLayer7
                                                                                                           : kUnknown;
}

// HAProxy takes what stands behind the last colon as the port, also without brackets.
HostPort split_bind(std::string_view text) {
  for (const std::string_view prefix : {"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@", "udp@", "udp4@", "udp6@"})
    if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  const size_t colon = text.rfind(':');
  if (text.starts_with('[') || colon == std::string_view::npos) return split_host(text);
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

// A socket of the host: no packets come there.
bool is_local_socket(std::string_view text) {
  return text.starts_with('/') || text.starts_with("unix@") || text.starts_with("abns@") || text.starts_with("fd@") ||
         text.starts_with("sockpair@");
}

class HaproxyImport {
 public:
  explicit HaproxyImport(const Given& given) : draft_("HAProxy", given) {}

  size_t known() const { return known_; }

  void read(const Statement& s) {
    const std::string_view word = s.word(0);
    known_ += s.has_block;
    if (word == "defaults") return read_defaults(s);
    if (word == "frontend" || word == "listen") return read_front(s);
    if (word == "backend") return read_back(s, nullptr);
    draft_.leave_all(s, word == "global" ? kProgram : kUnknown);
  }

  Outcome finish() {
    for (const auto& [service, backend] : waits_) {
      if (draft_.find_pool(backend) == nullptr) {
        const std::string reason = fmt::format("there is no section backend {}", printable_line(backend));
        service->remarks.push_back({service->at, reason});
        draft_.miss(service->at, reason);
        continue;
      }
      const Chosen& chosen = chosen_[backend];
      service->service.schedule = chosen.near.schedule;
      if (!chosen.near.reason.empty()) service->remarks.push_back({chosen.at, std::string(chosen.near.reason)});
    }
    return draft_.finish();
  }

 private:
  struct Chosen {
    NearSchedule near;
    Source at;
  };
  struct Defaults {
    std::optional<Statement> balance, mode;
    unsigned weight = 1;
  };

  void read_defaults(const Statement& s) {
    defaults_ = {};
    draft_.take(s.at);
    for (const Statement& line : s.block) {
      if (line.word(0) == "balance") {
        defaults_.balance = line;
        draft_.take(line.at);
      } else if (line.word(0) == "mode") {
        defaults_.mode = line;
        draft_.take(line.at);
      } else if (line.word(0) == "default-server") {
        read_default_server(line, defaults_.weight, nullptr);
      } else {
        draft_.leave(line.at, std::string(reason_of_line(line)));
      }
    }
  }

  void read_default_server(const Statement& s, unsigned& weight, std::vector<Remark>* into) {
    draft_.take(s.at);
    std::string rest;
    for (size_t i = 1; i < s.words.size(); ++i) {
      if (s.words[i] == "weight" && read_number(s.word(i + 1), weight))
        ++i;
      else
        rest += (rest.empty() ? "" : " ") + s.words[i];
    }
    if (rest.empty()) return;
    const std::string reason = fmt::format("{}: {}", printable_line(rest), kNoChecks);
    if (into == nullptr)
      draft_.leave(s.at, reason);
    else
      into->push_back({s.at, reason});
  }

  void read_front(const Statement& s) {
    const std::string name(s.word(1));
    DraftService& service = draft_.add_service(name, s.at);
    for (size_t i = 2; i < s.words.size(); ++i) {  // `listen NAME ADDRESS:PORT` of old
      if (s.words[i] == "from") break;
      Statement bind = s;
      bind.words = {"bind", s.words[i]};
      read_bind(bind, service);
    }
    if (s.word(0) == "listen") {
      read_back(s, &service);
    } else {
      for (const Statement& line : s.block) read_front_line(line, service);
      tell_mode(s, service);
      if (!service.pool.empty()) waits_.emplace_back(&service, service.pool);
    }
    if (!service.pool.empty()) return;
    service.remarks.push_back({s.at, "names no default_backend"});
    draft_.miss(s.at, "names no default_backend: which pool a packet goes to cannot depend on what is in a request");
  }

  void read_front_line(const Statement& line, DraftService& service) {
    const std::string_view word = line.word(0);
    if (word == "bind") return read_bind(line, service);
    if (word == "mode") return draft_.take(line.at);
    if (word == "default_backend" || (word == "use_backend" && line.words.size() == 2 && service.pool.empty())) {
      service.pool = line.word(1);
      return draft_.take(line.at);
    }
    service.remarks.push_back({line.at, std::string(reason_of_line(line))});
  }

  void tell_mode(const Statement& section, DraftService& service) {
    const Statement* mode = section.find("mode");
    if (mode == nullptr && defaults_.mode) mode = &*defaults_.mode;
    if (mode == nullptr || mode->word(1) == "tcp") return;
    service.remarks.push_back({mode->at, fmt::format("mode {}: {}", mode->word(1), kLayer7)});
  }

  void read_bind(const Statement& s, DraftService& service) {
    bool tls = false;
    for (size_t i = 2; i < s.words.size(); ++i) tls |= s.words[i] == "ssl";
    std::string_view rest = s.word(1);
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      bind_one(s, std::string(rest.substr(0, comma)), service);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    if (s.words.size() > 2 && !tls)
      service.remarks.push_back({s.at, fmt::format("what stands behind the address {}", kUnknown)});
    if (!tls) return;
    service.remarks.push_back({s.at, std::string(kBindTls)});
    draft_.miss(s.at, kBindTls);
  }

  void bind_one(const Statement& s, const std::string& word, DraftService& service) {
    const HostPort to = split_bind(word);
    const size_t dash = to.port.find('-');
    unsigned first = 0, last = 0;
    const bool valid =
        read_number(to.port.substr(0, dash), first) &&
        (dash == std::string::npos ? (last = first, true) : read_number(to.port.substr(dash + 1), last)) &&
        first >= 1 && first <= last && last <= 65535;
    if (is_local_socket(word) || !valid) {
      const std::string reason =
          is_local_socket(word) ? "a socket of this host gets no packets" : "its port is no number from 1 to 65535";
      service.remarks.push_back({s.at, reason});
      return draft_.miss(s.at, reason);
    }
    const bool udp = word.starts_with("udp");
    draft_.listen(service, s.at, to.host, first, last, udp ? net::IpProto::kUdp : net::IpProto::kTcp);
  }

  // Of a section `backend`, or of `listen`, which is both.
  void read_back(const Statement& s, DraftService* service) {
    const std::string key(s.word(1));
    if (draft_.find_pool(key) != nullptr) {
      draft_.miss(s.at, "a second section of that name");
      return draft_.leave_all(s, "a second section of that name");
    }
    DraftPool& pool = draft_.pool(key, s.at);
    draft_.take(s.at);
    if (service != nullptr) {
      service->pool = key;
      waits_.emplace_back(service, key);
      tell_mode(s, *service);
    }
    const Statement* balance = s.find("balance");
    if (balance == nullptr && defaults_.balance) balance = &*defaults_.balance;
    chosen_[key] = balance == nullptr ? Chosen{nearest_schedule("roundrobin"), s.at}
                                      : Chosen{schedule_of(balance->word(1)), balance->at};
    unsigned weight = defaults_.weight;
    for (const Statement& line : s.block)
      if (line.word(0) == "default-server") read_default_server(line, weight, &pool.remarks);
    for (const Statement& line : s.block) read_back_line(line, service, pool, weight);
  }

  static NearSchedule schedule_of(std::string_view balance) {
    return nearest_schedule(lower(balance.substr(0, balance.find('('))));
  }

  void read_back_line(const Statement& line, DraftService* service, DraftPool& pool, unsigned weight) {
    const std::string_view word = line.word(0);
    if (word == "server") return add_server(line, pool, weight);
    if (word == "bind" && service != nullptr) return read_bind(line, *service);
    if (word == "balance" || word == "mode") return draft_.take(line.at);
    if (word == "default-server") return;
    if (word == "server-template") {
      pool.remarks.push_back({line.at, "left out: its servers are looked up by name"});
      return draft_.miss(line.at, "left out: its servers are looked up by name: write them out");
    }
    if (word == "stick" && line.word(1) == "on" && line.word(2) == "src") {
      chosen_[pool.name] = {{model::Schedule::kSourceHash, kNoSticky}, line.at};
      return draft_.take(line.at);
    }
    pool.remarks.push_back({line.at, std::string(reason_of_line(line))});
  }

  void add_server(const Statement& s, DraftPool& pool, unsigned weight) {
    const std::string address(s.word(2));
    const auto leave = [&](std::string_view reason) {
      pool.remarks.push_back({s.at, std::string(reason)});
      draft_.miss(s.at, reason);
    };
    if (is_local_socket(address)) return leave("left out: a socket of this host gets no packets");
    if (std::find(s.words.begin(), s.words.end(), "backup") != s.words.end()) return leave(kNoBackup);
    const HostPort to = split_bind(address);
    unsigned port = 0;
    const bool offset = to.port.starts_with('+') || to.port.starts_with('-');
    if (!to.port.empty() && !offset && (!read_number(to.port, port) || port < 1 || port > 65535))
      return leave("left out: its port is no number from 1 to 65535");
    DraftServer* server = draft_.add_server(pool, s.at, std::string(s.word(1)), to.host,
                                            port > 0 ? std::optional(static_cast<uint16_t>(port)) : std::nullopt);
    if (server == nullptr) return;
    server->backend.weight = weight;
    if (offset) {
      constexpr std::string_view kOffset = "dsr and ipip keep the client's port: the server has to listen there";
      server->remarks.push_back({s.at, std::string(kOffset)});
      draft_.miss(s.at, kOffset);
    }
    read_parameters(s, *server);
  }

  static void read_parameters(const Statement& s, DraftServer& server) {
    std::map<std::string_view, std::string> by_reason;  // one comment for each reason
    unsigned weight = 0;
    for (size_t i = 3; i < s.words.size(); ++i) {
      const std::string& word = s.words[i];
      if (word == "weight" && read_number(s.word(i + 1), weight)) {
        server.backend.weight = weight;
        ++i;
      } else if (word == "disabled") {
        server.backend.weight = 0;
        server.remarks.push_back({s.at, "disabled: weight 0, no new flows; `lbctl backend set` gives it one"});
      } else {
        const auto known = std::find_if(std::begin(kServerParameters), std::end(kServerParameters),
                                        [&](const ParameterKind& p) { return p.word == word; });
        const bool is_known = known != std::end(kServerParameters);
        std::string& list = by_reason[is_known ? known->reason : kUnknown];
        list += (list.empty() ? "" : ", ") + word;
        if (is_known && known->has_value) ++i;
      }
    }
    for (const auto& [reason, words] : by_reason) server.remarks.push_back({s.at, words + ": " + std::string(reason)});
  }

  Draft draft_;
  Defaults defaults_;
  std::map<std::string, Chosen> chosen_;  // by key of the pool
  std::vector<std::pair<DraftService*, std::string>> waits_;
  size_t known_ = 0;
};

}  // namespace

net::Result<Outcome> import_haproxy(std::string_view text, const std::string& file, const Given& given,
                                    const model::Reader&) {
  HaproxyImport import(given);
  const auto sections = read_haproxy(text, file);
  for (const Statement& s : sections) import.read(s);
  if (import.known() == 0 && !sections.empty())
    return net::Error{
        net::Code::kInvalid,
        fmt::format("{}: no section (frontend, backend, listen, ...) in it: is this a haproxy.cfg?", file)};
  return import.finish();
}

}  // namespace lb::importing
