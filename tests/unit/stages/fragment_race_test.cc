// What workers share of their datagrams: each writes its own table and looks into the other's. What is found is of that
// datagram, whole. Also a program for TSan.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "dataplane/stages/datagrams.h"

namespace lb::stages {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr uint32_t kRounds = 20'000;
#else
constexpr uint32_t kRounds = 200'000;
#endif

constexpr uint32_t kIds = 64;  // over 16 places: each is forgotten and made anew all the time

DatagramKey key_of(uint32_t id) {
  return {{id, ~uint64_t{id}, id * 3ull, id * 5ull, id}};
}
FirstTold told_of(uint32_t id) {
  return {.sport = static_cast<lb_be16>(id * 7),
          .dport = static_cast<lb_be16>(id * 11),
          .proto = static_cast<uint8_t>(id),
          .tcp = static_cast<uint8_t>(id * 13)};
}
uint64_t hash_of(uint32_t id) {
  return uint64_t{id % 2} << 32;
}

void work(uint32_t seed, Datagrams& own, const Datagrams& other, std::atomic<uint32_t>& running, uint64_t& found,
          uint64_t& wrong) {
  uint32_t random = seed;
  running++;
  for (uint32_t round = 0; round < kRounds || running.load() < 2; round++) {
    random = random * 1664525 + 1013904223;
    const uint32_t id = random >> 16 & (kIds - 1);
    Datagram* d = own.find(hash_of(id), key_of(id));
    if (d != nullptr) {
      own.forget(*d);
    } else {
      Datagram& place = own.place_for(hash_of(id));
      if (place.used) own.forget(place);
      own.make(place, hash_of(id), key_of(id));
      own.learn(place, told_of(id));
    }
    const uint32_t asked = random >> 8 & (kIds - 1);
    FirstTold told;
    if (!other.look_up(hash_of(asked), key_of(asked), told)) continue;
    found++;
    const FirstTold want = told_of(asked);
    wrong += told.sport != want.sport || told.dport != want.dport || told.proto != want.proto || told.tcp != want.tcp;
  }
}

TEST(FragmentRace, WhatAnotherWorkerTellsIsOfThatDatagram) {
  Datagrams a(16), b(16);
  std::atomic<uint32_t> running = 0;
  uint64_t found[2] = {}, wrong[2] = {};
  std::thread one([&] { work(1, a, b, running, found[0], wrong[0]); });
  work(2, b, a, running, found[1], wrong[1]);
  one.join();
  EXPECT_EQ(0u, wrong[0] + wrong[1]);
  EXPECT_GT(found[0] + found[1], 100u);
}

// One place that is two datagrams' in turn, as fast as can be: its key is read word by word, and must not be taken for
// the other's while it changes.
TEST(FragmentRace, APlaceThatChangesHandsIsNobodysMeanwhile) {
  Datagrams table(8);
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (uint32_t round = 0; !over.load(std::memory_order_relaxed); round++) {
      Datagram& place = table.at(0);
      if (place.used) table.forget(place);
      table.make(place, 0, key_of(1 + round % 2));
      table.learn(place, told_of(1 + round % 2));
    }
  });
  uint64_t found = 0, wrong = 0;
  for (uint32_t round = 0; round < 100 * kRounds; round++) {
    FirstTold told;
    const uint32_t asked = 1 + round % 2;
    if (!table.look_up(0, key_of(asked), told)) continue;
    found++;
    wrong += told.sport != told_of(asked).sport;
  }
  over = true;
  writer.join();
  EXPECT_EQ(0u, wrong);
  EXPECT_GT(found, 100u);
}

}  // namespace
}  // namespace lb::stages
