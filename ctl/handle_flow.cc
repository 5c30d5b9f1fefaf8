// flow.list, count, flush: the flow tables read piece by piece, so that a million flows hold up nobody else. A cursor
// is where the next piece begins.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>

#include "ctl/call.h"
#include "ctl/flow_filter.h"
#include "ctl/json_view.h"
#include "ctl/log.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kChunkLines = 64;      // at most 512 flows
constexpr size_t kPageFlows = 4096;       // of one answer: 1 MB
constexpr uint64_t kPageLines = 1 << 16;  // half a million entries, some tens of milliseconds
// A worker takes what it is asked to forget with its next poll; one that does not for this long is stuck.
constexpr auto kQueueWait = std::chrono::milliseconds(1);
constexpr int kQueueTries = 2000;

struct Asked {
  FlowFilter filter;
  uint64_t position = 0;
};

Asked read_asked(Call& call) {
  Asked asked;
  static const Json kNone = Json::object();
  const Json* json = call.params.object("filter");
  Fields fields(json == nullptr ? kNone : *json, "filter.", call.params.faults());
  asked.filter = FlowFilter::read(fields);
  fields.finish();
  const std::string cursor = call.params.text_or("cursor", "0");
  const char* const end = cursor.data() + cursor.size();
  const auto parsed = std::from_chars(cursor.data(), end, asked.position);
  if (parsed.ec != std::errc() || parsed.ptr != end)
    call.params.fail("cursor", {net::Code::kInvalid, "is none that an answer had"});
  return asked;
}

net::Result<model::FlowTables*> tables_of(Controller& control) {
  if (model::FlowTables* tables = control.engine().flows()) return tables;
  return net::Error{net::Code::kUnsupported,
                    "this lbd tracks no flows: `daemon.flows` is 0; packets go where the hash says today"};
}

// Goes on from the cursor: each() for the flows that fit, until full() or the piece is read. RETURNS: the next cursor.
template <class Each, class Full>
Json read_piece(Controller& control, model::FlowTables& tables, const Asked& asked, Each each, Full full,
                model::FlowTables::Which which = model::FlowTables::Which::kLive) {
  std::optional<uint64_t> position = asked.position;
  for (uint64_t lines = 0; position && lines < kPageLines && !full(); lines += kChunkLines) {
    position = tables.scan(
        *position, kChunkLines,
        [&](const model::Flow& flow) {
          const KnownFlow known = know(control.snapshot(), flow);
          if (asked.filter.fits(flow, known)) each(flow, known);
        },
        which);
  }
  return position ? Json(std::to_string(*position)) : Json(nullptr);
}

std::string endpoint(const lb_addr& address, lb_be16 port) {
  return net::Endpoint{net::Address(address), lb_ntohs(port)}.to_string();
}

// By WorkerId.
std::vector<std::string> worker_names(model::Engine& engine) {
  std::vector<std::string> names;
  for (const model::WorkerCounters& w : engine.workers()) names.push_back(w.name);
  return names;
}

Json flow_json(const Controller& control, const View& view, const std::vector<std::string>& workers,
               const model::Flow& flow, const KnownFlow& known) {
  const size_t worker = net::raw(flow.worker);
  return {{"proto", net::to_string(flow.proto)},
          {"source", endpoint(flow.source, flow.source_port)},
          {"destination", endpoint(flow.destination, flow.destination_port)},
          {"service",
           known.service == LB_NO_SERVICE ? Json(nullptr) : Json(control.snapshot().service_names[known.service])},
          {"backend", view.address_of(flow.backend)},
          {"class", model::to_string(flow.flow_class)},
          {"pinned", known.pinned},
          {"worker", worker},
          {"worker_name", flow.former || worker >= workers.size() ? Json(nullptr) : Json(workers[worker])},
          {"former", flow.former},
          {"idle_ms", flow.idle_ms},
          {"age_ms", flow.age_ms}};
}

