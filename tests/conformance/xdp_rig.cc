#include "tests/conformance/xdp_rig.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "xdp/flow_log.h"

namespace lb::conformance {
namespace {

constexpr unsigned kLoopback = 1;   // in every network namespace
constexpr size_t kMostGrowth = 64;  // of a frame by an outer header

template <class T>
T must(net::Result<T> r) {
  if (r) return std::move(r).value();
  std::fprintf(stderr, "XDP rig: %s\n", r.error().message.c_str());
  std::abort();
}
void must(const net::Status& s) {
  if (s) return;
  std::fprintf(stderr, "XDP rig: %s\n", s.error().message.c_str());
  std::abort();
}

lb_xdp_port port_of(const XdpShape& shape, uint32_t mode) {
  lb_xdp_port p{};
  const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
  std::copy(mac.begin(), mac.end(), p.mac);
  p.port = kWan;
  p.queues = shape.queues;
  p.workers = shape.queues + 1;
  p.lines = shape.lines;
  p.former_workers = shape.former_workers;
  p.former_lines = shape.former_lines;
  p.shared = shape.is_shared ? 1 : 0;
  p.mode = mode;
  return p;
}

xdp::MapSizes sizes_of(const XdpShape& shape) {
  return {.workers = shape.queues + 1,
          .flow_lines = std::max(1u, (shape.queues + 1) * shape.lines),
          .former_lines = std::max(1u, shape.former_workers * shape.former_lines),
          .table_lines = shape.table_lines};
}

template <class T>
void zero(std::span<T> s) {
  std::memset(static_cast<void*>(s.data()), 0, s.size_bytes());
}

}  // namespace

StepOutcome outcome_of(const XdpRun& r) {
  StepOutcome o;
  if (r.decision.verdict == LB_XDP_FORWARDED) {
    o.verdict = Verdict::kForward;
    o.egress = static_cast<uint16_t>(r.decision.egress);
  } else if (r.decision.verdict == LB_XDP_PUNTED) {
    o.verdict = Verdict::kPunt;
  } else if (r.decision.verdict == LB_XDP_DROPPED) {
    o.verdict = Verdict::kDrop;
    o.reason = static_cast<Drop>(r.decision.reason);
  }
  if (o.verdict == Verdict::kForward || o.verdict == Verdict::kPunt) o.frames.push_back(r.frame);
  return o;
}

std::string why_no_xdp() {
  return geteuid() == 0 ? "" : "loading BPF programs needs root";
}

XdpRig::XdpRig(const XdpShape& shape, uint32_t mode)
    : shape_(shape),
      maps_(must(xdp::Maps::create(sizes_of(shape)))),
      program_(must(xdp::Program::load(maps_, port_of(shape, mode)))) {
  records_.emplace(must(xdp::Records::create(maps_)));
  set_exception_path(true);
  for (const uint16_t port : {kWan, kLan}) set_egress(port, true);
}

void XdpRig::publish(std::shared_ptr<const model::Snapshot> snapshot) {
  must(records_->publish(std::move(snapshot)));
}

void XdpRig::clear() {
  zero(maps_.flows());
  zero(maps_.flow_records());
  zero(maps_.flow_log());
  zero(maps_.former_flows());
  zero(maps_.workers());
  zero(maps_.service_traffic());
  zero(maps_.backend_traffic());
}

void XdpRig::set_exception_path(bool on) {
  must(maps_.set_device("lb_exception", kWan, on ? kLoopback : 0));
}
void XdpRig::set_egress(uint16_t port, bool on) {
  must(maps_.set_device("lb_egress", port, on ? kLoopback : 0));
}

XdpRun XdpRig::run(const packet::Bytes& frame) {
  XdpRun r;
  r.frame.resize(frame.size() + kMostGrowth);
  maps_.decision() = {};
  bpf_test_run_opts opts{};
  opts.sz = sizeof opts;
  opts.data_in = frame.data();
  opts.data_out = r.frame.data();
  opts.data_size_in = static_cast<uint32_t>(frame.size());
  opts.data_size_out = static_cast<uint32_t>(r.frame.size());
  opts.repeat = 1;
  if (bpf_prog_test_run_opts(program_.fd(), &opts) != 0) {
    std::fprintf(stderr, "XDP rig: the kernel does not run the program on %zu bytes: %s\n", frame.size(),
                 strerror(errno));
    std::abort();
  }
  r.frame.resize(opts.data_size_out);
  r.action = opts.retval;
  r.decision = maps_.decision();
  if (!shape_.keeps_log) take_records();
  return r;
}

void XdpRig::take_records() {
  for (uint32_t q = 0; q < shape_.queues && shape_.lines != 0; q++) xdp::drain_log(log(q), table(q));
}

stages::FlowTable XdpRig::table(uint32_t worker) {
  stages::FlowTable t;
  t.lines = maps_.flows().data() + size_t{worker} * shape_.lines;
  t.cold = maps_.flow_records().data() + size_t{worker} * shape_.lines * LB_FLOW_ENTRIES;
  t.count = shape_.lines;
  t.heartbeat = &heartbeats_[worker];
  return t;
}
stages::FlowTable XdpRig::former() {
  stages::FlowTable t;
  t.lines = maps_.former_flows().data();
  t.count = shape_.former_workers * shape_.former_lines;
  t.heartbeat = &heartbeats_.back();
  t.former = true;
  return t;
}

std::array<uint64_t, LB_COUNT_MAX> XdpRig::counters() {
  std::array<uint64_t, LB_COUNT_MAX> sum{};
  for (const lb_xdp_worker& w : maps_.workers())
    for (size_t i = 0; i < sum.size(); i++) sum[i] += w.counters[i];
  return sum;
}

std::vector<lb_traffic> XdpRig::traffic(std::span<const lb_traffic> all) const {
  const size_t each = all.size() / (shape_.queues + 1);
  std::vector<lb_traffic> sum(each);
  for (size_t i = 0; i < all.size(); i++) {
    sum[i % each].packets += all[i].packets;
    sum[i % each].bytes += all[i].bytes;
  }
  return sum;
}
std::vector<lb_traffic> XdpRig::services() {
  return traffic(maps_.service_traffic());
}
std::vector<lb_traffic> XdpRig::backends() {
  return traffic(maps_.backend_traffic());
}

}  // namespace lb::conformance
