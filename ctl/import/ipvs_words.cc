#include "ctl/import/ipvs_words.h"

#include <algorithm>

namespace lb::importing {
namespace {

struct IpvsOption {
  std::string_view name, also;  // also: the long name
  bool has_value;
};
constexpr IpvsOption kIpvsOptions[] = {
    {"-A", "--add-service", false},
    {"-a", "--add-server", false},
    {"-E", "--edit-service", false},
    {"-e", "--edit-server", false},
    {"-t", "--tcp-service", true},
    {"-u", "--udp-service", true},
    {"--sctp-service", "", true},
    {"-f", "--fwmark-service", true},
    {"-s", "--scheduler", true},
    {"-r", "--real-server", true},
    {"-g", "--gatewaying", false},
    {"-i", "--ipip", false},
    {"-m", "--masquerading", false},
    {"-w", "--weight", true},
    {"-M", "--netmask", true},
    {"-o", "--ops", false},
    {"-b", "--sched-flags", true},
    {"-6", "--ipv6", false},
    {"-x", "--u-threshold", true},
    {"-y", "--l-threshold", true},
    {"--pe", "", true},
    {"--tun-type", "", true},
    {"--tun-port", "", true},
    {"--tun-nocsum", "", false},
    {"--tun-csum", "", false},
    {"--tun-remcsum", "", false},
    {"-n", "--numeric", false},
    {"-p", "--persistent", false /* its value may be left out */},
};

const IpvsOption* find_option(std::string_view word) {
  for (const IpvsOption& o : kIpvsOptions)
    if (o.name == word || (!o.also.empty() && o.also == word)) return &o;
  return nullptr;
}

std::vector<std::string> blank_words(std::string_view line) {
  std::vector<std::string> words;
  for (size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

void set_option(IpvsLine& line, std::string_view name, const std::string& value) {
  if (name == "-A") line.command = IpvsCommand::kService;
  if (name == "-a") line.command = IpvsCommand::kServer;
  if (name == "-g" || name == "-i" || name == "-m") line.forward = name;
  const std::string_view protocol = name == "-t"               ? "tcp"
                                    : name == "-u"             ? "udp"
                                    : name == "-f"             ? "fwmark"
                                    : name == "--sctp-service" ? "sctp"
                                                               : "";
  if (!protocol.empty()) {
    line.protocol = protocol;
    line.virtual_address = value;
  }
  line.options[std::string(name)] = value;
}

void read_options(IpvsLine& line) {
  const auto& words = line.statement.words;
  size_t i = words[0].find("ipvsadm") != std::string::npos ? 1 : 0;
  const auto refuse = [&](std::string why) {
    line.command = IpvsCommand::kUnreadable;
    line.why = printable_line(why);
  };
  for (; i < words.size(); ++i) {
    std::string word = words[i], value;
    if (const size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.resize(equals);
    }
    const IpvsOption* option = find_option(word);
    if (option == nullptr) return refuse("option " + word + " is not known");
    const bool optional = option->name == "-p" && i + 1 < words.size() && !words[i + 1].starts_with("-");
    if (value.empty() && (option->has_value || optional)) {
      if (i + 1 >= words.size()) return refuse("option " + word + " has no value");
      value = words[++i];
    }
    if (option->name == "-p" && value.empty()) value = "300";
    set_option(line, option->name, value);
  }
  const bool wanted = line.command == IpvsCommand::kService || line.command == IpvsCommand::kServer;
  if (wanted && line.protocol.empty()) return refuse("it names no service (-t, -u or -f)");
  if (line.command == IpvsCommand::kServer && !line.options.contains("-r")) refuse("it names no server (-r)");
}

}  // namespace

std::optional<std::string> IpvsLine::value_of(std::string_view option) const {
  const auto it = options.find(option);
  return it == options.end() ? std::nullopt : std::optional(it->second);
}

std::vector<IpvsLine> read_ipvs(std::string_view text, const std::string& file) {
  std::vector<IpvsLine> lines;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    raw = raw.substr(0, raw.find('#'));
    IpvsLine line;
    line.statement.words = blank_words(raw);
    if (line.statement.words.empty()) continue;
    line.statement.at = {file, number, statement_text(line.statement.words)};
    read_options(line);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace lb::importing
