// Config -> canonical YAML: sorted names, built-in values left out, one line a backend.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "dataplane/model/config_print.h"
#include "dataplane/model/config_text.h"

namespace lb::model {
namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out + "\"";
}

// Words that YAML 1.1 readers take for something else than text.
bool is_special_word(std::string_view s) {
  static constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  return std::find(std::begin(kWords), std::end(kWords), s) != std::end(kWords);
}

std::string address(const Address& a) {
  return a.is_ipv4() ? a.to_string() : in_quotes(a.to_string());
}

void print_daemon(const Daemon& d, std::string& out) {
  const Daemon built_in;
  std::string dpdk;
  if (!d.workers.empty()) dpdk += fmt::format("    workers: [{}]\n", fmt::join(d.workers, ", "));
  if (d.huge_pages != built_in.huge_pages) dpdk += fmt::format("    huge-pages: {}\n", to_string(d.huge_pages));
  if (d.idle != built_in.idle) dpdk += fmt::format("    idle: {}\n", to_string(d.idle));
  if (!d.ports.empty()) dpdk += "    ports:\n";
  for (const Port& p : d.ports) {
    dpdk += fmt::format("      - {{name: {}, device: {}", print_scalar(p.name), print_scalar(p.device));
    if (p.mtu) dpdk += fmt::format(", mtu: {}", *p.mtu);
    dpdk += "}\n";
  }
  out += "daemon:\n";
  out += fmt::format("  engine: {}\n", print_scalar(d.engine));
  if (d.socket != built_in.socket) out += fmt::format("  socket: {}\n", print_scalar(d.socket));
  if (d.state_dir != built_in.state_dir) out += fmt::format("  state-dir: {}\n", print_scalar(d.state_dir));
  if (d.hash_key_file != built_in.hash_key_file)
    out += fmt::format("  hash-key-file: {}\n", print_scalar(d.hash_key_file));
  if (d.hash_version != built_in.hash_version) out += fmt::format("  hash-version: {}\n", d.hash_version);
  if (d.flows != built_in.flows) out += fmt::format("  flows: {}\n", d.flows);
  if (d.orphan_after_s != built_in.orphan_after_s)
    out += fmt::format("  orphan-after: {}\n", orphan_after_text(d.orphan_after_s));
  if (d.shutdown_delay_s != built_in.shutdown_delay_s)
    out += fmt::format("  shutdown-delay: {}s\n", d.shutdown_delay_s);
  if (d.access != built_in.access) out += fmt::format("  access: {{{}}}\n", access_text(d.access));
  if (!dpdk.empty()) out += "  dpdk:\n" + dpdk;
  if (!d.interfaces.empty()) out += "  xdp:\n    interfaces:\n";
  for (const XdpInterface& i : d.interfaces)
    out += fmt::format("      - {{name: {}, mode: {}}}\n", print_scalar(i.name), to_string(i.mode));
}

void print_pool(const Pool& pool, std::string& out) {
  out += fmt::format("  {}:\n", print_scalar(pool.name));
  out += pool.backends.empty() ? "    backends: []\n" : "    backends:\n";
  for (const Backend& b : pool.backends) print_backend(b, out);
}

void print_rest(const Config& config, std::string& out) {
  if (!config.pools.empty()) out += "pools:\n";
  for (const auto& [name, pool] : config.pools) print_pool(pool, out);
  if (!config.services.empty()) out += "services:\n";
  for (const auto& [name, service] : config.services) print_service(service, out);
}

}  // namespace

// Plain when every YAML reader takes it as that text, in block and in flow style.
std::string print_scalar(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '/'; };
  const auto is_safe = [&](char c) {
    return is_letter(c) || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  const bool plain = !text.empty() && is_letter(text.front()) && std::all_of(text.begin(), text.end(), is_safe) &&
                     !is_special_word(text);
  return plain ? std::string(text) : in_quotes(text);
}

void print_backend(const Backend& b, std::string& out) {
  fmt::format_to(std::back_inserter(out), "      - {{name: {}, address: {}", print_scalar(b.name), address(b.address));
  if (b.weight != Backend().weight) fmt::format_to(std::back_inserter(out), ", weight: {}", b.weight);
  const char* separator = ", labels: {";
  for (const auto& [key, value] : b.labels) {
    out += separator + print_scalar(key) + ": " + print_scalar(value);
    separator = ", ";
  }
  out += b.labels.empty() ? "}\n" : "}}\n";
}

void print_service(const Service& s, std::string& out) {
  const Service built_in;
  out += fmt::format("  {}:\n    listen:\n", print_scalar(s.name));
  for (const Listener& l : s.listen) out += fmt::format("      - \"{}\"\n", l.to_string());
  out += fmt::format("    pool: {}\n", print_scalar(s.pool));
  if (s.forward != built_in.forward) out += fmt::format("    forward: {}\n", to_string(s.forward));
  if (s.schedule != built_in.schedule) out += fmt::format("    schedule: {}\n", to_string(s.schedule));
  if (s.table_size != built_in.table_size) out += fmt::format("    table-size: {}\n", s.table_size);
  if (s.prefix4 != built_in.prefix4 || s.prefix6 != built_in.prefix6)
    out += fmt::format("    source-prefix: [{}, {}]\n", s.prefix4, s.prefix6);
  if (s.on_no_listener != built_in.on_no_listener)
    out += fmt::format("    on-no-listener: {}\n", to_string(s.on_no_listener));
  if (s.announce != built_in.announce) out += fmt::format("    announce: {}\n", to_string(s.announce));
}

std::string access_text(const Access& access) {
  const auto list = [](const std::vector<std::string>& names) {
    std::vector<std::string> texts;
    for (const std::string& name : names) texts.push_back(print_scalar(name));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  };
  return fmt::format("operator: {}, viewer: {}", list(access.operators), list(access.viewers));
}

std::string print_config(const Config& config) {
  std::string out = "version: 1\n";
  if (config.daemon != Daemon()) print_daemon(config.daemon, out);
  print_rest(config, out);
  return out;
}

std::string print_services(const Config& config) {
  std::string out = "version: 1\n";
  print_rest(config, out);
  return out;
}

}  // namespace lb::model
