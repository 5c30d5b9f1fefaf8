// Who may do what: the roles of daemon.access as this host's users and groups.
//
// A client is who the kernel says it was when it connected (SO_PEERCRED, SO_PEERGROUPS): its user, its group and its
// supplementary groups, never what a name database says of the user. Names of the configuration are looked up when
// asked to, not at each call: a directory service may make that wait. What is not found gives nobody a role.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

enum class Role : uint8_t { kNone, kViewer, kOperator };  // each may what those before it may
std::string_view to_string(Role role) noexcept;           // "none", "viewer", "operator"

inline constexpr uint32_t kNoUser = UINT32_MAX;  // nobody's number: the kernel uses it for "none"

struct Peer {              // a client
  uint32_t uid = kNoUser;  // not told: has no role
  uint32_t gid = kNoUser;
  int32_t pid = 0;
  std::vector<uint32_t> groups = {};  // supplementary ones
  std::string login_uid = {};         // in digits; empty: not known
};
// Of a connected Unix socket.
Peer peer_of(int fd);

class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::optional<uint32_t> user(const std::string& name);
  virtual std::optional<uint32_t> group(const std::string& name);
  // Of /etc/passwd alone, so that it never waits for a directory service. Empty: not there.
  virtual std::string name_of(uint32_t uid);
};
Accounts& system_accounts();

class Access {
 public:
  // own: who lbd runs as. It and root are always operators: they could stop lbd and replace its files anyway.
  Access(model::Access access, uint32_t own, Accounts& accounts = system_accounts());

  // Looks all names up anew. May wait for a directory service.
  void look_up();
  Role role_of(const Peer& peer) const;
  // A sentence for each name that this host does not know.
  struct Unknown {
    std::string path;  // in the configuration: daemon.access.operator
    std::string entry, message;
  };
  const std::vector<Unknown>& unknown() const { return unknown_; }
  // Why the peer may not do `what`, which needs that role: code kPermission.
  net::Error refusal(const Peer& peer, std::string_view what, Role needed) const;
  // "alice", or empty.
  std::string name_of(uint32_t uid) const;

 private:
  struct Members {
    std::set<uint32_t> users, groups;
    bool hold(const Peer& peer) const;
  };
  Members find(std::string_view key, const std::vector<std::string>& entries);
  std::string known_names() const;

  model::Access access_;
  uint32_t own_;
  Accounts& accounts_;
  Members operators_, viewers_;
  std::vector<Unknown> unknown_;
};

// Somebody besides root has a role.
bool names_others(const model::Access& access);

}  // namespace lb::ctl
