// Services, pools and backends for people.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// "3/4", red when nothing is eligible, bold when some are not. backends: a number or the backends themselves.
Cell eligible_cell(const json& object) {
  const uint64_t eligible = number_of(object, "eligible");
  const json& backends = member(object, "backends");
  const uint64_t all = backends.is_array() ? backends.size() : number_of(object, "backends");
  const Tone tone = eligible == 0 ? Tone::kBad : eligible < all ? Tone::kBold : Tone::kPlain;
  return {fmt::format("{}/{}", eligible, all), tone, true};
}

// A backend is judged by the forward modes of the services that use it; an unused one by ipip, the default.
struct Eligibility {
  bool yes = true;
  std::string why;
};
Eligibility eligibility(const json& backend) {
  bool dsr = false, ipip = false;
  for (const json& use : member(backend, "used_by")) (text_of(use, "forward") == "dsr" ? dsr : ipip) = true;
  if (!dsr) ipip = true;
  Eligibility e;
  for (const auto& [used, mode] : {std::pair{ipip, "ipip"}, std::pair{dsr, "dsr"}}) {
    if (!used || flag_of(member(backend, "eligible"), mode)) continue;
    const std::string why = text_of(member(backend, "why"), mode);
    if (e.yes || e.why != why) e.why += (e.yes ? "" : "; ") + why;
    e.yes = false;
  }
  return e;
}

// "yes", "no", "1/2" of its addresses; "-" without `announce: on`.
Cell announced_cell(const json& service) {
  const json& announcement = member(service, "announcement");
  if (!announcement.is_object()) return {"-", Tone::kDim};
  size_t announced = 0;
  const json& vips = member(announcement, "vips");
  for (const json& vip : vips) announced += flag_of(vip, "announced");
  if (flag_of(announcement, "announced")) return {"yes", Tone::kGood};
  return {announced == 0 ? "no" : fmt::format("{}/{}", announced, vips.size()), Tone::kBad};
}

// Its addresses that are not announced, and why.
std::string announcement_text(const json& service) {
  const json& announcement = member(service, "announcement");
  if (!announcement.is_object()) return text_of(service, "announce");
  std::vector<std::string> parts;
  for (const json& vip : member(announcement, "vips")) {
    const std::string why = text_of(vip, "why");
    if (!flag_of(vip, "announced"))
      parts.push_back(fmt::format("{} is not announced: {}", text_of(vip, "address"), why));
  }
  if (const json& by = member(announcement, "withdrawn"); by.is_object()) {
    std::string text = fmt::format("withdrawn since {} by uid {}", utc(by, "since"), text_of(by, "uid"));
    if (const std::string reason = text_of(by, "reason"); !reason.empty() && reason != "-") text += ": " + reason;
    if (member(by, "expires").is_number()) text += ", until " + utc(by, "expires");
    parts.push_back(std::move(text));
  }
  return parts.empty() ? "on, announced" : "on; " + join(parts, "; ");
}

std::string labels_of(const json& backend) {
  std::vector<std::string> parts;
  const json& labels = member(backend, "labels");
  for (auto it = labels.begin(); labels.is_object() && it != labels.end(); ++it) {
    parts.push_back(it.key() + "=" + text_of(labels, it.key()));
  }
  return join(parts, ",");
}

std::string id_of(const json& backend) {
  return text_of(backend, "pool") + "/" + text_of(backend, "name");
}

Cell admin_cell(const json& backend) {
  const std::string admin = text_of(backend, "admin");
  return {admin, admin == "ready" || admin == "-" ? Tone::kPlain : Tone::kBold};
}

std::string admin_text(const json& backend) {
  if (!member(backend, "admin").is_string()) return "";
  std::string text = text_of(backend, "admin");
  if (const json& leaving = member(backend, "leaving"); leaving.is_object())
    return text + ": removed " + utc(leaving, "since") + ", keeps its flows until " + utc(leaving, "until");
  const json& by = member(backend, "override");
  if (!by.is_object()) return text;
  text += fmt::format(": since {} by uid {}", utc(by, "since"), text_of(by, "uid"));
  if (member(by, "expires").is_number()) text += ", until " + utc(by, "expires");
  return text;
}

