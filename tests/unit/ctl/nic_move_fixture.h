// A machine in memory with one NIC that is moved, and a folder for the records.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "ctl/nic_move.h"
#include "tests/unit/ctl/fake_nic_host.h"
#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {

class NicMoveTest : public testing::Test {
 protected:
  NicRecord record_now() { return NicMove::record_of(find_nic(host_, "eth0").value(), "wan"); }
  net::Status bind() { return move_.bind(record_now()); }
  net::Status unbind(const Forced& forced = {}) { return move_.unbind(saved().value(), forced); }
  std::optional<NicRecord> saved() { return records_.find(FakeHost::kPci).value(); }
  // A machine with the NIC moved.
  std::string bound() {
    EXPECT_TRUE(bind());
    return host_.picture();
  }

  TempDir dir_;
  FakeHost host_;
  NicRecords records_{dir_.file("ports")};
  NicMove move_{host_, records_};
  const std::string before_ = host_.picture();
};

}  // namespace lb::ctl
