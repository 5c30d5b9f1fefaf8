// One request on its way through a handler, and what handlers act on.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/access.h"
#include "ctl/announcer.h"
#include "ctl/audit.h"
#include "ctl/controller.h"
#include "ctl/drift.h"
#include "ctl/fields.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {

class EventRing;

struct Node {
  Controller& controller;
  Drift& drift;
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::vector<std::string> notes;  // what start-up had to say: a damaged state
  Access& access;
  AuditLog& audit;
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

// What a method needs its caller to be.
inline constexpr Role kReads = Role::kViewer;
inline constexpr Role kChanges = Role::kOperator;  // but with `dry_run: true`, which only reads; audited

struct Method {
  std::string_view name;
  Role needs;
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
std::vector<Method> all_methods();

std::string_view code_text(net::Code code);  // data.code of an answer: "not_found"

}  // namespace lb::ctl
