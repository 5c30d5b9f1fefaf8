// Ports and NICs for people.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

Cell link_cell(const json& row) {
  if (!member(row, "link").is_boolean()) return {"-"};
  return flag_of(row, "link") ? Cell{"up", Tone::kGood} : Cell{"down", Tone::kBad};
}

Cell lost_cell(const json& row, std::string_view key) {
  Cell cell = count_cell(row, key);
  if (number_of(row, key) > 0) cell.tone = Tone::kBad;
  return cell;
}

// A driver may not count by queue.
Cell count_or_dash(const json& row, std::string_view key) {
  return member(row, key).is_number() ? count_cell(row, key) : Cell{"-", Tone::kPlain, true};
}

// The interface by which the kernel has the port.
std::string kernel_side(const json& port) {
  const std::string twin = text_of(port, "twin"), ifname = text_of(port, "ifname");
  return twin.empty() || twin == "-" ? (ifname.empty() ? "-" : ifname) : twin;
}

std::string or_dash(std::string text) {
  return text.empty() ? "-" : text;
}

void view_port_rows(const json& ports, Text& text) {
  if (!ports.is_array() || ports.empty()) return text.line("no ports");
  std::vector<std::vector<Cell>> rows;
  for (const json& p : ports) {
    // What follows a colon is a reason, for `port show`.
    const std::string dispatch = text_of(p, "dispatch");
    rows.push_back({text_cell(p, "name"),
                    text_cell(p, "device"),
                    text_cell(p, "driver"),
                    {kernel_side(p)},
                    link_cell(p),
                    exact_cell(p, "mtu"),
                    exact_cell(p, "queues"),
                    {or_dash(dispatch.substr(0, dispatch.find(':')))},
                    count_cell(p, "rx_packets"),
                    lost_cell(p, "rx_lost"),
                    count_cell(p, "tx_packets"),
                    lost_cell(p, "tx_lost")});
  }
  text.table({"port", "device", "driver", "kernel has", "link", "mtu bytes", "queues", "dispatch", "rx packets",
              "rx lost", "tx packets", "tx lost"},
             rows);
}

std::string carries(const json& nic) {
  std::vector<std::string> what;
  if (member(nic, "session").is_string())
    what.push_back(fmt::format("this SSH session (from {})", text_of(nic, "session")));
  if (member(nic, "default_route").is_string()) what.push_back(text_of(nic, "default_route"));
  if (member(nic, "port").is_string()) what.push_back("port " + text_of(nic, "port"));
  if (member(nic, "confirm_in_s").is_number())
    what.push_back(fmt::format("goes back in {} unless confirmed", duration(number_of(nic, "confirm_in_s"))));
  return join(what);
}

void view_nic_rows(const json& nics, Text& text) {
  if (nics.empty()) return text.line("no PCI network cards");
  std::vector<std::vector<Cell>> rows;
  for (const json& n : nics)
    rows.push_back({text_cell(n, "pci"),
                    text_cell(n, "ids"),
                    text_cell(n, "driver"),
                    text_cell(n, "iommu_group"),
                    text_cell(n, "interface"),
                    link_cell(n),
                    {or_dash(join(texts_of(n, "addresses")))},
                    {or_dash(carries(n))}});
  text.table({"nic", "vendor:device", "driver", "iommu group", "interface", "link", "addresses", "carries"}, rows);
}

// Empty without a twin: the kernel has its own counters then.
Cell by_twin(const json& port, const std::string& way) {
  if (!member(port, way).is_number()) return {};
  const uint64_t lost = number_of(port, way + "_lost");
  return {.text = fmt::format("{} packets, {} lost", human(number_of(port, way)), human(lost)),
          .tone = lost > 0 ? Tone::kBad : Tone::kPlain};
}

void view_queue_rows(const json& port, Text& text) {
  std::vector<std::vector<Cell>> rows;
  for (const auto& [key, word] : {std::pair("rx_queues", "rx"), std::pair("tx_queues", "tx")}) {
    for (const json& q : member(port, key))
      rows.push_back({{fmt::format("{} {}", word, text_of(q, "queue"))},
                      worker_cell(q, "worker_name"),
                      text_cell(q, "core"),
                      count_or_dash(q, "packets"),
                      count_or_dash(q, "bytes"),
                      member(q, "lost").is_number() ? lost_cell(q, "lost") : count_or_dash(q, "lost")});
  }
  if (rows.empty()) return;
  text.blank();
  text.table({"queue", "worker", "core", "packets", "bytes", "lost"}, rows);
}

