// lbctl explain PROTO SOURCE DESTINATION [--size N] | --from FILE
#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "ctl/cmd_common.h"
#include "dataplane/net/address.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

constexpr size_t kFlowsPerCall = 4096;  // docs/protocol.md
constexpr uint32_t kMaxSize = 65535;

struct ExplainArgs {
  std::string proto, source, destination, from;
  std::optional<uint32_t> size;
};

net::Error bad_words(std::string message) {
  return {net::Code::kInvalid, std::move(message)};
}

net::Result<json> read_flow(const std::string& proto, const std::string& source, const std::string& destination,
                            std::optional<uint32_t> size) {
  if (auto parsed = net::parse_proto(proto); !parsed) return parsed.error();
  const auto from = net::Endpoint::parse(source), to = net::Endpoint::parse(destination);
  if (!from) return from.error();
  if (!to) return to.error();
  if (from->address.family() != to->address.family()) {
    return bad_words(fmt::format("{} and {} are not of one address family", source, destination));
  }
  if (size && (*size == 0 || *size > kMaxSize)) {
    return bad_words(fmt::format("size {}: an IP packet has 1 to {} bytes", *size, kMaxSize));
  }
  json flow = {{"proto", proto}, {"source", from->to_string()}, {"destination", to->to_string()}};
  if (size) flow["size"] = *size;
  return flow;
}

net::Result<json> read_line(const std::string& line) {
  std::istringstream words(line);
  std::string proto, source, destination, size, more;
  words >> proto >> source >> destination >> size >> more;
  if (destination.empty() || !more.empty()) return bad_words("write PROTO SOURCE DESTINATION [SIZE]");
  if (size.empty()) return read_flow(proto, source, destination, std::nullopt);
  uint32_t bytes = 0;
  const auto end = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (end.ec != std::errc() || end.ptr != size.data() + size.size()) {
    return bad_words(fmt::format("size \"{}\" is not a number of bytes", size));
  }
  return read_flow(proto, source, destination, bytes);
}

net::Result<std::vector<json>> read_flows(Session& session, const std::string& from) {
  auto text = read_input(session, from);
  if (!text) return text.error();
  std::vector<json> flows;
  for (const InputLine& line : input_lines(*text)) {
    auto flow = read_line(line.text);
    if (!flow) return bad_words(fmt::format("{}:{}: {}", from, line.number, flow.error().message));
    flows.push_back(std::move(*flow));
  }
  if (flows.empty()) return bad_words(fmt::format("{} names no flow", from));
  return flows;
}

// All flows, kFlowsPerCall at a time, as one result.
int ask_flows(Session& session, const std::vector<json>& flows) {
  json whole = {{"answers", json::array()}};
  for (size_t start = 0; start < flows.size(); start += kFlowsPerCall) {
    const size_t end = std::min(start + kFlowsPerCall, flows.size());
    const json part(
        std::vector<json>(flows.begin() + static_cast<ptrdiff_t>(start), flows.begin() + static_cast<ptrdiff_t>(end)));
    auto result = session.call("explain", {{"flows", part}});
    if (!result) return session.failed();
    json& answers = (*result)["answers"];
    if (!answers.is_array() || answers.size() != part.size()) {
      return session.fail({kRefused, "internal", "lbd did not answer for every flow", {}});
    }
    for (json& answer : answers) whole["answers"].push_back(std::move(answer));
    whole["generation"] = (*result)["generation"];
  }
  session.show(whole, view_explain);
  return kDone;
}

int explain(Session& session, const ExplainArgs& args) {
  const bool named = !args.destination.empty();
  if (named == !args.from.empty() || (!args.proto.empty() && !named)) {
    return session.usage("explain what? Give PROTO SOURCE DESTINATION, or many of them with --from FILE");
  }
  if (named) {
    auto flow = read_flow(args.proto, args.source, args.destination, args.size);
    if (!flow) return session.usage(flow.error().message);
    return ask_flows(session, {*flow});
  }
  if (args.size) return session.usage("with --from, a packet's size is the fourth word of its line");
  auto flows = read_flows(session, args.from);
  return flows ? ask_flows(session, *flows) : session.fail(flows.error());
}

}  // namespace

void add_explain_command(CLI::App& app, Session& session) {
  const auto args = std::make_shared<ExplainArgs>();
  CLI::App& verb =
      add_verb(app, "explain", "Tell what a packet would get, from the code that forwards; changes nothing", session,
               [&session, args] { return explain(session, *args); });
  verb.add_option("PROTO", args->proto, "tcp or udp");
  verb.add_option("SOURCE", args->source, "Client's ADDRESS:PORT, [ADDRESS]:PORT for IPv6");
  verb.add_option("DESTINATION", args->destination, "Listener's ADDRESS:PORT");
  verb.add_option("--size", args->size, "Bytes of the IP packet (default: the smallest)")->type_name("N");
  verb.add_option("--from", args->from, "Many: lines of PROTO SOURCE DESTINATION [SIZE]; - for stdin")
      ->type_name("FILE");
}

}  // namespace lb::ctl
