// What an operator reads when ports, cores or memory are not to be had.
#include <gtest/gtest.h>

#include "dataplane/dpdk/dpdk_engine.h"
#include "dataplane/host/port_plan.h"
#include "tests/unit/dpdk/ring_port.h"

namespace lb::dpdk {
namespace {

using testing::test_eal;

class NoFilters : public model::OwnedFilterFactory {
 public:
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_xdp(const std::string&) override { return none(); }
  net::Result<std::unique_ptr<model::OwnedFilter>> attach_tc(const std::string&) override { return none(); }

 private:
  static net::Error none() { return {net::Code::kUnsupported, "no kernel interface here"}; }
};

model::Daemon daemon_with(const std::string& device, std::vector<uint32_t> workers = {0}) {
  model::Daemon daemon;
  daemon.workers = std::move(workers);
  daemon.ports = {{.name = "wan", .device = device, .mtu = {}}};
  return daemon;
}

net::Error start_error(const model::Daemon& daemon) {
  NoFilters filters;
  const auto engine = DpdkEngine::start(daemon, test_eal(), filters, [](std::string_view) {});
  EXPECT_FALSE(engine);
  return engine ? net::Error{} : engine.error();
}

TEST(Refusal, InterfaceThatIsNotHere) {
  const net::Error e = start_error(daemon_with("eth77"));
  EXPECT_EQ(e.code, net::Code::kNotFound);
  EXPECT_NE(e.message.find("port wan: no such device: 'eth77'"), std::string::npos) << e.message;
  EXPECT_NE(e.message.find("lo"), std::string::npos) << "names what there is: " << e.message;
}

TEST(Refusal, PciDeviceThatIsNotHere) {
  const net::Error e = start_error(daemon_with("ffff:ff:1f.7"));
  EXPECT_EQ(e.code, net::Code::kNotFound);
  EXPECT_EQ(e.message, "port wan: there is no PCI device ffff:ff:1f.7 here; see: lspci -D");
}

TEST(Refusal, UnknownDriver) {
  const net::Error e = start_error(daemon_with("net_nothing0"));
  EXPECT_EQ(e.code, net::Code::kNotFound);
  EXPECT_NE(e.message.find("net_nothing0"), std::string::npos) << e.message;
  EXPECT_NE(e.message.find("net_af_xdp"), std::string::npos) << e.message;
}

TEST(Refusal, DeviceThatItsDriverRefuses) {
  const net::Error e = start_error(daemon_with("net_pcap0,rx_pcap=/nowhere/in.pcap,tx_pcap=/nowhere/out.pcap"));
  EXPECT_EQ(e.code, net::Code::kUnavailable);
  EXPECT_NE(e.message.find("port wan: DPDK device net_pcap0"), std::string::npos) << e.message;
}

TEST(Refusal, CoreThatIsNotHere) {
  const auto options = eal_options(daemon_with("net_null0", {1000}), {});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, net::Code::kInvalid);
  EXPECT_NE(options.error().message.find("core 1000 is not on this machine"), std::string::npos)
      << options.error().message;
}

TEST(Refusal, SecondStartOfDpdk) {
  (void)test_eal();
  const auto again = Eal::init({.workers = {allowed_cores().front()}, .log = {}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, net::Code::kInternal) << again.error().message;
}

TEST(PortPlan, SplitsADeviceString) {
  const model::Port port{.name = "a", .device = "net_pcap0,rx_pcap=x,tx_pcap=y", .mtu = 1600};
  const auto plans = host::plan_ports({&port, 1});
  ASSERT_TRUE(plans);
  EXPECT_EQ(plans->front().device_name, "net_pcap0");
  EXPECT_EQ(plans->front().device_arguments, "rx_pcap=x,tx_pcap=y");
  EXPECT_EQ(plans->front().mtu, 1600);
}

TEST(PortPlan, RingFramesGrowWithTheMtu) {
  PortPlan plan;
  plan.mtu = 1500;
  EXPECT_EQ(af_packet_frame_size(plan), 2048);
  plan.mtu = 1950;
  EXPECT_EQ(af_packet_frame_size(plan), 4096);
  plan.mtu = 9000;
  EXPECT_EQ(af_packet_frame_size(plan), 16384);
}

TEST(Cores, TextJoinsNeighbours) {
  EXPECT_EQ(cores_text({0, 1, 2, 4, 6, 7}), "0-2,4,6-7");
  EXPECT_EQ(cores_text({}), "");
}

}  // namespace
}  // namespace lb::dpdk
