// config.show, check, diff, apply; service.apply, which takes a document too
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/digest.h"
#include "ctl/file_ops.h"
#include "ctl/json_change.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

// Ten times what twenty thousand backends take.
constexpr size_t kMaxDocument = size_t{16} << 20;

net::Result<Json> show(Call& call) {
  const auto revision = call.params.number("revision", UINT64_MAX);
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  if (revision && *revision != control.revision()) {
    const auto config = control.former(*revision);
    if (!config) return config.error();
    const std::string text = model::print_services(*config);
    return Json{{"text", text}, {"revision", *revision}, {"digest", digest_hex(text)}};
  }
  return Json{
      {"text", model::print_config(control.config())}, {"revision", control.revision()}, {"digest", control.digest()}};
}

struct Document {
  std::string text, file;
};

// `text`, or the descriptor that came with the request.
net::Result<Document> read_document(Call& call) {
  Document document;
  document.file = call.params.text_or("file", "configuration");
  const bool by_fd = call.params.flag("fd");
  const bool by_text = call.params.has("text");
  document.text = call.params.text_or("text", "");
  if (!by_fd && !by_text) call.params.missing("text");
  if (by_fd && by_text) {
    call.params.fail("fd", {net::Code::kInvalid, "the configuration is in `text` already: send one of them"});
  }
  if (!by_fd || !call.params.ok()) return document;
  if (!call.fd) return net::Error{net::Code::kInvalid, "`fd` is true but no descriptor came with the request"};
  auto text = read_fd(call.fd->get(), document.file, kMaxDocument);
  if (!text) return std::move(text).error();
  document.text = std::move(text).value();
  return document;
}

model::Parsed parse(const Document& document) {
  return model::parse_config(document.text, document.file, model::no_includes());
}

std::vector<std::string> sentences(const std::vector<model::Problem>& problems) {
  std::vector<std::string> list;
  for (const model::Problem& p : problems) list.push_back(p.to_string());
  return list;
}

net::Result<Json> check(Call& call) {
  auto document = read_document(call);
  if (auto fault = call.fault()) return *fault;
  if (!document) return std::move(document).error();
  return Json{{"problems", sentences(parse(*document).problems)}};
}

// Who says where a document came from says it with a digest that anybody can compare.
std::vector<SourceFile> read_files(Call& call) {
  constexpr size_t kMaxFiles = 4096, kSha256 = 64;
  std::vector<SourceFile> files;
  const Json* list = call.params.array("files", kMaxFiles);
  if (list == nullptr) return files;
  for (size_t i = 0; i < list->size() && call.params.ok(); i++) {
    Fields inner((*list)[i], fmt::format("files[{}].", i), call.params.faults());
    files.push_back({inner.text("path"), inner.text("sha256")});
    inner.finish();
    const std::string& digest = files.back().sha256;
    if (digest.size() != kSha256 || digest.find_first_not_of("0123456789abcdef") != std::string::npos)
      call.params.fail("files", {net::Code::kInvalid, "sha256 must be 64 lower-case hex digits"});
  }
  return files;
}

// Long enough to look at graphs, short enough that nobody forgets it.
constexpr uint64_t kMaxTrialS = 24 * 3600;

ChangeOptions read_apply_options(Call& call) {
  ChangeOptions options = read_options(call);
  options.files = read_files(call);
  if (const auto within = call.params.number("confirm_within_s", kMaxTrialS)) {
    options.confirm_within_s = static_cast<int64_t>(*within);
    if (*within == 0) call.params.fail("confirm_within_s", {net::Code::kInvalid, "must be 1 second or more"});
  }
  return options;
}

net::Result<Json> replace(Call& call, bool dry_run) {
  auto document = read_document(call);
  ChangeOptions options = dry_run ? ChangeOptions{} : read_apply_options(call);
  if (auto fault = call.fault()) return *fault;
  if (!document) return std::move(document).error();
  model::Parsed parsed = parse(*document);
  if (!parsed.problems.empty()) {
    call.problems = sentences(parsed.problems);
    return model::to_error(parsed.problems);
  }
  if (!parsed.has_daemon) parsed.config.daemon = call.control().config().daemon;
  options.dry_run |= dry_run;
  auto result = call.control().replace(std::move(parsed.config), options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

// Read and laid over what runs in one go: nothing else changes in between.
net::Result<Json> merge(Call& call) {
  auto document = read_document(call);
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  if (!document) return std::move(document).error();
  model::Merge merged =
      model::parse_merge(document->text, document->file, model::no_includes(), call.control().config());
  if (!merged.whole.problems.empty()) {
    call.problems = sentences(merged.whole.problems);
    return model::to_error(merged.whole.problems);
  }
  auto result = call.control().replace(std::move(merged.whole.config), options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

net::Result<Json> diff(Call& call) {
  return replace(call, true);
}
net::Result<Json> apply(Call& call) {
  return replace(call, false);
}

}  // namespace

std::span<const Method> config_methods() {
  static constexpr Method kMethods[] = {{"config.show", kReads, show},
                                        {"config.check", kReads, check, true},
                                        {"config.diff", kReads, diff, true},
                                        {"config.apply", kChanges, apply, true},
                                        {"service.apply", kChanges, merge, true}};
  return kMethods;
}

}  // namespace lb::ctl
