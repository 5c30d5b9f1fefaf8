// Another product's configuration as lbd's: offline, to stdout. What an operator has to mend is talk, and exit 5.
#include "ctl/cmd_import.h"

#include <fmt/format.h>

#include <ostream>

#include "ctl/cmd_common.h"
#include "ctl/import/importer.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct ImportArgs {
  std::string format, file;
  std::vector<std::string> addresses, hosts;
};

net::Error wrong_word(std::string_view option, const std::string& word, std::string_view form) {
  return {net::Code::kInvalid, fmt::format("{} \"{}\": write {}", option, word, form)};
}

net::Result<importing::Given> read_given(const ImportArgs& args) {
  importing::Given given;
  for (const std::string& word : args.addresses) {
    const auto address = net::Address::parse(word);
    if (!address) return wrong_word("--address", word, "an IPv4 or IPv6 address, as in 192.0.2.10");
    given.addresses.push_back(*address);
  }
  for (const std::string& word : args.hosts) {
    const size_t equals = word.find('=');
    const auto address = net::Address::parse(equals == std::string::npos ? "" : word.substr(equals + 1));
    if (equals == 0 || !address) return wrong_word("--resolve", word, "NAME=ADDRESS, as in web1.example.com=10.0.0.11");
    given.hosts[importing::lower(word.substr(0, equals))] = *address;
  }
  return given;
}

std::string counted(size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

int show_import(Session& session, const ImportArgs& args, const importing::Outcome& outcome) {
  session.show({{"text", outcome.text},
                {"file", args.file},
                {"format", args.format},
                {"services", outcome.services},
                {"pools", outcome.pools},
                {"backends", outcome.backends},
                {"left", outcome.left},
                {"missing", outcome.missing}},
               view_config);
  for (const std::string& sentence : outcome.missing) session.err() << sentence << '\n';
  session.err() << fmt::format("lbctl: {}, {}, {}; {} with what was left", counted(outcome.services, "service"),
                               counted(outcome.pools, "pool"), counted(outcome.backends, "backend"),
                               counted(outcome.left, "comment"));
  if (outcome.missing.empty()) {
    session.err() << '\n';
    return kDone;
  }
  session.err() << fmt::format("; {} thing{} to mend: above\n", outcome.missing.size(),
                               outcome.missing.size() == 1 ? " is" : "s are");
  return kInPart;
}

int import_file(Session& session, const ImportArgs& args) {
  const importing::Format* format = importing::find_format(args.format);
  if (format == nullptr)
    return session.usage(
        fmt::format("config import: \"{}\" is not read; there are {}", args.format, importing::format_names()));
  auto given = read_given(args);
  if (!given) return session.usage(given.error().message);
  const bool is_stdin = args.file == "-";
  auto text = is_stdin ? read_input(session, args.file) : model::file_reader().read(args.file);
  if (!text) return session.fail(text.error());
  const auto outcome =
      importing::import_text(*format, *text, is_stdin ? "stdin" : args.file, *given, model::file_reader());
  if (!outcome) return session.fail(outcome.error());
  return show_import(session, args, *outcome);
}

}  // namespace

void add_import_command(CLI::App& config, Session& session) {
  const auto args = std::make_shared<ImportArgs>();
  CLI::App& verb = add_verb(config, "import", "Print another product's configuration as one of lbd; needs no lbd",
                            session, [&session, args] { return import_file(session, *args); });
  verb.add_option("FORMAT", args->format, "ipvs (ipvsadm-save -n), keepalived, nginx or haproxy")->required();
  verb.add_option("FILE", args->file, "Its configuration; - for stdin")->required();
  add_repeated(verb, "--address", args->addresses,
               "The service address where the configuration listens on every address; repeat for more")
      .type_name("ADDRESS");
  add_repeated(verb, "--resolve", args->hosts, "The address of a host name, which is not looked up; repeat for more")
      .type_name("NAME=ADDRESS");
}

}  // namespace lb::ctl