void tell_move(const json& result, const char* done, const char* would, const char* nothing, Text& text) {
  const bool changed = flag_of(result, "changed");
  const std::string what = !changed ? nothing : flag_of(result, "dry_run") ? would : done;
  text.line(fmt::format("{}: {}", text_of(result, "pci"), what));
  for (const std::string& step : texts_of(result, "steps")) text.line("- " + step);
}

}  // namespace

void view_ports(const json& result, Text& text) {
  const json& nics = member(result, "nics");
  if (!member(result, "ports").is_null() || nics.is_null()) view_port_rows(member(result, "ports"), text);
  if (!nics.is_array()) return;
  if (!member(result, "ports").is_null()) text.blank();
  view_nic_rows(nics, text);
}

void view_port(const json& p, Text& text) {
  text.line(fmt::format("port {}", text_of(p, "name")), Tone::kBold);
  const auto optional = [&](const char* key) {
    return Cell{.text = member(p, key).is_string() ? text_of(p, key) : ""};
  };
  const auto traffic = [&](const std::string& way) {
    const uint64_t lost = number_of(p, way + "_lost");
    return Cell{.text = fmt::format("{} packets, {} bytes, {} lost", human(number_of(p, way + "_packets")),
                                    human(number_of(p, way + "_bytes")), human(lost)),
                .tone = lost > 0 ? Tone::kBad : Tone::kPlain};
  };
  text.facts({{"device", optional("device")},
              {"driver", optional("driver")},
              {"interface", optional("ifname")},
              {"twin", optional("twin")},
              {"mac", optional("mac")},
              {"mtu", {.text = fmt::format("{} bytes", number_of(p, "mtu"))}},
              {"link", link_cell(p)},
              {"dispatch", optional("dispatch")},
              {"rx", traffic("rx")},
              {"tx", traffic("tx")},
              {"to the kernel", by_twin(p, "to_kernel")},
              {"from the kernel", by_twin(p, "from_kernel")}});
  view_queue_rows(p, text);
}

void view_port_bind(const json& result, Text& text) {
  const std::string twin = text_of(result, "twin");
  const bool changed = flag_of(result, "changed"), dry_run = flag_of(result, "dry_run");
  tell_move(result, "moved to vfio-pci", "would be moved to vfio-pci",
            member(result, "twin").is_null() ? "needs no move" : "is on vfio-pci already", text);
  const auto addresses = texts_of(result, "addresses"), routes = texts_of(result, "routes");
  if (changed && !dry_run && member(result, "interface").is_string()) {
    text.facts({{"was", {.text = fmt::format("{}, {}", text_of(result, "interface"), text_of(result, "driver"))}},
                {"is now", {.text = twin}},
                {"addresses", {.text = join(addresses)}},
                {"routes", {.text = join(routes)}}});
  }
  for (const std::string& note : texts_of(result, "notes")) text.line("note: " + note);
  text.line("in the configuration of lbd, under daemon.dpdk.ports:");
  text.line("  - " + text_of(result, "config"));
  if (!member(result, "confirm_within_s").is_number()) return;
  text.line(fmt::format("{} back in {} unless `lbctl port confirm {}` follows", dry_run ? "It would go" : "It goes",
                        duration(number_of(result, "confirm_within_s")), text_of(result, "name")),
            Tone::kBold);
}

void view_port_confirm(const json& result, Text& text) {
  const std::string what =
      !flag_of(result, "changed")
          ? "nothing was to be confirmed, it stays"
          : fmt::format("{} the port {}", flag_of(result, "dry_run") ? "would stay" : "stays", text_of(result, "name"));
  text.line(fmt::format("{}: {}", text_of(result, "pci"), what));
}

void view_port_unbind(const json& result, Text& text) {
  tell_move(result, "given back to the kernel", "would be given back to the kernel", "is the kernel's already", text);
  if (!flag_of(result, "changed") || flag_of(result, "dry_run")) return;
  const auto optional = [&](const char* key) {
    return Cell{.text = member(result, key).is_string() ? text_of(result, key) : ""};
  };
  text.facts({{"driver", optional("driver")},
              {"interface", optional("interface")},
              {"addresses", {.text = join(texts_of(result, "addresses"))}},
              {"routes", {.text = join(texts_of(result, "routes"))}}});
}

}  // namespace lb::ctl
