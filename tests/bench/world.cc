#include "tests/bench/world.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace lb::bench {
namespace {

net::Address backend_address(uint8_t family, uint32_t n) {
  return must(net::Address::parse(family == 4 ? fmt::format("10.0.0.{}", n) : fmt::format("2001:db8:1::{:x}", n)));
}

void add_backends(uint8_t family, model::Config& config, model::Topology& topology) {
  model::Pool& pool = config.pools["p"];
  pool.name = "p";
  for (uint32_t n = 1; n <= kBackends; n++) {
    const net::Address address = backend_address(family, n);
    pool.backends.push_back({.name = fmt::format("b{}", n), .address = address, .weight = 100, .labels = {}});
    topology.reach[address] = {.resolved = true,
                               .why = {},
                               .port = net::PortId{0},
                               .next_hop = address,
                               .on_link = true,
                               .source = backend_address(family, 0xfe),
                               .dst_mac = must(net::Mac::parse(fmt::format("02:00:00:00:01:{:02x}", n))),
                               .src_mac = must(net::Mac::parse("02:00:00:00:00:01")),
                               .mtu = 1500};
  }
}

net::Listener listener(uint8_t family, uint32_t service) {
  const uint32_t a = kService4 + service;
  return must(net::Listener::parse(
      family == 4 ? fmt::format("{}.{}.{}.{}:80/tcp", a >> 24, a >> 16 & 0xff, a >> 8 & 0xff, a & 0xff)
                  : fmt::format("[{}{:x}]:80/udp", kService6, service)));
}

std::shared_ptr<const model::Snapshot> compile(uint8_t family, uint32_t services, model::Forward forward) {
  model::Config config;
  model::Topology topology;
  add_backends(family, config, topology);
  for (uint32_t s = 0; s < services; s++) {
    model::Service service;
    service.name = fmt::format("s{}", s);
    service.pool = "p";
    service.forward = forward;
    service.listen = {listener(family, s)};
    config.services[service.name] = std::move(service);
  }
  model::canonicalize(config);
  model::IdTable ids;
  if (const net::Status s = ids.assign(config); !s) die(s.error().message);
  return must(model::Compiler(kKey).compile(config, topology, ids, net::Generation{1}));
}

}  // namespace

void die(const std::string& sentence) {
  std::fprintf(stderr, "bench: %s\n", sentence.c_str());
  std::exit(1);
}

World make_world(uint8_t family, uint32_t services) {
  return {.family = family,
          .services = services,
          .dsr = compile(family, services, model::Forward::kDsr),
          .ipip = compile(family, services, model::Forward::kIpip)};
}

}  // namespace lb::bench
