#include "ctl/access.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>

#include "ctl/file_ops.h"

namespace lb::ctl {
namespace {

constexpr size_t kMostGroups = 65536;          // NGROUPS_MAX
constexpr size_t kMostAccountBytes = 1 << 20;  // a group of some ten thousand members

std::optional<uint32_t> number_of_name(std::string_view name) {
  uint32_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) return std::nullopt;
  return number;
}

// get(buffer) -> errno and the number, if there is such an account. The buffer grows while it is too small.
template <class Get>
std::optional<uint32_t> ask_accounts(Get get) {
  std::optional<uint32_t> found;
  for (size_t bytes = 4096; bytes <= kMostAccountBytes; bytes *= 4) {
    std::vector<char> buffer(bytes);
    if (get(buffer, found) != ERANGE) return found;
  }
  return std::nullopt;
}

std::vector<uint32_t> groups_of(int fd) {
  std::vector<uint32_t> groups(64);
  for (int i = 0; i < 2; i++) {
    socklen_t length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
    const size_t count = length / sizeof(gid_t);
    if (rc != 0 && (errno != ERANGE || count > kMostGroups)) break;
    groups.resize(count);
    if (rc == 0) return groups;
  }
  return {};
}

std::string with_article(Role role) {
  if (role == Role::kNone) return "has no role here";
  return fmt::format("is {} {} here", role == Role::kOperator ? "an" : "a", to_string(role));
}

std::string some_names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  const std::vector<std::string> first(names.begin(), names.begin() + std::min(names.size(), kShown));
  if (names.size() <= kShown) return fmt::format("{}", fmt::join(first, ", "));
  return fmt::format("{} and {} more", fmt::join(first, ", "), names.size() - kShown);
}

}  // namespace

std::string_view to_string(Role role) noexcept {
  if (role == Role::kOperator) return "operator";
  return role == Role::kViewer ? "viewer" : "none";
}

Peer peer_of(int fd) {
  ucred who{};
  socklen_t length = sizeof who;
  Peer peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return peer;
  peer.uid = who.uid;
  peer.gid = who.gid;
  peer.pid = who.pid;
  peer.groups = groups_of(fd);
  auto login = read_file(fmt::format("/proc/{}/loginuid", who.pid), 64);
  // 4294967295: nobody logged in, a service started it (audit_loginuid).
  if (login && *login != "4294967295") peer.login_uid = std::move(login).value();
  return peer;
}

std::optional<uint32_t> Accounts::user(const std::string& name) {
  return ask_accounts([&](std::vector<char>& buffer, std::optional<uint32_t>& found) {
    passwd entry{};
    passwd* result = nullptr;
    const int rc = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &result);
    if (result != nullptr) found = entry.pw_uid;
    return rc;
  });
}

std::optional<uint32_t> Accounts::group(const std::string& name) {
  return ask_accounts([&](std::vector<char>& buffer, std::optional<uint32_t>& found) {
    ::group entry{};
    ::group* result = nullptr;
    const int rc = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &result);
    if (result != nullptr) found = entry.gr_gid;
    return rc;
  });
}

std::string Accounts::name_of(uint32_t uid) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/etc/passwd", "re"), std::fclose);
  std::vector<char> buffer(4096);
  passwd entry{};
  for (passwd* found = nullptr; file && fgetpwent_r(file.get(), &entry, buffer.data(), buffer.size(), &found) == 0;) {
    if (found->pw_uid == uid) return found->pw_name;
  }
  return {};
}

Accounts& system_accounts() {
  static Accounts accounts;
  return accounts;
}

bool Access::Members::hold(const Peer& peer) const {
  return users.contains(peer.uid) || groups.contains(peer.gid) ||
         std::any_of(peer.groups.begin(), peer.groups.end(), [&](uint32_t group) { return groups.contains(group); });
}

Access::Access(model::Access access, uint32_t own, Accounts& accounts)
    : access_(std::move(access)), own_(own), accounts_(accounts) {
  look_up();
}

void Access::look_up() {
  unknown_.clear();
  operators_ = find("operator", access_.operators);
  viewers_ = find("viewer", access_.viewers);
}

Access::Members Access::find(std::string_view key, const std::vector<std::string>& entries) {
  Members members;
  for (const std::string& entry : entries) {
    const bool group = entry.starts_with('%');
    const std::string name = entry.substr(group ? 1 : 0);
    auto number = number_of_name(name);
    if (!number) number = group ? accounts_.group(name) : accounts_.user(name);
    // The overflow number stands for everybody whom the kernel cannot tell.
    constexpr uint32_t kOverflow = 65534;
    if (number && *number != kOverflow && *number != kNoUser) {
      (group ? members.groups : members.users).insert(*number);
      continue;
    }
    const std::string_view kind = group ? "group" : "user";
    unknown_.push_back({fmt::format("daemon.access.{}", key), entry,
                        number
                            ? fmt::format("the {} {} has the number {}, which stands for everybody whom the kernel "
                                          "cannot tell: nobody is {} by it; name another",
                                          kind, name, *number, key)
                            : fmt::format("this host has no {} {}: nobody is {} by it; make it ({}add {}) or correct "
                                          "the name, then `systemctl reload lbd` looks again",
                                          kind, name, key, kind, name)});
  }
  return members;
}

Role Access::role_of(const Peer& peer) const {
  if (peer.uid == kNoUser) return Role::kNone;
  if (peer.uid == 0 || peer.uid == own_ || operators_.hold(peer)) return Role::kOperator;
  return viewers_.hold(peer) ? Role::kViewer : Role::kNone;
}

std::string Access::name_of(uint32_t uid) const {
  return uid == kNoUser ? std::string() : accounts_.name_of(uid);
}

std::string Access::known_names() const {
  std::vector<std::string> names;
  for (const Unknown& u : unknown_) names.push_back(u.entry);
  return names.empty() ? "" : fmt::format("; not known on this host: {}", some_names(names));
}

net::Error Access::refusal(const Peer& peer, std::string_view what, Role needed) const {
  std::vector<std::string> operators = access_.operators;
  if (std::find(operators.begin(), operators.end(), "root") == operators.end()) operators.push_back("root");
  std::string who = "a client whom the kernel did not tell";
  if (peer.uid != kNoUser) who = fmt::format("uid {}", peer.uid);
  if (const std::string name = name_of(peer.uid); !name.empty()) who += fmt::format(" ({})", name);
  std::string given = fmt::format("operator to {}", some_names(operators));
  if (!access_.viewers.empty()) given += fmt::format(", viewer to {}", some_names(access_.viewers));
  const Role role = role_of(peer);
  return {net::Code::kPermission,
          fmt::format("{} needs the role {}, but {} {}: daemon.access gives {}{}; run it as one of them (sudo lbctl "
                      "...), or have daemon.access name you or a group of yours{}",
                      what, to_string(needed), who, with_article(role), given, known_names(),
                      role == Role::kViewer ? "; with --dry-run a viewer is told what it would do" : "")};
}

bool names_others(const model::Access& access) {
  const auto other = [](const std::string& entry) { return entry != "root" && entry != "0"; };
  return std::any_of(access.operators.begin(), access.operators.end(), other) ||
         std::any_of(access.viewers.begin(), access.viewers.end(), other);
}

}  // namespace lb::ctl
