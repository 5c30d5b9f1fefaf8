// What the thread of the exception path does: reads the TAPs, runs the stages, sends, counts. exception_path.h puts it
// together.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <poll.h>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/result.h"
#include "dataplane/stages/batch.h"
#include "dataplane/stages/flow_table.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"
#include "xdp/exception_path.h"
#include "xdp/exception_tap.h"
#include "xdp/injector.h"
#include "xdp/packet_sender.h"

namespace lb::xdp {

class ExceptionLoop {
 public:
  struct Port {
    ExceptionTap tap;
    PacketSender sender;
    net::Mac mac;
    int index = 0;            // of the interface itself
    uint64_t given_back = 0;  // 0: native mode
  };
  // frame_room: bytes of the largest frame.
  ExceptionLoop(const ExceptionOptions& options, std::vector<Port> ports, Injector injector, Fd wakes,
                size_t frame_room);

  void run() noexcept;  // until stop()
  void stop() noexcept;
  void set_snapshot(std::shared_ptr<const model::Snapshot> snapshot);
  uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
  const Port& port(size_t number) const { return ports_.at(number); }

 private:
  static constexpr size_t kHeadroom = 128;  // more than any outer header

  void wake() noexcept;
  void take_snapshot() noexcept;
  void wait() noexcept;
  void tick() noexcept;
  void do_batch(size_t port) noexcept;
  void go_on_with_woken() noexcept;
  void finish(size_t port, uint32_t n) noexcept;
  uint32_t receive(size_t port) noexcept;
  void give_back(const Port& port, uint32_t n) noexcept;
  void send(uint32_t n) noexcept;
  void send_pieces() noexcept;
  Sent send_one(uint16_t egress, const uint8_t* frame, size_t length) noexcept;
  uint8_t* frame_at(size_t slot) noexcept { return frames_.data() + slot * (kHeadroom + room_ + 1) + kHeadroom; }

  std::vector<Port> ports_;
  Injector injector_;
  Fd wakes_;  // an eventfd
  size_t room_;
  std::vector<uint8_t> frames_;  // a batch, and one piece of a packet that is cut
  std::vector<pollfd> polled_;   // of each port, then wakes_

  stages::Tally tally_;
  stages::FlowTracker tracker_;
  stages::Fragments fragments_;
  stages::Answers answers_;
  stages::Belongings own_;  // flows: null: no tracking
  stages::Batch batch_{};

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // of next_
  std::shared_ptr<const model::Snapshot> next_;
  std::shared_ptr<const model::Snapshot> snapshot_;  // the thread's
  std::atomic<uint64_t> generation_ = 0;
};

}  // namespace lb::xdp
