// Attaching for real, in a network namespace of the test's own: a veth pair, dcp0 with addresses.
#include <net/if.h>
#include <sched.h>

#include <cstdlib>

#include "tests/unit/xdp/decap_run.h"
#include "xdp/decap.h"
#include "xdp/decap_filter.h"

namespace lb::xdp {
namespace {

using model::Run;
using packet::eth;
using packet::ip4;

constexpr const char* kDev = "dcp0";

bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class DecapAttach : public DecapRun {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "network namespaces and BPF programs need root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    ASSERT_TRUE(
        shell("ip link add dcp0 type veth peer name dcp1 && ip link set lo up && ip link set dcp0 up && "
              "ip addr add 10.0.0.11/24 dev dcp0 && ip addr add 2001:db8:1::11/64 dev dcp0 nodad"));
    wanted_ = default_settings();
    wanted_.to.clear();
  }

  DecapFilter filter(Direction direction) {
    return DecapFilter(kDev, static_cast<int>(if_nametoindex(kDev)), direction);
  }

  // A packet through the program that is attached, not through one of the test's.
  uint32_t run_attached(const packet::Bytes& frame) {
    const auto program = filter(Direction::kIngress).attached();
    EXPECT_TRUE(program && *program);
    const Fd fd(bpf_prog_get_fd_by_id((*program)->id));
    return run_fd(fd.get(), frame).verdict;
  }

  static packet::Bytes tunnelled() {
    return eth(kOwnMac).ip4(kLb4, kSelf4).then(ip4(kClient4, kVip4).tcp(40000, 80)).bytes();
  }

  uint64_t counter(std::string_view name) {
    const auto state = decap_->show(kDev);
    EXPECT_TRUE(state) << state.error().message;
    for (const auto& c : state->counters)
      if (c.name == name) return c.packets;
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }

  std::unique_ptr<model::Decapsulation> decap_ = decapsulation();
  model::DecapSettings wanted_;
};

#define ASSERT_OK(result) ASSERT_TRUE(result) << (result).error().message
#define EXPECT_ERROR(result, wanted_code, words)                                          \
  do {                                                                                    \
    const auto got = (result);                                                            \
    ASSERT_FALSE(got);                                                                    \
    EXPECT_EQ(got.error().code, net::Code::wanted_code) << got.error().message;           \
    EXPECT_NE(got.error().message.find(words), std::string::npos) << got.error().message; \
  } while (false)

TEST_F(DecapAttach, StaysAfterItsMakerIsGoneAndIsFoundAgain) {
  const auto change = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_OK(change);
  EXPECT_TRUE(change->changed);
  EXPECT_FALSE(change->replaced);
  decap_ = decapsulation();
  const auto state = decap_->show(kDev);
  ASSERT_OK(state);
  EXPECT_EQ(state->settings, default_settings());  // `to` filled in with the interface's addresses
  EXPECT_TRUE(state->not_expected.empty());
  EXPECT_EQ(run_attached(tunnelled()), kContinue);
  EXPECT_EQ(counter("decapsulated_ipip"), 1u);
}

TEST_F(DecapAttach, TheSameAgainChangesNothing) {
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  const auto before = filter(Direction::kIngress).attached();
  ASSERT_OK(before);
  std::swap(wanted_.vips[0], wanted_.vips[1]);
  wanted_.vips.push_back(wanted_.vips[0]);
  const auto again = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_OK(again);
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(filter(Direction::kIngress).attached().value()->id, before.value()->id);
}

TEST_F(DecapAttach, OtherSettingsReplaceAndCountersGoOn) {
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  EXPECT_EQ(run_attached(tunnelled()), kContinue);
  wanted_.from = {net::Prefix::parse("203.0.113.3/32").value()};
  const auto change = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_OK(change);
  EXPECT_TRUE(change->changed);
  EXPECT_TRUE(change->replaced);
  EXPECT_EQ(run_attached(tunnelled()), kShot);
  EXPECT_EQ(counter("decapsulated_ipip"), 1u);
  EXPECT_EQ(counter("source_not_allowed"), 1u);
}

TEST_F(DecapAttach, TheClampComesAndGoesWithItsSetting) {
  wanted_.mss = 1400;
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  EXPECT_TRUE(filter(Direction::kEgress).attached().value().has_value());
  EXPECT_EQ(decap_->show(kDev)->settings.mss, 1400);
  wanted_.mss = 0;
  const auto change = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_OK(change);
  EXPECT_TRUE(change->changed);
  EXPECT_FALSE(filter(Direction::kEgress).attached().value().has_value());
  wanted_.mss = 1300;
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  ASSERT_OK(decap_->detach(kDev, Run::kReal));
  EXPECT_FALSE(filter(Direction::kEgress).attached().value().has_value());
}

TEST_F(DecapAttach, DetachRemovesOursAndOnlyOurs) {
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  load(default_settings());
  ASSERT_TRUE(shell("tc filter add dev dcp0 ingress pref 9 bpf bytecode '1,6 0 0 0,'"));
  const auto first = decap_->detach(kDev, Run::kReal);
  ASSERT_OK(first);
  EXPECT_TRUE(first->changed);
  const auto second = decap_->detach(kDev, Run::kReal);
  ASSERT_OK(second);
  EXPECT_FALSE(second->changed);
  EXPECT_ERROR(decap_->show(kDev), kNotFound, "no decapsulation on dcp0; attach it: lbctl decap attach dcp0");
  EXPECT_TRUE(shell("tc filter show dev dcp0 ingress | grep -q 'pref 9'"));
}