net::Result<Json> list(Call& call) {
  Asked asked = read_asked(call);
  if (auto fault = call.fault()) return *fault;
  auto tables = tables_of(call.control());
  if (!tables) return tables.error();
  if (auto known = asked.filter.resolve(call.control()); !known) return known.error();
  const View view(call.control());
  const std::vector<std::string> workers = worker_names(call.control().engine());
  Json flows = Json::array();
  Json cursor = read_piece(
      call.control(), **tables, asked,
      [&](const model::Flow& flow, const KnownFlow& known) {
        flows.push_back(flow_json(call.control(), view, workers, flow, known));
      },
      [&] { return flows.size() + kChunkLines * 8 > kPageFlows; });
  return Json{{"flows", std::move(flows)}, {"cursor", std::move(cursor)}};
}

struct Counts {
  uint64_t by_class[4] = {};
  uint64_t pinned = 0;
};

net::Result<Json> count(Call& call) {
  Asked asked = read_asked(call);
  if (auto fault = call.fault()) return *fault;
  auto tables = tables_of(call.control());
  if (!tables) return tables.error();
  if (auto known = asked.filter.resolve(call.control()); !known) return known.error();
  std::map<net::BackendId, Counts> counts;
  Json cursor = read_piece(
      call.control(), **tables, asked,
      [&](const model::Flow& flow, const KnownFlow& known) {
        Counts& c = counts[flow.backend];
        c.by_class[static_cast<size_t>(flow.flow_class)]++;
        c.pinned += known.pinned;
      },
      [] { return false; });
  const View view(call.control());
  Json backends = Json::array();
  for (const auto& [id, c] : counts) {
    const uint64_t total = c.by_class[0] + c.by_class[1] + c.by_class[2] + c.by_class[3];
    backends.push_back({{"id", net::raw(id)},
                        {"backend", view.address_of(id)},
                        {"once", c.by_class[0]},
                        {"established", c.by_class[1]},
                        {"closing", c.by_class[2]},
                        {"udp", c.by_class[3]},
                        {"total", total},
                        {"pinned", c.pinned}});
  }
  return Json{{"backends", std::move(backends)}, {"cursor", std::move(cursor)}};
}

// RETURNS: false when its worker takes no requests.
bool forget(model::FlowTables& tables, const model::Flow& flow) {
  for (int i = 0; i < kQueueTries; i++) {
    if (tables.forget(flow)) return true;
    std::this_thread::sleep_for(kQueueWait);
  }
  return false;
}

net::Result<Json> flush(Call& call) {
  Asked asked = read_asked(call);
  const bool all = call.params.flag("all"), dry_run = call.params.flag("dry_run");
  const std::string reason = call.params.text_or("reason", "");
  if (auto fault = call.fault()) return *fault;
  auto tables = tables_of(call.control());
  if (!tables) return tables.error();
  if (asked.filter.empty() && !all) {
    return net::Error{net::Code::kConflict,
                      fmt::format("would forget all {} flows: give a filter such as --service or --backend, or say "
                                  "--all",
                                  (*tables)->count().live)};
  }
  if (auto known = asked.filter.resolve(call.control()); !known) return known.error();
  // What is over steers a packet of the same tuple, too: it goes with the others, and counts as none of them.
  uint64_t done = 0, asked_for = 0;
  std::optional<net::WorkerId> stuck;
  Json cursor = read_piece(
      call.control(), **tables, asked,
      [&](const model::Flow& flow, const KnownFlow&) {
        if (stuck) return;
        if (!dry_run && !forget(**tables, flow)) stuck = flow.worker;
        done += !stuck && !flow.over;
        asked_for++;
      },
      [&] { return stuck.has_value() || asked_for >= kPageFlows; }, model::FlowTables::Which::kAll);
  if (done > 0 && !dry_run) {
    log(LogLevel::kInfo, "flows_forgotten",
        {{"flows", done}, {"uid", call.peer.uid}, {"login_uid", call.peer.login_uid}, {"reason", reason}});
  }
  if (stuck) {
    return net::Error{net::Code::kUnavailable, fmt::format("worker {} takes no requests: {} flows were forgotten, "
                                                           "others not; see `lbctl stats workers`",
                                                           net::raw(*stuck), done)};
  }
  return Json{{"flows", done}, {"dry_run", dry_run}, {"changed", done > 0}, {"cursor", std::move(cursor)}};
}

}  // namespace

std::span<const Method> flow_methods() {
  static constexpr Method kMethods[] = {
      {"flow.list", kReads, list}, {"flow.count", kReads, count}, {"flow.flush", kChanges, flush}};
  return kMethods;
}

}  // namespace lb::ctl
