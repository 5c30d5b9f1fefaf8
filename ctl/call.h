// One request on its way through a handler, and what handlers act on.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/announcer.h"
#include "ctl/controller.h"
#include "ctl/drift.h"
#include "ctl/fields.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {

class EventRing;

struct Peer {  // SO_PEERCRED of the client
  uint32_t uid = 0;
  int32_t pid = 0;
  std::string login_uid;
};

struct Node {
  Controller& controller;
  Drift& drift;
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::vector<std::string> notes;  // what start-up had to say: a damaged state
  EventRing* events = nullptr;     // null: none are kept
  Announcer* announcer = nullptr;  // null: nobody announces
};

struct Call {
  Node& node;
  std::string method;
  Fields& params;
  const Peer& peer;
  std::optional<UniqueFd> fd;         // the document, when params say so
  std::vector<std::string> problems;  // error.data.problems

  Controller& control() { return node.controller; }
  // After the last parameter is read. RETURNS: the first fault, if any.
  std::optional<net::Error> fault() {
    params.finish();
    return params.faults().first;
  }
};

using Handler = net::Result<nlohmann::json> (*)(Call&);

struct Method {
  std::string_view name;
  Handler handler;
  bool document = false;  // takes `text` or a descriptor
};

// Each family of methods lists its own.
std::span<const Method> service_methods();
std::span<const Method> pool_methods();
std::span<const Method> backend_methods();
std::span<const Method> config_methods();
std::span<const Method> history_methods();
std::span<const Method> show_methods();  // hello, summary
std::span<const Method> explain_methods();
std::span<const Method> stats_methods();
std::span<const Method> port_methods();
std::span<const Method> engine_methods();
std::span<const Method> table_methods();
std::span<const Method> flow_methods();
std::span<const Method> events_methods();
std::span<const Method> node_methods();

}  // namespace lb::ctl
