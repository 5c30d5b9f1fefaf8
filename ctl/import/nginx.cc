// nginx.conf: `upstream` and `server` of stream, and of http as far as packets go: hosts, paths and TLS are layer 7.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/import/importer.h"
#include "ctl/import/includes.h"
#include "ctl/import/nginx_words.h"
#include "ctl/import/reasons.h"

namespace lb::importing {
namespace {

constexpr std::string_view kTlsEnds =
    "TLS ends at nginx; lbd forwards packets, so that the servers have to speak TLS themselves on that port";
constexpr std::string_view kNginxTurns = "no schedule is named";

// Files that no statement of ours stands in.
bool is_other_include(const Statement& s) {
  const std::string_view path = s.word(1);
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return s.word(0) == "include" && (name == "mime.types" || name.ends_with("_params") || name == "fastcgi.conf");
}

std::string_view without_scheme(std::string_view target) {
  const size_t scheme = target.find("://");
  return scheme == std::string_view::npos ? target : target.substr(scheme + 3);
}

void rename_other_includes(std::vector<Statement>& statements) {
  for (Statement& s : statements) {
    if (is_other_include(s)) s.words[0] = "include-of-types";
    rename_other_includes(s.block);
  }
}

class NginxImport {
 public:
  explicit NginxImport(const Given& given) : draft_("nginx", given) {}

  Draft& draft() { return draft_; }
  size_t known() const { return known_; }

  void read(const std::vector<Statement>& statements) {
    for (const Statement& s : statements) {
      if (s.word(0) == "http" || s.word(0) == "stream") {
        draft_.take(s.at);
        ++known_;
        read_block(s.block, s.word(0) == "http");
      }
    }
    // A file of conf.d: which of the two it is meant for shows in its servers.
    std::vector<Statement> loose;
    for (const Statement& s : statements) {
      if (s.word(0) == "upstream" || s.word(0) == "server")
        loose.push_back(s);
      else if (s.word(0) != "http" && s.word(0) != "stream")
        draft_.leave_all(s, kProgram);
    }
    const auto is_stream = [](const Statement& s) { return s.word(0) == "server" && s.find("proxy_pass") != nullptr; };
    read_block(loose, std::none_of(loose.begin(), loose.end(), is_stream));
    settle();
  }

 private:
  struct Upstream {
    NearSchedule near;
    Source at;
  };
  struct Wait {  // a service and the upstream that its schedule is
    DraftService* service;
    std::string upstream;
  };

  void read_block(const std::vector<Statement>& statements, bool http) {
    for (const Statement& s : statements)
      if (s.word(0) == "upstream") add_upstream(s, http);
    for (const Statement& s : statements) {
      if (s.word(0) == "server" && s.has_block) {
        ++known_;
        http ? add_http_server(s) : add_stream_server(s);
      } else if (s.word(0) != "upstream") {
        draft_.leave_all(s, http ? kLayer7 : kUnknown);
      }
    }
  }

  static std::string key_of(bool http, std::string_view name) {
    return fmt::format("{} {}", http ? "http" : "stream", name);
  }

  void add_upstream(const Statement& s, bool http) {
    ++known_;
    const std::string key = key_of(http, s.word(1));
    if (draft_.find_pool(key) != nullptr) return draft_.leave_all(s, "a second upstream of that name");
    DraftPool& pool = draft_.pool(key, s.at);
    draft_.take(s.at);
    pool.name = s.word(1);
    Upstream& upstream = upstreams_[key] = {nearest_schedule("rr"), s.at};
    for (const Statement& inner : s.block) {
      const std::string_view word = inner.word(0);
      if (word == "server") {
        add_upstream_server(inner, pool, http);
      } else if (word == "hash" || word == "ip_hash" || word == "least_conn" || word == "least_time" ||
                 word == "random") {
        upstream = {schedule_of(inner), inner.at};
        draft_.take(inner.at);
      } else {
        draft_.leave_all(inner, kUnknown, &pool.remarks);
      }
    }
  }

  static NearSchedule schedule_of(const Statement& s) {
    if (s.word(0) != "hash") return nearest_schedule(s.word(0));
    const std::string_view by = s.word(1);
    if (by == "$remote_addr" || by == "$binary_remote_addr") return {model::Schedule::kSourceHash, ""};
    if (by.find("remote_addr") != std::string_view::npos && by.find("remote_port") != std::string_view::npos)
      return {model::Schedule::kMaglev, ""};
    return nearest_schedule("uri");
  }

