#include "dataplane/model/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "dataplane/model/foreign_words.h"
#include "dataplane/model/text_rules.h"

namespace lb::model {
namespace {

using Words = std::span<const std::string_view>;
using std::string_view;

constexpr string_view kTopKeys[] = {"version", "include", "daemon", "defaults", "pools", "services"};
constexpr string_view kTopLater[] = {"checks"};
constexpr string_view kIncludedKeys[] = {"version", "pools", "services"};
constexpr string_view kDaemonKeys[] = {"engine",       "socket", "state-dir",    "hash-key-file",
                                       "hash-version", "flows",  "orphan-after", "shutdown-delay",
                                       "access",       "dpdk",   "xdp"};
constexpr string_view kDaemonLater[] = {"metrics", "start-wait"};
constexpr string_view kDpdkKeys[] = {"workers", "huge-pages", "idle", "ports"};
constexpr string_view kPortKeys[] = {"name", "device", "mtu"};
constexpr string_view kXdpKeys[] = {"interfaces"};
constexpr string_view kInterfaceKeys[] = {"name", "mode"};
constexpr string_view kAccessKeys[] = {"operator", "viewer"};
constexpr string_view kDefaultsKeys[] = {"forward",       "schedule",       "table-size",
                                         "source-prefix", "on-no-listener", "announce"};
constexpr string_view kDefaultsLater[] = {"check",    "slow-start",      "leave-after",  "down-grace", "on-down",
                                          "on-empty", "panic-threshold", "min-eligible", "sticky",     "tunnel-source"};
constexpr string_view kPoolKeys[] = {"backends"};
constexpr string_view kPoolLater[] = {"check",   "slow-start", "leave-after",     "down-grace",
                                      "on-down", "on-empty",   "panic-threshold", "min-eligible"};
constexpr string_view kBackendKeys[] = {"name", "address", "weight", "labels"};
constexpr string_view kBackendLater[] = {"backup"};
constexpr string_view kServiceKeys[] = {"listen",     "pool",          "forward",        "schedule",
                                        "table-size", "source-prefix", "on-no-listener", "announce"};
constexpr string_view kServiceLater[] = {"sticky", "tunnel-source"};

struct SectionWords {
  Section section;
  string_view name;
  Words known, later;
};
constexpr SectionWords kSections[] = {
    {Section::kTop, "the document", kTopKeys, kTopLater},
    {Section::kIncluded, "an included file", kIncludedKeys, {}},
    {Section::kDaemon, "daemon", kDaemonKeys, kDaemonLater},
    {Section::kDpdk, "daemon.dpdk", kDpdkKeys, {}},
    {Section::kPort, "a port of daemon.dpdk.ports", kPortKeys, {}},
    {Section::kXdp, "daemon.xdp", kXdpKeys, {}},
    {Section::kInterface, "an interface of daemon.xdp.interfaces", kInterfaceKeys, {}},
    {Section::kAccess, "daemon.access", kAccessKeys, {}},
    {Section::kDefaults, "defaults", kDefaultsKeys, kDefaultsLater},
    {Section::kPool, "a pool", kPoolKeys, kPoolLater},
    {Section::kBackend, "a backend", kBackendKeys, kBackendLater},
    {Section::kService, "a service", kServiceKeys, kServiceLater},
};

constexpr string_view kForwardWords[] = {"dsr", "ipip"};
constexpr string_view kForwardLater[] = {"gue", "nat", "full-nat", "local"};
constexpr string_view kScheduleWords[] = {"maglev", "source-hash"};
constexpr string_view kScheduleLater[] = {"round-robin", "least-conn"};
constexpr string_view kNoListenerWords[] = {"auto", "drop", "reject", "punt"};
constexpr string_view kIdleWords[] = {"sleep", "poll"};
constexpr string_view kHugePagesWords[] = {"auto", "on", "off"};
constexpr string_view kXdpModeWords[] = {"native", "generic"};

constexpr string_view kAnnounceWords[] = {"on", "off"};
struct ChoiceWords {
  Choice choice;
  string_view key;
  Words known, later;
};
constexpr ChoiceWords kChoices[] = {
    {Choice::kForward, "forward", kForwardWords, kForwardLater},
    {Choice::kSchedule, "schedule", kScheduleWords, kScheduleLater},
    {Choice::kNoListener, "on-no-listener", kNoListenerWords, {}},
    {Choice::kIdle, "idle", kIdleWords, {}},
    {Choice::kHugePages, "huge-pages", kHugePagesWords, {}},
    {Choice::kXdpMode, "mode", kXdpModeWords, {}},
    {Choice::kAnnounce, "announce", kAnnounceWords, {}},
};

const SectionWords& words_of(Section section) noexcept {
  return kSections[static_cast<size_t>(section)];
}

bool holds(Words words, string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string normal(string_view word) {
  std::string out(word.substr(0, 64));
  for (char& c : out) c = c == '_' || c == ' ' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Empty: no product that is known has it. word: as normal() makes it.
string_view translate(std::span<const ForeignWord> table, string_view word) {
  for (const ForeignWord& f : table)
    if (normal(f.word) == word) return f.here;
  return {};
}

string_view translate_key(string_view word) {
  return translate(foreign_keys(), word);
}

// Where a key is known, but not in `section`; the included file's words are the document's.
const SectionWords* home_of(Section section, string_view key) {
  for (const SectionWords& s : kSections)
    if (s.section != section && s.section != Section::kIncluded && holds(s.known, key)) return &s;
  return nullptr;
}

// The keys of a DPDK port mean something else to an interface of the kernel.
std::string refuse_xdp_key(Section section, string_view key) {
  if (section == Section::kXdp && (key == "ports" || key == "devices" || key == "ifaces" || key == "interface"))
    return fmt::format("`{}` is `interfaces` here: a list such as [{{name: eth0, mode: native}}]", key);
  if (section == Section::kXdp && (key == "workers" || translate_key(normal(key)) == "workers"))
    return fmt::format(
        "`{}` is not set here: engine xdp has a worker for each RX queue of its interfaces; `ethtool -L "
        "INTERFACE combined N` sets their number",
        key);
  if (section != Section::kInterface) return {};
  if (translate_key(key) == "device" || key == "device") return fmt::format("`{}` is `name` here", key);
  if (key == "mtu")
    return "`mtu` is the interface's own with engine xdp: `ip link set INTERFACE mtu N` sets it, leave it out here";
  return {};
}

std::string translated_key(const SectionWords& words, string_view key, string_view to) {
  if (holds(words.known, to)) return fmt::format("`{}` is `{}` here", key, to);
  if (holds(words.later, to)) return fmt::format("`{}` is `{}` here, which is not in this version", key, to);
  if (const SectionWords* home = home_of(words.section, to))
    return fmt::format("`{}` is `{}` here, a key of {}", key, to, home->name);
  for (const SectionWords& s : kSections)
    if (holds(s.later, to)) return fmt::format("`{}` is `{}` here, which is not in this version", key, to);
  return fmt::format("`{}` is `{}` here", key, to);
}

}  // namespace

std::span<const string_view> known_keys(Section section) noexcept {
  return words_of(section).known;
}

string_view section_name(Section section) noexcept {
  return words_of(section).name;
}

std::string refuse_key(Section section, string_view key) {
  const SectionWords& words = words_of(section);
  if (section == Section::kBackend && key == "port")
    return "`port` on a backend is for the forward modes nat and full-nat, which are not in this version; dsr and ipip "
           "keep the client's port: leave it out";
  if ((section == Section::kPool || section == Section::kService) && key == "name")
    return fmt::format("`name` is not written inside {}: its key is its name", words.name);
  if (const std::string told = refuse_xdp_key(section, key); !told.empty()) return told;
  if (holds(words.later, key)) return fmt::format("`{}` is not in this version: leave it out", key);
  if (section == Section::kIncluded && holds(kTopKeys, key))
    return fmt::format("`{}` stands in the main file only; an included file holds pools and services", key);
  if (section == Section::kDefaults && (key == "listen" || key == "pool"))
    return fmt::format("`{}` has no default: name it in each service", key);
  const std::string plain = normal(key);
  const std::string word = shown(key);
  if (plain != key && holds(words.known, plain)) return fmt::format("`{}` is written `{}`", word, plain);
  if (const string_view to = translate_key(plain); !to.empty()) return translated_key(words, word, to);
  if (const string_view near = nearest_word(plain, words.known); !near.empty())
    return fmt::format("unknown key `{}`; did you mean `{}`?", word, near);
  if (const SectionWords* home = home_of(section, plain))
    return fmt::format("`{}` is a key of {}, not of {}", plain, home->name, words.name);
  for (const SectionWords& s : kSections)
    if (holds(s.later, plain)) return fmt::format("`{}` is not in this version (nor a key of {})", plain, words.name);
  return fmt::format("unknown key `{}`; {} knows: {}", word, words.name, join_words(words.known));
}

std::span<const string_view> known_words(Choice choice) noexcept {
  return kChoices[static_cast<size_t>(choice)].known;
}

std::string refuse_word(Choice choice, string_view value) {
  const ChoiceWords& words = kChoices[static_cast<size_t>(choice)];
  const std::string known = join_words(words.known);
  if (holds(words.later, value))
    return fmt::format("{} `{}` is not in this version; this one knows: {}", words.key, value, known);
  const std::string plain = normal(value);
  if (holds(words.known, plain)) return fmt::format("{} {} is written `{}`", words.key, quote_text(value), plain);
  if (const string_view to = translate(foreign_words(choice), plain); !to.empty()) {
    if (holds(words.known, to)) return fmt::format("{} {} is `{}` here", words.key, quote_text(value), to);
    return fmt::format("{} {} is `{}` here, which is not in this version; this one knows: {}", words.key,
                       quote_text(value), to, known);
  }
  if (const string_view near = nearest_word(plain, words.known); !near.empty())
    return fmt::format("unknown {} {}; did you mean `{}`?", words.key, quote_text(value), near);
  return fmt::format("unknown {} {}; it is one of: {}", words.key, quote_text(value), known);
}

}  // namespace lb::model