TEST_F(DecapAttach, ADryRunDoesNothing) {
  const auto change = decap_->attach(kDev, wanted_, Run::kDry);
  ASSERT_OK(change);
  EXPECT_TRUE(change->changed);
  EXPECT_ERROR(decap_->show(kDev), kNotFound, "no decapsulation");
  EXPECT_FALSE(shell("tc qdisc show dev dcp0 | grep -q clsact"));
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  const auto detached = decap_->detach(kDev, Run::kDry);
  ASSERT_OK(detached);
  EXPECT_TRUE(detached->changed);
  EXPECT_TRUE(decap_->show(kDev));
}

TEST_F(DecapAttach, AForeignProgramInOurPlaceIsRefusedAndLeftAlone) {
  load(default_settings());
  ASSERT_OK(make_hooks(kDev, static_cast<int>(if_nametoindex(kDev))));
  ASSERT_OK(filter(Direction::kIngress).attach(program_->egress_fd()));  // its name is not the one that belongs there
  EXPECT_ERROR(decap_->attach(kDev, wanted_, Run::kReal), kUnavailable, "tc filter del dev dcp0 ingress pref 1");
  EXPECT_ERROR(decap_->detach(kDev, Run::kReal), kUnavailable, "no program of ours");
  EXPECT_ERROR(decap_->show(kDev), kUnavailable, "BPF program lbd_decap_mss");
  EXPECT_TRUE(shell("tc filter del dev dcp0 ingress pref 1"));  // the mending command works
  EXPECT_TRUE(decap_->attach(kDev, wanted_, Run::kReal));
}

TEST_F(DecapAttach, AnotherKindOfFilterInOurPlaceIsRefused) {
  for (const char* kind :
       {"protocol all handle 1 bpf bytecode '1,6 0 0 0,'", "protocol ip bpf bytecode '1,6 0 0 0,'"}) {
    (void)shell("tc qdisc del dev dcp0 clsact");
    ASSERT_TRUE(shell("tc qdisc add dev dcp0 clsact"));
    ASSERT_TRUE(shell(std::string("tc filter add dev dcp0 ingress pref 1 ") + kind));
    for (const model::Run how : {model::Run::kDry, model::Run::kReal})
      EXPECT_ERROR(decap_->attach(kDev, wanted_, how), kUnavailable, "tc filter show dev dcp0 ingress");
    EXPECT_TRUE(shell("tc filter show dev dcp0 ingress | grep -q 'pref 1 '")) << kind;
  }
}

TEST_F(DecapAttach, AnOldIngressQdiscHasNoPlaceForTheClamp) {
  if (!shell("tc qdisc add dev dcp0 ingress")) GTEST_SKIP() << "this kernel has no ingress qdisc";
  ASSERT_OK(decap_->attach(kDev, wanted_, Run::kReal));
  EXPECT_EQ(run_attached(tunnelled()), kContinue);
  wanted_.mss = 1400;
  EXPECT_ERROR(decap_->attach(kDev, wanted_, Run::kReal), kUnavailable, "tc qdisc del dev dcp0 ingress");
  EXPECT_EQ(decap_->show(kDev)->settings.mss, 0);
}

TEST_F(DecapAttach, OuterAddressesAreTheInterfacesWithoutVips) {
  ASSERT_TRUE(shell("ip addr add 192.0.2.10/32 dev dcp0 && ip addr add fe80::11/64 dev dcp0 nodad"));
  const auto change = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_OK(change);
  EXPECT_EQ(change->settings.to, default_settings().to);
  ASSERT_TRUE(shell("ip addr add 10.0.0.111/24 dev dcp0"));
  const auto state = decap_->show(kDev);
  ASSERT_OK(state);
  EXPECT_EQ(state->not_expected, std::vector{net::Address::parse("10.0.0.111").value()});
}

TEST_F(DecapAttach, RefusesWithASentence) {
  const auto address = [](const char* text) { return net::Address::parse(text).value(); };
  EXPECT_ERROR(decap_->attach("nosuch0", wanted_, Run::kReal), kNotFound, "nosuch0");
  EXPECT_ERROR(decap_->detach("nosuch0", Run::kReal), kNotFound, "nosuch0");
  EXPECT_ERROR(decap_->show("nosuch0"), kNotFound, "nosuch0");
  EXPECT_ERROR(decap_->attach("lo", wanted_, Run::kReal), kUnsupported, "no Ethernet interface");
  EXPECT_ERROR(decap_->attach("dcp1", wanted_, Run::kReal), kInvalid, "--to ADDRESS");
  auto bad = wanted_;
  bad.from.clear();
  EXPECT_ERROR(decap_->attach(kDev, bad, Run::kReal), kInvalid, "--from");
  bad = wanted_;
  bad.vips.clear();
  EXPECT_ERROR(decap_->attach(kDev, bad, Run::kReal), kInvalid, "--vip");
  bad = wanted_;
  bad.to = {address(kVip4)};
  EXPECT_ERROR(decap_->attach(kDev, bad, Run::kReal), kInvalid, "192.0.2.10 is both --vip and --to");
  bad = wanted_;
  bad.mss = 535;
  EXPECT_ERROR(decap_->attach(kDev, bad, Run::kReal), kInvalid, "--mss 535 is below 536");
  EXPECT_ERROR(decap_->show(kDev), kNotFound, "no decapsulation");  // none of these did anything
}

TEST_F(DecapAttach, WithoutPrivilegesItSaysSo) {
  ASSERT_EQ(seteuid(65534), 0);
  const auto refused = decap_->attach(kDev, wanted_, Run::kReal);
  ASSERT_EQ(seteuid(0), 0);
  EXPECT_ERROR(refused, kPermission, "root");
}

}  // namespace
}  // namespace lb::xdp
