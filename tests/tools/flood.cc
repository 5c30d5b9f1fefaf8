// Sends floods through lbd beside flows that last, and watches to which backend each of those goes.
//   flood INTERFACE LBD_MAC VIP PORT PERIOD_MS
// The VIP's service is forwarded by ipip, and its backends lie behind INTERFACE too. A flow that lasts sends a packet
// every PERIOD_MS. Steered by lines on standard input, each answered with a line of JSON:
//   establish N         a SYN each, and an ACK when each is old enough to be taken for a connection
//   flood KIND TUPLES   syn, ack, syn+ack, syn,ack,ack, rst or udp from so many sources, no two alike ever. In the
//   middle a
//                       line of its own, {"half": true}; the flood then goes on until a line "go on" is read
//   check               a packet of each flow that lasts
//   backends            which backend each flow has met first, in the order of the flows
#include <poll.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <sstream>

#include "tests/tools/flood_frames.h"
#include "tests/tools/flood_link.h"
#include "tests/tools/socket.h"

namespace lb::tools {
namespace {

constexpr uint64_t kOldEnoughMs = 400;  // lbd: a flow is established by a packet at least 256 ms after its first
constexpr uint64_t kWindow = 500;       // frames on their way at once
constexpr uint64_t kLostMs = 50;        // nothing came back for so long: what is on its way is lost
constexpr uint64_t kAskAgainMs = 1000;
constexpr int kTimes = 20;  // a flow is asked, then it is silent

struct Lasting {
  uint32_t backend = 0;  // the first; 0: none heard of yet
  bool moved = false;
  uint64_t heard_ms = 0;
};

class Flood {
 public:
  Flood(const std::string& interface, Target target, uint64_t period_ms)
      : link_(interface),
        target_(with_mac(target)),
        ack_(Template::tcp(target_, 0x10)),
        period_ms_(period_ms),
        frames_(kBurst) {}

  void run() {
    for (std::string line; std::getline(std::cin, line);) std::cout << command(line) << std::endl;
  }

 private:
  Target with_mac(Target target) const {
    target.own_mac = link_.mac();
    return target;
  }

  std::string command(const std::string& line) {
    std::istringstream words(line);
    std::string verb, kind;
    uint64_t n = 0;
    words >> verb;
    if (verb == "establish" && words >> n && n <= 65536) return establish(n);
    if (verb == "flood" && words >> kind >> n)
      if (const auto frames = flood_kind(kind, target_)) return flood(*frames, n);
    if (verb == "check") return check();
    if (verb == "backends") return backends();
    fprintf(stderr, "flood: no such command: %s\n", line.c_str());
    exit(2);
  }

  std::string establish(uint64_t n) {
    flows_.assign(n, {});
    send_to_all(Template::tcp(target_, 0x02));
    for (const uint64_t until = now_ms() + kOldEnoughMs; now_ms() < until;) listen(1);
    return check();
  }
  void send_to_all(const Template& frame) {
    for (uint32_t i = 0; i < flows_.size(); i++) {
      frame.make(lasting_source(i), frames_[queued_]);
      if (++queued_ == kBurst) flush();
    }
    flush();
  }

  // Frames go out in bursts, and no more than a window of them is on its way.
  void flush() {
    link_.send(frames_, queued_);
    sent_ += queued_;
    queued_ = 0;
    listen(0);
    uint64_t back = link_.received(), since = now_ms();
    while (sent_ - std::min(sent_, back - base_) > kWindow) {
      listen(0);
      const uint64_t now_back = link_.received();
      if (now_back != back) since = now_ms();
      back = now_back;
      if (now_ms() - since < kLostMs) continue;
      lost_ += sent_ - (back - base_);
      base_ = back - sent_;
    }
  }

  void listen(int wait_ms) {
    if (wait_ms > 0) poll(nullptr, 0, wait_ms);
    Link::Heard heard[kBurst];
    for (size_t n = kBurst; n == kBurst;) {
      n = link_.hear(heard);
      const uint64_t now = now_ms();
      for (size_t i = 0; i < n; i++) {
        if (heard[i].flow >= flows_.size()) continue;
        Lasting& flow = flows_[heard[i].flow];
        if (flow.backend == 0) flow.backend = heard[i].backend;
        flow.moved |= flow.backend != heard[i].backend;
        flow.heard_ms = now;
      }
    }
  }

