#include <gtest/gtest.h>

#include <set>

#include "dataplane/model/snapshot.h"

namespace lb::model {
namespace {

using net::BackendId;
using net::ServiceIndex;

Backend backend(std::string name, uint32_t last_octets) {
  const uint8_t ip[4] = {10, static_cast<uint8_t>(last_octets >> 16), static_cast<uint8_t>(last_octets >> 8),
                         static_cast<uint8_t>(last_octets)};
  return {.name = std::move(name), .address = Address::from_ipv4(ip), .labels = {}};
}

Config pool_of(uint32_t from, uint32_t to) {
  Config c;
  Pool& pool = c.pools["fe"];
  pool.name = "fe";
  for (uint32_t i = from; i < to; i++) pool.backends.push_back(backend("b" + std::to_string(i), i));
  return c;
}

BackendId id_of(const IdTable& ids, const std::string& name, uint32_t octets) {
  return ids.backend({"fe", name, backend("", octets).address});
}

TEST(IdTable, NumbersFromOneInOrder) {
  IdTable ids;
  ASSERT_TRUE(ids.assign(pool_of(1, 4)));
  EXPECT_EQ(id_of(ids, "b1", 1), BackendId{1});
  EXPECT_EQ(id_of(ids, "b3", 3), BackendId{3});
  EXPECT_EQ(id_of(ids, "b4", 4), net::kNoBackend);
  EXPECT_EQ(ids.take_fresh_backends(), (std::vector<BackendId>{BackendId{1}, BackendId{2}, BackendId{3}}));
  EXPECT_TRUE(ids.take_fresh_backends().empty());
}

TEST(IdTable, KeepsNumbersWhileOthersComeAndGo) {
  IdTable ids;
  ASSERT_TRUE(ids.assign(pool_of(1, 10)));
  const BackendId five = id_of(ids, "b5", 5);
  ids.take_fresh_backends();
  ASSERT_TRUE(ids.assign(pool_of(5, 12)));
  EXPECT_EQ(id_of(ids, "b5", 5), five);
  EXPECT_EQ(id_of(ids, "b4", 4), net::kNoBackend);
  EXPECT_EQ(ids.take_fresh_backends(), (std::vector<BackendId>{BackendId{10}, BackendId{11}}));
}

TEST(IdTable, ANewAddressIsANewBackendAndPositionIsNot) {
  IdTable ids;
  Config c = pool_of(1, 4);
  ASSERT_TRUE(ids.assign(c));
  ids.take_fresh_backends();
  std::swap(c.pools["fe"].backends[0], c.pools["fe"].backends[2]);
  c.pools["fe"].backends[1].weight = 7;
  ASSERT_TRUE(ids.assign(c));
  EXPECT_TRUE(ids.take_fresh_backends().empty());
  c.pools["fe"].backends[1].address = backend("", 99).address;
  ASSERT_TRUE(ids.assign(c));
  EXPECT_EQ(ids.take_fresh_backends(), std::vector<BackendId>{BackendId{4}});
}

TEST(IdTable, FreedNumbersComeBackLastAndOldestFirst) {
  IdTable ids;
  ASSERT_TRUE(ids.assign(pool_of(1, 4)));
  ASSERT_TRUE(ids.assign(pool_of(2, 4)));                    // frees 1
  ASSERT_TRUE(ids.assign(pool_of(3, 4)));                    // frees 2
  ASSERT_TRUE(ids.assign(pool_of(3, 3 + LB_MAX_BACKENDS)));  // takes all
  EXPECT_EQ(id_of(ids, "b3", 3), BackendId{3});
  EXPECT_EQ(ids.backends().size(), LB_MAX_BACKENDS);
  std::set<BackendId> distinct;
  for (const auto& [key, id] : ids.backends()) distinct.insert(id);
  EXPECT_EQ(distinct.size(), LB_MAX_BACKENDS);
  EXPECT_EQ(*distinct.begin(), BackendId{1});
  const auto fresh = ids.take_fresh_backends();
  ASSERT_GE(fresh.size(), 2u);
  EXPECT_EQ(fresh[fresh.size() - 2], BackendId{1});
  EXPECT_EQ(fresh.back(), BackendId{2});
}

TEST(IdTable, RefusesMoreThanItCanNumberAndStaysAsItWas) {
  IdTable ids;
  ASSERT_TRUE(ids.assign(pool_of(1, 4)));
  const auto before = ids.backends();
  const auto status = ids.assign(pool_of(0, LB_MAX_BACKENDS + 1));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, net::Code::kInvalid);
  EXPECT_EQ(status.error().message, "65536 backends are more than the 65535 that a node can number: remove some");
  EXPECT_EQ(ids.backends(), before);
}

TEST(IdTable, ServicesAreNumberedFromZeroAndReusedLast) {
  IdTable ids;
  Config c;
  for (const char* name : {"a", "b", "c"}) c.services[name].name = name;
  ASSERT_TRUE(ids.assign(c));
  EXPECT_EQ(ids.service("a"), ServiceIndex{0});
  EXPECT_EQ(ids.service("c"), ServiceIndex{2});
  EXPECT_EQ(ids.take_fresh_services().size(), 3u);
  c.services.erase("a");
  c.services["d"].name = "d";
  ASSERT_TRUE(ids.assign(c));
  EXPECT_EQ(ids.service("d"), ServiceIndex{3});
  EXPECT_EQ(ids.service("c"), ServiceIndex{2});
  for (uint32_t i = 0; i < LB_MAX_SERVICES - 3; i++) c.services["s" + std::to_string(i)].name = "s" + std::to_string(i);
  ASSERT_TRUE(ids.assign(c));
  EXPECT_EQ(ids.take_fresh_services().back(), ServiceIndex{0});
  c.services["one-more"].name = "one-more";
  EXPECT_EQ(ids.assign(c).error().message,
            "16385 services are more than the 16384 that a node can number: remove some");
}

}  // namespace
}  // namespace lb::model
