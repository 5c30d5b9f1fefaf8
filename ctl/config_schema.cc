#include "ctl/config_schema.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dataplane/model/config.h"
#include "dataplane/model/keys.h"

namespace lb::ctl {
namespace {

using Schema = nlohmann::ordered_json;
using model::Choice;
using model::Section;

Schema ref(std::string_view name) {
  return {{"$ref", fmt::format("#/$defs/{}", name)}};
}
Schema whole(uint64_t lowest, uint64_t highest) {
  return {{"type", "integer"}, {"minimum", lowest}, {"maximum", highest}};
}
Schema list_of(Schema item) {
  return {{"type", "array"}, {"items", std::move(item)}};
}
Schema by_name(std::string_view def) {
  return {{"type", "object"}, {"propertyNames", ref("name")}, {"additionalProperties", ref(def)}};
}
Schema path() {
  return {{"type", "string"}, {"pattern", "^/"}};
}
Schema words_of(Choice choice) {
  Schema list = Schema::array();
  for (const std::string_view word : model::known_words(choice)) list.push_back(word);
  return {{"enum", std::move(list)}};
}
Schema prefix() {
  Schema schema = list_of({{"type", "integer"}});
  schema["prefixItems"] = {whole(1, model::kMaxPrefix4), whole(1, model::kMaxPrefix6)};
  schema["minItems"] = schema["maxItems"] = 2;
  return schema;
}
Schema accounts() {
  return list_of({{"type", {"string", "integer"}}});
}
Schema flows() {
  return {{"anyOf", {Schema{{"const", 0}}, whole(model::kMinFlows, model::kMaxFlows)}}};
}

// A key in whichever sections know it; a section of its own where it means something else there.
struct KeySchema {
  std::string_view key;
  Schema (*value)();
  std::string_view told;
};
constexpr KeySchema kKeySchemas[] = {
    {"version",
     [] {
       return Schema{{"const", 1}};
     },
     "Form of the document"},
    {"include",
     [] {
       return list_of({{"type", "string"}});
     },
     "Files with more pools and services: paths and patterns"},
    {"daemon", [] { return ref("daemon"); }, "The process itself, read at start"},
    {"defaults", [] { return ref("defaults"); }, "What services take when they do not say otherwise"},
    {"pools", [] { return by_name("pool"); }, "Backends by pool name"},
    {"services", [] { return by_name("service"); }, "Services by name"},
    {"engine",
     [] {
       return Schema{{"enum", {"dpdk", "xdp"}}};
     },
     "What moves the packets"},
    {"socket", path, "Unix socket of lbctl"},
    {"state-dir", path, "Where acknowledged configurations are kept"},
    {"hash-key-file", path, "128-bit secret key of the flow hash, the same on every node of a fleet"},
    {"hash-version",
     [] {
       return Schema{{"const", 1}};
     },
     "Arithmetic of hash and table"},
    {"flows", flows, "Connections that the flow table holds; 0: no tracking"},
    {"orphan-after",
     [] {
       return Schema{{"type", "string"}, {"pattern", "^([1-9][0-9]*[smhd]|never)$"}};
     },
     "Engine xdp: how long its programs go on when lbd has died"},
    {"dpdk", [] { return ref("dpdk"); }, "Engine dpdk"},
    {"xdp", [] { return ref("xdp"); }, "Engine xdp"},
    {"workers", [] { return list_of(whole(0, model::kMaxCore)); }, "CPU cores, one poll-mode worker each"},
    {"huge-pages", [] { return words_of(Choice::kHugePages); }, "Memory of packets"},
    {"idle", [] { return words_of(Choice::kIdle); }, "What a worker does without packets"},
    {"ports", [] { return list_of(ref("port")); }, "Where packets come in and leave"},
    {"interfaces", [] { return list_of(ref("interface")); }, "Where packets come in and leave"},
    {"name", [] { return ref("name"); }, "What commands and counters call it"},
    {"device",
     [] {
       return Schema{{"type", "string"}, {"minLength", 1}};
     },
     "A kernel interface, a PCI address or a DPDK device string"},
    {"mtu", [] { return whole(model::kMinMtu, model::kMaxMtu); }, "Largest IP packet that leaves there, in bytes"},
    {"mode", [] { return words_of(Choice::kXdpMode); }, "Where the program runs: in the driver, or behind it"},
    {"forward", [] { return words_of(Choice::kForward); }, "How a packet reaches its backend"},
    {"schedule", [] { return words_of(Choice::kSchedule); }, "How a backend is chosen"},
    {"table-size", [] { return whole(model::kMinTableSize, model::kMaxTableSize); }, "Slots of its table: a prime"},
    {"source-prefix", prefix, "With source-hash: bits of a client's IPv4 and IPv6 address that count"},
    {"on-no-listener", [] { return words_of(Choice::kNoListener); },
     "What packets to its addresses get when no service listens there"},
    {"access", [] { return ref("access"); }, "Who may read and who may change, over the socket"},
    {"operator", accounts, "Users and %groups who may change"},
    {"viewer", accounts, "Users and %groups who may read"},
    {"announce", [] { return words_of(Choice::kAnnounce); }, "Whether host routes tell routers of its addresses"},
    {"shutdown-delay",
     [] {
       return Schema{{"type", "string"}, {"pattern", "^[0-9]+[smhd]$"}};
     },
     "How long lbd forwards after its addresses are withdrawn at its end"},
    {"backends", [] { return list_of(ref("backend")); }, "The servers"},
    {"address", [] { return ref("address"); }, "IPv4 or IPv6 address"},
    {"weight", [] { return whole(0, model::kMaxWeight); }, "Share of new flows; 0 takes none"},
    {"labels", [] { return ref("labels"); }, "Words to select backends by"},
    {"listen", [] { return list_of(ref("listener")); }, "ADDRESS:PORT/PROTOCOL; PORT also a range or *"},
    {"pool", [] { return ref("name"); }, "Where its packets go"},
};

const KeySchema& find_key(std::string_view key) {
  for (const KeySchema& k : kKeySchemas)
    if (k.key == key) return k;
  throw std::logic_error(fmt::format("the configuration's schema does not know the key {}", key));
}

Schema section(Section which, std::initializer_list<const char*> required = {}) {
  Schema properties = Schema::object();
  for (const std::string_view key : model::known_keys(which)) {
    const KeySchema& known = find_key(key);
    Schema value = known.value();
    value["description"] = known.told;
    properties[std::string(key)] = std::move(value);
  }
  // Names of an interface are the kernel's.
  if (which == Section::kInterface)
    properties["name"] = {{"type", "string"}, {"minLength", 1}, {"maxLength", model::kMaxInterfaceName}};
  Schema out = {{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
  if (required.size() > 0) out["required"] = Schema(required);
  return out;
}

Schema definitions() {
  Schema defs;
  defs["name"] = {{"type", {"string", "integer"}}, {"pattern", "^[a-z0-9][a-z0-9._-]{0,62}$"}};
  defs["address"] = {{"type", "string"}, {"pattern", "^[0-9A-Fa-f:.]+$"}};
  defs["listener"] = {
      {"type", "string"},
      {"pattern", R"(^([0-9.]+|\[[0-9A-Fa-f:.]+\]):(\*|[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?)/(tcp|udp)$)"}};
  defs["labels"] = {{"type", "object"},
                    {"propertyNames", ref("name")},
                    {"additionalProperties", {{"type", {"string", "number", "boolean"}}, {"minLength", 1}}}};
  defs["daemon"] = section(Section::kDaemon);
  defs["access"] = section(Section::kAccess);
  defs["dpdk"] = section(Section::kDpdk);
  defs["port"] = section(Section::kPort, {"name", "device"});
  defs["xdp"] = section(Section::kXdp);
  defs["interface"] = section(Section::kInterface, {"name"});
  defs["defaults"] = section(Section::kDefaults);
  defs["pool"] = section(Section::kPool);
  defs["backend"] = section(Section::kBackend, {"name", "address"});
  defs["service"] = section(Section::kService, {"listen", "pool"});
  return defs;
}

}  // namespace

std::string config_schema(SchemaOf what) {
  const bool main = what == SchemaOf::kMainFile;
  Schema out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                {"title", main ? "Configuration of lbd" : "A file that a configuration of lbd includes"},
                {"description", "`lbctl config check` judges more than keys and values."}};
  out.update(main ? section(Section::kTop, {"version"}) : section(Section::kIncluded));
  out["$defs"] = definitions();
  return out.dump(2);
}

}  // namespace lb::ctl