  void add_upstream_server(const Statement& s, DraftPool& pool, bool http) {
    const std::string address(s.word(1));
    const auto has = [&](std::string_view w) { return std::find(s.words.begin(), s.words.end(), w) != s.words.end(); };
    if (address.starts_with("unix:")) return leave_server(s, pool, "left out: a socket of this host gets no packets");
    if (has("backup")) return leave_server(s, pool, kNoBackup);
    const HostPort to = split_host(address);
    unsigned port = http ? 80 : 0;
    if (!to.port.empty() && (!read_number(to.port, port) || port < 1 || port > 65535))
      return leave_server(s, pool, "left out: its port is no number from 1 to 65535");
    DraftServer* server = draft_.add_server(pool, s.at, to.host, to.host,
                                            port > 0 ? std::optional(static_cast<uint16_t>(port)) : std::nullopt);
    if (server == nullptr) return;
    for (size_t i = 2; i < s.words.size(); ++i) read_parameter(s, s.words[i], *server);
  }

  void leave_server(const Statement& s, DraftPool& pool, std::string_view reason) {
    pool.remarks.push_back({s.at, std::string(reason)});
    draft_.miss(s.at, reason);
  }

  static void read_parameter(const Statement& s, const std::string& parameter, DraftServer& server) {
    unsigned weight = 0;
    if (parameter.starts_with("weight=") && read_number(std::string_view(parameter).substr(7), weight)) {
      server.backend.weight = weight;
    } else if (parameter == "down") {
      server.backend.weight = 0;
      server.remarks.push_back({s.at, "down: weight 0, no new flows; `lbctl backend set` gives it one"});
    } else if (parameter.starts_with("max_fails=") || parameter.starts_with("fail_timeout=") ||
               parameter.starts_with("slow_start=")) {
      server.remarks.push_back({s.at, fmt::format("{}: {}", parameter, kNoChecks)});
    } else {
      server.remarks.push_back({s.at, fmt::format("{}: {}", parameter, kUnknown)});
    }
  }

  // `listen` without an address is every one; of http without a port it is 80.
  void add_listen(const Statement& s, DraftService& service, bool http) {
    const std::string word(s.word(1));
    unsigned first = 0, last = 0;
    HostPort to = split_host(word);
    if (!word.empty() && word.find_first_not_of("0123456789-") == std::string::npos) to = {"*", word};
    if (to.port.empty() && http) to.port = "80";
    const size_t dash = to.port.find('-');
    const bool valid =
        read_number(to.port.substr(0, dash), first) &&
        (dash == std::string::npos ? (last = first, true) : read_number(to.port.substr(dash + 1), last)) &&
        first >= 1 && first <= last && last <= 65535;
    if (word.starts_with("unix:") || !valid) {
      const std::string reason =
          word.starts_with("unix:") ? "a socket of this host gets no packets" : "its port is no number from 1 to 65535";
      service.remarks.push_back({s.at, reason});
      return draft_.miss(s.at, reason);
    }
    const auto has = [&](std::string_view w) { return std::find(s.words.begin(), s.words.end(), w) != s.words.end(); };
    draft_.listen(service, s.at, to.host, first, last, has("udp") ? net::IpProto::kUdp : net::IpProto::kTcp);
    for (size_t i = 2; i < s.words.size(); ++i)
      if (s.words[i] != "udp" && s.words[i] != "ssl" && s.words[i] != "quic")
        service.remarks.push_back({s.at, fmt::format("{}: {}", s.words[i], kUnknown)});
    if (!has("ssl") && !has("quic")) return;
    service.remarks.push_back({s.at, std::string(kTlsEnds)});
    draft_.miss(s.at, kTlsEnds);
  }

  // name of an upstream, or an address of its own.
  void pass(const Statement& s, DraftService& service, std::string target, bool http) {
    target = without_scheme(target);
    if (http) target = target.substr(0, target.find('/'));
    service.pool = key_of(http, target);
    if (target.find('$') != std::string::npos) {
      service.remarks.push_back({s.at, std::string(kLayer7)});
      return draft_.miss(s.at, "what a variable stands for shows only in a request: name a pool");
    }
    draft_.take(s.at);
    waits_.push_back({&service, service.pool});
    if (draft_.find_pool(service.pool) != nullptr) return;
    DraftPool& pool = draft_.pool(service.pool, s.at);
    pool.name = target;
    pool.named = false;
    Statement server = s;
    server.words = {"server", target};
    add_upstream_server(server, pool, http);
  }

  void add_stream_server(const Statement& s) {
    const Statement* to = s.find("proxy_pass");
    if (to == nullptr) return draft_.leave_all(s, "names no proxy_pass: nothing is balanced");
    DraftService& service = draft_.add_service(split_host(to->word(1)).host, s.at);
    service.named = draft_.find_pool(key_of(false, to->word(1))) != nullptr;
    pass(*to, service, std::string(to->word(1)), false);
    for (const Statement& inner : s.block) {
      if (inner.word(0) == "listen")
        add_listen(inner, service, false);
      else if (&inner != to)
        draft_.leave_all(inner, kUnknown, &service.remarks);
    }
  }

