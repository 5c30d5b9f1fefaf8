// One rtnetlink socket: requests, answers, events. Thin over libmnl.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "dataplane/net/result.h"

struct mnl_socket;

namespace lb::ctl {

using MessageHandler = std::function<void(const nlmsghdr&)>;

// Several requests in one datagram; the kernel answers them in order.
class NetlinkBatch {
 public:
  // Header and `body` of the next request; attributes may follow with mnl_attr_put*(). The pointer is good until the
  // next call. REQUIRES: !full().
  nlmsghdr* add(uint16_t type, uint16_t flags, uint32_t seq);
  void commit();  // what add() gave is complete
  bool full() const;
  size_t count() const { return count_; }

 private:
  friend class NetlinkSocket;
  static constexpr size_t kBytes = 32 << 10;  // well below the send buffer's default of 208 KiB
  static constexpr size_t kMaxCount = 128;    // answers to these fit the default receive buffer
  static constexpr size_t kMaxMessage = 256;
  std::vector<char> buffer_ = std::vector<char>(kBytes);
  size_t used_ = 0, count_ = 0;
  nlmsghdr* open_ = nullptr;
};

class NetlinkSocket {
 public:
  enum class Drained { kAll, kLost };  // kLost: the kernel dropped events (ENOBUFS), ask for everything anew

  enum class Mode { kWait, kNoWait };  // kWait: at most 2 s for an answer

  // groups: RTNLGRP_* whose events come in.
  static net::Result<NetlinkSocket> open(Mode mode, std::initializer_list<int> groups = {});
  int fd() const;
  net::Status send(const NetlinkBatch& batch);
  // Until `answers` messages that are no events arrived, errors included. ERRORS: silence, or the system refused.
  net::Status receive(size_t answers, const MessageHandler& handle);
  // A dump, repeated when it was interrupted by a change; the last try is taken as it is: for those who hear of every
  // change by an event as well. handle: gets the messages of all tries.
  net::Status dump(uint16_t type, uint8_t family, const MessageHandler& handle);
  // A dump that no change interrupted: for those who decide by it. begin: called before each try, whose messages handle
  // gets; what earlier tries told is to be forgotten. ERRORS: kUnavailable: there was a change in every try.
  net::Status dump_whole(uint16_t type, uint8_t family, const std::function<void()>& begin,
                         const MessageHandler& handle);
  // What is there; never waits. REQUIRES: kNoWait.
  net::Result<Drained> drain(const MessageHandler& handle);

 private:
  struct Close {
    void operator()(mnl_socket* s) const;
  };
  net::Result<bool> dump_once(uint16_t type, uint8_t family, const MessageHandler& handle);

  std::unique_ptr<mnl_socket, Close> socket_;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
};

}  // namespace lb::ctl
