// lbctl flow list|count|flush. What the daemon answers piece by piece is put together here, and `list` prints each
// piece as it comes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <utility>

#include "ctl/cmd_common.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct FlowArgs {
  std::string service, backend, client, flow_class;
  bool pinned = false, all = false;
  std::optional<uint64_t> limit;
};

json filter_of(const FlowArgs& args) {
  json filter = json::object();
  if (!args.service.empty()) filter["service"] = args.service;
  if (!args.backend.empty()) filter["backend"] = args.backend;
  if (!args.client.empty()) filter["client"] = args.client;
  if (!args.flow_class.empty()) filter["class"] = args.flow_class;
  if (args.pinned) filter["pinned"] = true;
  return filter;
}

// Calls until the answer has no cursor; each() may end it by returning false. RETURNS: false after a failure was told.
template <class Each>
bool read_all(Session& session, std::string_view method, json params, Each each) {
  for (;;) {
    const auto piece = session.call(method, params);
    if (!piece) return false;
    if (!each(*piece)) return true;
    const json& cursor = member(*piece, "cursor");
    if (!cursor.is_string()) return true;
    params["cursor"] = cursor;
  }
}

// Prints flows one a line, columns as wide as they had to be so far.
class FlowPrinter {
 public:
  FlowPrinter(std::ostream& out, bool as_json) : out_(out), json_(as_json) {}
  void begin() {
    if (json_) out_ << "{\"changed\": false, \"flows\": [";
  }
  void flow(const json& f) {
    if (json_) {
      out_ << (count_ == 0 ? "\n" : ",\n") << f.dump(-1, ' ', false, json::error_handler_t::replace);
    } else {
      if (count_ == 0) row({"proto", "source", "destination", "service", "backend", "class", "pinned", "idle", "age"});
      const json& b = member(f, "backend");
      row({text_of(f, "proto"), text_of(f, "source"), text_of(f, "destination"), text_of(f, "service"),
           b.is_object() ? text_of(b, "pool") + "/" + text_of(b, "name") : "-", text_of(f, "class"),
           flag_of(f, "pinned") ? "yes" : "no", seconds(f, "idle_ms"), seconds(f, "age_ms")});
    }
    count_++;
  }
  void end() {
    if (json_) out_ << "\n]}\n";
    if (!json_ && count_ == 0) out_ << "no flows\n";
  }
  uint64_t count() const { return count_; }

 private:
  static std::string seconds(const json& f, std::string_view key) {
    const uint64_t ms = number_of(f, key);
    return ms < 60000 ? fmt::format("{:.1f} s", static_cast<double>(ms) / 1000) : duration(ms / 1000);
  }
  void row(const std::vector<std::string>& cells) {
    for (size_t i = 0; i + 1 < cells.size(); i++) {
      widths_[i] = std::max(widths_[i], cells[i].size());
      out_ << cells[i] << std::string(widths_[i] - cells[i].size() + 2, ' ');
    }
    out_ << cells.back() << '\n';
  }

  std::ostream& out_;
  bool json_;
  uint64_t count_ = 0;
  std::array<size_t, 9> widths_ = {5, 21, 18, 7, 7, 11, 6, 6, 0};
};

int list(Session& session, const FlowArgs& args) {
  const uint64_t limit = args.limit.value_or(UINT64_MAX);
  FlowPrinter printer(session.out(), session.options.json);
  bool begun = false;
  const bool read = read_all(session, "flow.list", {{"filter", filter_of(args)}}, [&](const json& piece) {
    if (!std::exchange(begun, true)) printer.begin();
    for (const json& f : member(piece, "flows")) {
      if (printer.count() == limit) return false;
      printer.flow(f);
    }
    return printer.count() < limit && session.out().good();
  });
  if (begun) printer.end();
  return read ? kDone : session.failed();
}

constexpr std::array kCounts = {"once", "established", "closing", "udp", "total", "pinned"};

int count(Session& session, const FlowArgs& args) {
  std::map<uint64_t, json> backends;
  json totals = json::object();
  for (const char* key : kCounts) totals[key] = 0;
  const auto add = [](json& to, const json& from) {
    for (const char* key : kCounts) to[key] = number_of(to, key) + number_of(from, key);
  };
  const bool read = read_all(session, "flow.count", {{"filter", filter_of(args)}}, [&](const json& piece) {
    for (const json& b : member(piece, "backends")) {
      add(totals, b);
      const auto [it, fresh] = backends.try_emplace(number_of(b, "id"), b);
      if (!fresh) add(it->second, b);
    }
    return true;
  });
  if (!read) return session.failed();
  json rows = json::array();
  for (auto& [id, row] : backends) rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const json& a, const json& b) { return number_of(a, "total") > number_of(b, "total"); });
  session.show({{"backends", std::move(rows)}, {"totals", std::move(totals)}}, view_flow_count);
  return kDone;
}

int flush(Session& session, const FlowArgs& args) {
  json params = {{"filter", filter_of(args)}};
  if (args.all) params["all"] = true;
  if (session.options.dry_run) params["dry_run"] = true;
  if (!session.options.reason.empty()) params["reason"] = session.options.reason;
  uint64_t flows = 0;
  const bool read = read_all(session, "flow.flush", params, [&](const json& piece) {
    flows += number_of(piece, "flows");
    return true;
  });
  if (!read) return session.failed();
  session.show(
      {{"changed", flows > 0 && !session.options.dry_run}, {"dry_run", session.options.dry_run}, {"flows", flows}},
      view_flow_flush);
  return kDone;
}

CLI::App& add_filter(CLI::App& verb, FlowArgs& args) {
  verb.add_option("--service", args.service, "Only those of this service")->type_name("NAME");
  verb.add_option("--backend", args.backend, "Only those of POOL/NAME, * for any part")->type_name("BACKEND");
  verb.add_option("--client", args.client, "Only those from this address or prefix")->type_name("PREFIX");
  verb.add_option("--class", args.flow_class, "Only once, established, closing or udp")->type_name("CLASS");
  verb.add_flag("--pinned", args.pinned, "Only those whose backend the table would not choose today");
  return verb;
}

}  // namespace

void add_flow_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "flow", "Flows: what the flow table holds");
  const auto args = std::make_shared<FlowArgs>();
  add_filter(
      add_verb(noun, "list", "Print flows, one a line", session, [&session, args] { return list(session, *args); }),
      *args)
      .add_option("--limit", args->limit, "At most so many")
      ->type_name("N");
  add_filter(add_verb(noun, "count", "Count flows by backend and class", session,
                      [&session, args] { return count(session, *args); }),
             *args);
  add_filter(add_verb(noun, "flush", "Forget flows: their next packet is chosen for anew", session,
                      [&session, args] { return flush(session, *args); }),
             *args)
      .add_flag("--all", args->all, "All flows, without a filter");
}

}  // namespace lb::ctl
