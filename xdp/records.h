// Snapshots as the program reads them: records in the half of the maps that is not in use, Maglev tables in lines that
// nothing names, then one flip (lb_abi.h). All of a snapshot or nothing of it. Control thread only.
#pragma once

#include <cstdint>
#include <memory>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"
#include "xdp/maps.h"
#include "xdp/table_room.h"

namespace lb::xdp {

// Waits until every packet that is in a program now has left it: a map inside a map is replaced, which takes the kernel
// as long as that, 9 to 20 ms.
class GracePeriod {
 public:
  static net::Result<GracePeriod> create();
  net::Status wait() const;

 private:
  Fd outer_, inner_;
};

class Records {
 public:
  // maps: outlive it; nobody else writes their records.
  static net::Result<Records> create(const Maps& maps);

  // In use by every packet when it returns. ERRORS, and what was in use stays so:
  //   kInvalid      more records than the maps hold
  //   kUnavailable  no room for the tables: room() has too few lines, or no gap between the others is wide enough
  net::Status publish(std::shared_ptr<const model::Snapshot> snapshot);

  const std::shared_ptr<const model::Snapshot>& current() const noexcept { return current_; }  // null before the first
  const TableRoom& room() const noexcept { return room_; }

 private:
  Records(const Maps& maps, GracePeriod grace);
  net::Status fits(const model::Snapshot& snapshot) const;
  net::Status settle();
  void write_tables(std::span<const TableRoom::Placed> fresh) const;
  void write_half(uint32_t half, const model::Snapshot& snapshot);

  const Maps* maps_;
  GracePeriod grace_;
  TableRoom room_;
  std::shared_ptr<const model::Snapshot> current_;
  bool is_settled_ = true;  // no packet reads the half that is not in use
  // By half: records that it had at most, so that nothing old is left behind the new ones.
  size_t services_[2] = {}, backends_[2] = {};
};

}  // namespace lb::xdp