  // That of `location /`, else the first.
  static const Statement* http_target(const Statement& server) {
    const Statement* found = nullptr;
    for (const Statement& s : server.block) {
      if (s.word(0) != "location") continue;
      const Statement* to = s.find("proxy_pass");
      if (to != nullptr && (found == nullptr || s.word(1) == "/")) found = to;
    }
    return found;
  }

  void add_http_server(const Statement& s) {
    const Statement* to = http_target(s);
    if (to == nullptr) return draft_.leave_all(s, "nginx answers by itself here: nothing is balanced");
    const bool shared = std::any_of(s.block.begin(), s.block.end(), [&](const Statement& inner) {
      return inner.word(0) == "listen" && http_listens_.contains(inner.word(1));
    });
    if (shared || (s.find("listen") == nullptr && http_listens_.contains("80"))) {
      constexpr std::string_view kShared =
          "another server listens there already: telling them apart by host name is layer 7";
      draft_.miss(s.at, kShared);
      return draft_.leave_all(s, kShared);
    }
    const Statement* name = s.find("server_name");
    const bool has_name = name != nullptr && name->word(1) != "_" && !name->word(1).empty();
    DraftService& service =
        draft_.add_service(std::string(has_name ? name->word(1) : without_scheme(to->word(1))), s.at);
    service.named = has_name;
    pass(*to, service, std::string(to->word(1)), true);
    http_settings(s, *to, service);
  }

  void http_settings(const Statement& s, const Statement& to, DraftService& service) {
    for (const Statement& inner : s.block) {
      if (inner.word(0) == "listen") {
        http_listens_.emplace(inner.word(1));
        add_listen(inner, service, true);
      } else if (inner.word(0) == "server_name") {
        service.remarks.push_back({inner.at, "host names are layer 7: every name of the address goes to this pool"});
      } else if (inner.word(0) == "location") {
        add_location(inner, to, service);
      } else {
        draft_.leave_all(inner, kLayer7, &service.remarks);
      }
    }
    if (s.find("listen") != nullptr) return;
    http_listens_.emplace("80");
    draft_.listen(service, s.at, "*", 80, 80, net::IpProto::kTcp);
  }

  void add_location(const Statement& s, const Statement& to, DraftService& service) {
    const bool chosen = s.find("proxy_pass") == &to;
    if (!chosen) return draft_.leave_all(s, "paths are layer 7: all of the address goes to one pool", &service.remarks);
    draft_.take(s.at);
    for (const Statement& inner : s.block)
      if (&inner != &to) draft_.leave_all(inner, kLayer7, &service.remarks);
  }

  // Schedules are the services' here, the upstreams' there.
  void settle() {
    for (const Wait& wait : waits_) {
      const auto it = upstreams_.find(wait.upstream);
      if (it == upstreams_.end()) continue;
      model::Service& service = wait.service->service;
      service.schedule = it->second.near.schedule;
      if (service.schedule == model::Schedule::kSourceHash && it->second.at.text == "ip_hash") {
        service.prefix4 = 24;  // as nginx does it
        service.prefix6 = 128;
      }
      const bool implied = it->second.at.text.starts_with("upstream");
      if (!it->second.near.reason.empty())
        wait.service->remarks.push_back({it->second.at, implied
                                                            ? fmt::format("{}: {}", kNginxTurns, it->second.near.reason)
                                                            : std::string(it->second.near.reason)});
    }
  }

  Draft draft_;
  std::map<std::string, Upstream> upstreams_;
  std::vector<Wait> waits_;
  std::set<std::string, std::less<>> http_listens_;
  size_t known_ = 0;
};

}  // namespace

net::Result<Outcome> import_nginx(std::string_view text, const std::string& file, const Given& given,
                                  const model::Reader& reader) {
  NginxImport import(given);
  const auto parse = [](std::string_view t, const std::string& f) {
    auto statements = read_nginx(t, f);
    if (statements) rename_other_includes(*statements);
    return statements;
  };
  auto statements = parse(text, file);
  if (!statements) return statements.error();
  Includes includes(reader, parse, import.draft(), false);
  statements = includes.follow(std::move(*statements), file);
  if (!statements) return statements.error();
  import.read(*statements);
  if (import.known() == 0 && !statements->empty())
    return net::Error{net::Code::kInvalid,
                      fmt::format("{}: no http, stream, upstream or server in it: is this an nginx.conf?", file)};
  return import.draft().finish();
}

}  // namespace lb::importing