std::string flows_text(const json& backend) {
  const json& flows = member(backend, "flows");
  if (!flows.is_object()) return "";
  std::string text = fmt::format("{}: {} once, {} established, {} closing, {} udp", number_of(flows, "total"),
                                 number_of(flows, "once"), number_of(flows, "established"), number_of(flows, "closing"),
                                 number_of(flows, "udp"));
  if (member(flows, "idle_ms").is_number())
    text += fmt::format(", the last active {:.1f} s ago", static_cast<double>(number_of(flows, "idle_ms")) / 1000);
  return text;
}

std::string next_hop_of(const json& backend) {
  if (!member(backend, "next_hop").is_string()) return "-";
  const char* way = flag_of(backend, "on_link") ? "on link" : "gateway";
  return fmt::format("{} ({})", text_of(backend, "next_hop"), way);
}

// Whose limit the MTU is, when that is not the interface's; and what is learnt, where something smaller counts.
std::vector<std::string> mtu_texts(const json& backend) {
  const std::string from = text_of(backend, "mtu_from");
  const json& path = member(backend, "path_mtu");
  std::vector<std::string> texts;
  if (from == "port") texts.emplace_back("configured for the port");
  if (from == "route") texts.emplace_back("of the route");
  if (path.is_object())
    texts.push_back(fmt::format("{} bytes reported by {} at {}, until {}", text_of(path, "mtu"), text_of(path, "from"),
                                utc(path, "since"), utc(path, "expires")));
  return texts;
}

// Of those that are eligible: what they cannot do.
std::string warning_of(const json& backend) {
  return member(backend, "warning").is_string() ? text_of(backend, "warning") : "";
}

}  // namespace

void view_services(const json& result, Text& text) {
  const json& services = member(result, "services");
  if (!services.is_array() || services.empty()) {
    text.line("no services; add one: lbctl service add NAME --listen ADDRESS:PORT/tcp --pool POOL");
    return;
  }
  // Whoever announces nothing need not read of it.
  const bool any = std::ranges::any_of(services, [](const json& s) { return member(s, "announcement").is_object(); });
  std::vector<std::vector<Cell>> rows;
  for (const json& s : services) {
    rows.push_back({text_cell(s, "name"), text_cell(s, "listen"), text_cell(s, "pool"), eligible_cell(s),
                    text_cell(s, "forward"), count_cell(s, "packets"), count_cell(s, "bytes")});
    if (any) rows.back().insert(rows.back().begin() + 4, announced_cell(s));
  }
  std::vector<std::string> columns = {"service", "listen", "pool", "eligible", "forward", "packets", "bytes"};
  if (any) columns.insert(columns.begin() + 4, "announced");
  text.table(columns, rows);
}

void view_service(const json& s, Text& text) {
  const auto prefix = texts_of(s, "source_prefix");
  const bool by_source = text_of(s, "schedule") == "source-hash" && prefix.size() == 2;
  const bool as_configured = text_of(s, "configured") == text_of(s, "live");
  const std::string schedule = text_of(s, "schedule");
  text.facts({
      {"service", {text_of(s, "name"), Tone::kBold}},
      {"listen", {text_of(s, "listen")}},
      {"pool", {text_of(s, "pool")}},
      {"forward", {text_of(s, "forward")}},
      {"schedule", {by_source ? fmt::format("{} (IPv4 /{}, IPv6 /{})", schedule, prefix[0], prefix[1]) : schedule}},
      {"table size", {text_of(s, "table_size") + " slots"}},
      {"on no listener", {text_of(s, "on_no_listener")}},
      {"announce", {announcement_text(s), announced_cell(s).tone == Tone::kBad ? Tone::kBad : Tone::kPlain}},
      {"digest",
       {as_configured ? text_of(s, "live") + ", as configured"
                      : text_of(s, "live") + ", configured " + text_of(s, "configured")}},
      {"eligible", {eligible_cell(s).text, eligible_cell(s).tone}},
      {"traffic", {human(number_of(s, "packets")) + " packets, " + human(number_of(s, "bytes")) + " bytes"}},
  });
  text.blank();
  view_backends(s, text);
}

