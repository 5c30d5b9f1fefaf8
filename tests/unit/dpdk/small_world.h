// A snapshot for engine tests over ports 0 and 1: `web` 192.0.2.10:80/tcp and [2001:db8::10]:53/udp, `range`
// 192.0.2.30:8000-8100/udp, both `ipip` to one backend; `spread` 192.0.2.60:80/tcp over three; all behind port 1.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "dataplane/model/config.h"
#include "dataplane/model/reach.h"
#include "dataplane/model/snapshot.h"

namespace lb::dpdk::testing {

template <class T>
T must(net::Result<T> r) {
  if (!r) {
    std::fprintf(stderr, "%s\n", r.error().message.c_str());
    std::abort();
  }
  return std::move(r).value();
}

inline void add_pool(model::Config& config, model::Topology& topology, const std::string& name,
                     std::initializer_list<const char*> backends) {
  model::Pool& pool = config.pools[name];
  pool.name = name;
  for (const char* text : backends) {
    const net::Address address = must(net::Address::parse(text));
    pool.backends.push_back({.name = std::string("b") + text, .address = address, .weight = 100, .labels = {}});
    topology.reach[address] = {.resolved = true,
                               .why = {},
                               .port = net::PortId{1},
                               .next_hop = address,
                               .on_link = true,
                               .source = must(net::Address::parse("10.0.0.1")),
                               .dst_mac = must(net::Mac::parse("02:00:00:00:01:11")),
                               .src_mac = must(net::Mac::parse("02:00:00:00:00:02")),
                               .mtu = 1500};
  }
}

inline void add_service(model::Config& config, const std::string& name, std::initializer_list<const char*> listen,
                        const std::string& pool) {
  model::Service& service = config.services[name];
  service.name = name;
  for (const char* l : listen) service.listen.push_back(must(net::Listener::parse(l)));
  service.pool = pool;
  service.table_size = 251;
}

// empty: no services, everything is the kernel's.
inline std::shared_ptr<const model::Snapshot> small_snapshot(uint64_t generation, bool empty = false) {
  model::Config config;
  model::Topology topology;
  if (!empty) {
    add_pool(config, topology, "one", {"10.0.0.11"});
    add_pool(config, topology, "three", {"10.0.1.1", "10.0.1.2", "10.0.1.3"});
    add_service(config, "web", {"192.0.2.10:80/tcp", "[2001:db8::10]:53/udp"}, "one");
    add_service(config, "range", {"192.0.2.30:8000-8100/udp"}, "one");
    add_service(config, "spread", {"192.0.2.60:80/tcp"}, "three");
  }
  model::canonicalize(config);
  model::IdTable ids;
  if (!ids.assign(config)) std::abort();
  return must(model::Compiler(lb_hash_key{1, 2}).compile(config, topology, ids, net::Generation{generation}));
}

}  // namespace lb::dpdk::testing