  // What is due of the flows that last: each once a period, spread over it.
  void keep_alive() {
    const uint64_t due = (now_ms() - alive_since_) * flows_.size() / period_ms_;
    while (alive_sent_ < due) {
      ack_.make(lasting_source(static_cast<uint32_t>(alive_sent_++ % flows_.size())), frames_[queued_]);
      if (++queued_ == kBurst) flush();
    }
  }

  std::string flood(const std::vector<Template>& kind, uint64_t tuples) {
    const uint64_t each = kBurst / kind.size(), frames_before = sent_, lost_before = lost_, start = now_ms();
    alive_since_ = start;
    alive_sent_ = 0;
    bool half = false, go_on = false;
    uint64_t done = 0;
    for (; done < tuples || !go_on; done += each) {
      keep_alive();
      flush();
      for (const Template& frame : kind)
        for (uint64_t i = 0; i < each; i++) frame.make(flood_source(next_source_ + i), frames_[queued_++]);
      next_source_ += each;
      flush();
      if (!half && done >= tuples / 2) {
        half = true;
        std::cout << "{\"half\": true}" << std::endl;
      }
      go_on |= half && typed();
    }
    std::ostringstream out;
    out << "{\"tuples\": " << done << ", \"frames\": " << sent_ - frames_before << ", \"lost\": " << lost_ - lost_before
        << ", \"of_lasting\": " << alive_sent_ << ", \"ms\": " << now_ms() - start << ", \"moved\": " << moved() << "}";
    return out.str();
  }
  // RETURNS: whether a line was typed meanwhile; it is taken.
  static bool typed() {
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    std::string line;
    return poll(&in, 1, 0) > 0 && std::getline(std::cin, line);
  }

  size_t moved() const {
    return static_cast<size_t>(std::count_if(flows_.begin(), flows_.end(), [](const Lasting& f) { return f.moved; }));
  }

  std::string check() {
    const uint64_t start = now_ms();
    size_t silent = flows_.size();
    for (int i = 0; i < kTimes && silent > 0; i++) {
      for (uint32_t f = 0; f < flows_.size(); f++) {
        if (flows_[f].heard_ms > start) continue;
        ack_.make(lasting_source(f), frames_[queued_]);
        if (++queued_ == kBurst) flush();
      }
      flush();
      for (const uint64_t until = now_ms() + kAskAgainMs; silent > 0 && now_ms() < until;) {
        listen(1);
        silent = static_cast<size_t>(
            std::count_if(flows_.begin(), flows_.end(), [&](const Lasting& f) { return f.heard_ms <= start; }));
      }
    }
    std::ostringstream out;
    out << "{\"flows\": " << flows_.size() << ", \"silent\": " << silent << ", \"moved\": " << moved() << "}";
    return out.str();
  }

  std::string backends() const {
    std::ostringstream out;
    out << '[';
    for (size_t i = 0; i < flows_.size(); i++) {
      const uint32_t a = flows_[i].backend;
      out << (i == 0 ? "\"" : ", \"") << (a >> 24) << '.' << (a >> 16 & 255) << '.' << (a >> 8 & 255) << '.'
          << (a & 255) << '"';
    }
    out << ']';
    return out.str();
  }

  Link link_;
  Target target_;
  Template ack_;
  uint64_t period_ms_;
  std::vector<packet::Bytes> frames_;
  size_t queued_ = 0;
  std::vector<Lasting> flows_;
  uint64_t base_ =
      link_.received();  // what the interface had received, so that sent_ == received() - base_ when all is back
  uint64_t sent_ = 0, lost_ = 0, next_source_ = 0, alive_since_ = 0, alive_sent_ = 0;
};

}  // namespace
}  // namespace lb::tools

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "flood INTERFACE LBD_MAC VIP PORT PERIOD_MS\n");
    return 2;
  }
  const lb::tools::Target target = {argv[2], {}, argv[3], static_cast<uint16_t>(atoi(argv[4]))};
  lb::tools::Flood(argv[1], target, static_cast<uint64_t>(atoi(argv[5]))).run();
}