void view_pools(const json& result, Text& text) {
  const json& pools = member(result, "pools");
  if (!pools.is_array() || pools.empty()) {
    text.line("no pools; add one: lbctl pool add NAME --backend NAME=ADDRESS");
    return;
  }
  std::vector<std::vector<Cell>> rows;
  for (const json& p : pools) {
    const std::string users = text_of(p, "services");
    rows.push_back({text_cell(p, "name"), eligible_cell(p), {users.empty() ? "-" : users}});
  }
  text.table({"pool", "eligible", "services"}, rows);
}

void view_pool(const json& p, Text& text) {
  const std::string users = text_of(p, "services");
  text.facts({{"pool", {text_of(p, "name"), Tone::kBold}},
              {"services", {users.empty() ? "none" : users}},
              {"eligible", {eligible_cell(p).text, eligible_cell(p).tone}}});
  text.blank();
  view_backends(p, text);
}

void view_backends(const json& result, Text& text) {
  const json& backends = member(result, "backends");
  if (!backends.is_array() || backends.empty()) {
    text.line("no backends; add one: lbctl backend add POOL/NAME ADDRESS");
    return;
  }
  std::vector<std::vector<Cell>> rows;
  for (const json& b : backends) {
    const Eligibility e = eligibility(b);
    const std::string labels = labels_of(b);
    rows.push_back({{id_of(b)},
                    text_cell(b, "address"),
                    exact_cell(b, "weight"),
                    admin_cell(b),
                    e.yes ? Cell{"yes", Tone::kGood} : Cell{"no", Tone::kBad},
                    count_cell(member(b, "flows"), "total"),
                    text_cell(b, "port"),
                    {next_hop_of(b)},
                    count_cell(b, "packets"),
                    count_cell(b, "bytes"),
                    {labels.empty() ? "-" : labels},
                    {e.yes ? warning_of(b) : e.why}});
  }
  text.table({"backend", "address", "weight", "admin", "eligible", "flows", "port", "next hop", "packets", "bytes",
              "labels", "why not"},
             rows);
}

void view_backend(const json& b, Text& text) {
  const Eligibility e = eligibility(b);
  const std::string mtu = member(b, "mtu").is_number() ? ", MTU " + text_of(b, "mtu") + " bytes" : "";
  const bool resolved = member(b, "next_hop").is_string();
  text.facts({
      {"backend", {id_of(b), Tone::kBold}},
      {"address", {text_of(b, "address")}},
      {"weight", {text_of(b, "weight")}},
      {"labels", {labels_of(b)}},
      {"admin", {admin_text(b)}},
      {"flows", {flows_text(b)}},
      {"eligible", {e.yes ? "yes" : "no: " + e.why, e.yes ? Tone::kGood : Tone::kBad}},
      {"next hop",
       {resolved ? fmt::format("{} by port {}{}{}", next_hop_of(b), text_of(b, "port"), vlan_text(b), mtu) : ""}},
      {"path MTU", {join(mtu_texts(b))}},
      {"warning", {warning_of(b), Tone::kBad}},
      {"traffic", {human(number_of(b, "packets")) + " packets, " + human(number_of(b, "bytes")) + " bytes"}},
      {"id", {text_of(b, "id")}},
  });
  const json& services = member(b, "services");
  if (text_of(b, "admin") == "leaving") return;
  if (!services.is_array() || services.empty()) return text.line("No service uses its pool.");
  text.blank();
  std::vector<std::vector<Cell>> rows;
  for (const json& s : services) {
    const bool yes = flag_of(s, "eligible");
    rows.push_back({text_cell(s, "service"),
                    text_cell(s, "forward"),
                    yes ? Cell{"yes", Tone::kGood} : Cell{"no", Tone::kBad},
                    exact_cell(s, "slots"),
                    {percent(share_of(s, "share")), Tone::kPlain, true},
                    {yes ? "" : text_of(s, "why")}});
  }
  text.table({"service", "forward", "eligible", "slots", "share", "why not"}, rows);
}

}  // namespace lb::ctl
