// Which virtual addresses (VIPs) are announced, and why others are not. A VIP is an address that a service with
// `announce: on` listens on; announced means that the kernel has a host route to it, which routing daemons take to
// routers. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ctl/controller.h"

namespace lb::ctl {

// Where host routes stand for as long as this process lives: vip_device.h, or a made-up one in tests.
class VipDevice {
 public:
  virtual ~VipDevice() = default;
  // From now on there are routes to these addresses and to no others; made when there is none yet. RETURNS: a sentence
  // for each address that could not get one, and for each that could not lose it.
  virtual std::map<net::Address, std::string> announce(const std::set<net::Address>& wanted) = 0;
  virtual void close() = 0;              // with all its routes; nothing announces any more
  virtual bool is_whole() = 0;           // nobody took away what announce() made
  virtual uint64_t dropped() const = 0;  // packets that this host itself sent to VIPs
};

struct Vip {
  std::vector<std::string> services;  // with `announce: on` and a listener on it, by name
  bool wanted = false;                // one of them takes new flows and nothing is withdrawn
  bool announced = false;
  std::string why;  // it is not announced, or is still though it is not wanted; else empty
};
using Vips = std::map<net::Address, Vip>;

// Whether a new flow to a listener of that family would get a backend.
using TakesFlows = std::function<bool(const model::Service&, net::Family)>;

// What is wanted; nothing is announced yet. Pure.
Vips judge_vips(const model::Config& config, const model::Overlay& overlay, const TakesFlows& takes_flows);

class Announcer {
 public:
  Announcer(const Controller& control, VipDevice& device) : control_(control), device_(device) {}
  // After each publication. Not before: what is refused must withdraw nothing, and packets that come while routers
  // learn of it get what the new configuration says either way.
  void update();
  void tick();  // once a second: repeats what failed
  // The end is near: nothing is announced from now on. RETURNS: whether anything was.
  bool withdraw_all();

  const Vips& vips() const { return vips_; }
  bool is_stopping() const { return is_stopping_; }
  uint64_t dropped() const { return device_.dropped(); }

 private:
  void use(Vips now);

  const Controller& control_;
  VipDevice& device_;
  Vips vips_;
  bool is_stopping_ = false, has_failed_ = false;
};

}  // namespace lb::ctl
