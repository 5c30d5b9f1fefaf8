#include "dataplane/net/address.h"

#include <gtest/gtest.h>

#include <vector>

namespace lb::net {
namespace {

Address addr(std::string_view text) {
  auto a = Address::parse(text);
  EXPECT_TRUE(a) << text;
  return a.value();
}

TEST(Address, TextRoundTripsInCanonicalForm) {
  for (const auto& [in, out] : std::vector<std::pair<std::string, std::string>>{
           {"192.0.2.1", "192.0.2.1"},
           {"0.0.0.0", "0.0.0.0"},
           {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
           {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},  // RFC 5952 4.2.3: the first of two longest runs
           {"::", "::"},
           {"::1", "::1"},
           {"::ffff:192.0.2.1", "192.0.2.1"},
       })
    EXPECT_EQ(addr(in).to_string(), out) << in;
}

TEST(Address, RefusesWhatInetPtonRefuses) {
  for (const char* text : {"", " 192.0.2.1", "192.0.2.1 ", "192.0.2", "192.0.2.256", "192.0.02.1", "0x7f.0.0.1", "1",
                           "2001:db8:::1", "2001:db8::1::", "12345::", "g::", "localhost", ":", "1.2.3.4.5"})
    EXPECT_FALSE(Address::parse(text)) << text;
  EXPECT_FALSE(Address::parse(std::string_view("192.0.2.1\0x", 11)));
}

TEST(Address, ErrorsNameTextAndRule) {
  EXPECT_EQ(Address::parse("web.example").error().message,
            "'web.example' is not an IP address: write it like 192.0.2.1 or 2001:db8::1");
  EXPECT_EQ(Address::parse("10.0.0.0/8").error().message, "'10.0.0.0/8' is a prefix, not an address: leave out '/8'");
  EXPECT_EQ(Address::parse("fe80::1%eth0").error().message, "address 'fe80::1%eth0' has a zone: leave out '%eth0'");
  EXPECT_EQ(Address::parse("[::1]").error().message, "address '[::1]': brackets are only for an address with a port");
  EXPECT_EQ(Address::parse("x").error().code, Code::kInvalid);
}

TEST(Address, OrderIsFamilyThenBytes) {
  EXPECT_LT(addr("255.255.255.255"), addr("::1"));
  EXPECT_LT(addr("10.0.0.2"), addr("10.0.0.10"));
  EXPECT_LT(addr("10.0.0.127"), addr("10.0.0.128"));  // unsigned
  EXPECT_LT(addr("2001:db8::1"), addr("2001:db8::2"));
  EXPECT_EQ(addr("::ffff:10.0.0.1"), addr("10.0.0.1"));
}

TEST(Address, Classes) {
  EXPECT_TRUE(addr("0.0.0.0").is_unspecified());
  EXPECT_TRUE(addr("::").is_unspecified());
  EXPECT_FALSE(addr("0.0.0.1").is_unspecified());
  EXPECT_TRUE(addr("224.0.0.1").is_multicast());
  EXPECT_TRUE(addr("239.255.255.255").is_multicast());
  EXPECT_FALSE(addr("240.0.0.1").is_multicast());
  EXPECT_TRUE(addr("ff02::1").is_multicast());
  EXPECT_FALSE(addr("fe02::1").is_multicast());
  EXPECT_TRUE(addr("127.9.9.9").is_loopback());
  EXPECT_TRUE(addr("::1").is_loopback());
  EXPECT_FALSE(addr("::2").is_loopback());
  EXPECT_FALSE(addr("1::1").is_loopback());
  EXPECT_TRUE(addr("169.254.1.1").is_link_local());
  EXPECT_TRUE(addr("febf::1").is_link_local());
  EXPECT_FALSE(addr("fec0::1").is_link_local());
  EXPECT_TRUE(addr("255.255.255.255").is_broadcast());
  EXPECT_FALSE(addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").is_broadcast());
}

TEST(Address, RawIsMappedNetworkOrder) {
  const lb_addr raw = addr("192.0.2.1").raw();
  EXPECT_EQ(raw.b[10], 0xff);
  EXPECT_EQ(raw.b[12], 192);
  EXPECT_EQ(raw.b[15], 1);
  EXPECT_EQ(Address(raw), addr("192.0.2.1"));
}

TEST(Mac, RoundTrip) {
  EXPECT_EQ(Mac::parse("02:00:5E:10:00:0a")->to_string(), "02:00:5e:10:00:0a");
  for (const char* text : {"", "02:00:5e:10:00", "02-00-5e-10-00-0a", "02:00:5e:10:00:0g", "02:00:5e:10:00:0a:"})
    EXPECT_FALSE(Mac::parse(text)) << text;
  EXPECT_EQ(Mac::parse("x").error().message, "'x' is not a MAC address: write it like 02:00:5e:10:00:01");
}

TEST(Prefix, ParseAndContain) {
  const Prefix p = Prefix::parse("10.1.16.0/20").value();
  EXPECT_TRUE(p.contains(addr("10.1.16.0")));
  EXPECT_TRUE(p.contains(addr("10.1.31.255")));
  EXPECT_FALSE(p.contains(addr("10.1.32.0")));
  EXPECT_FALSE(p.contains(addr("10.1.15.255")));
  EXPECT_FALSE(p.contains(addr("2001:db8::1")));
  const Prefix six = Prefix::parse("2001:db8:8000::/33").value();
  EXPECT_TRUE(six.contains(addr("2001:db8:ffff::1")));
  EXPECT_FALSE(six.contains(addr("2001:db8:7fff::1")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(addr("255.1.2.3")));
  EXPECT_FALSE(Prefix::parse("::/0")->contains(addr("1.2.3.4")));
  EXPECT_EQ(Prefix::parse("10.0.0.1")->to_string(), "10.0.0.1/32");
  EXPECT_EQ(Prefix::parse("::1")->to_string(), "::1/128");
}

TEST(Prefix, ErrorsNameTheRule) {
  EXPECT_EQ(Prefix::parse("10.0.0.1/8").error().message,
            "prefix '10.0.0.1/8' has bits set beyond its 8: a single address is '10.0.0.1/32'");
  EXPECT_EQ(Prefix::parse("10.0.0.0/33").error().message, "prefix '10.0.0.0/33': the length after '/' must be 0 to 32");
  for (const char* text : {"10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8 ", "/8", "2001:db8::/129"})
    EXPECT_FALSE(Prefix::parse(text)) << text;
}

TEST(Listener, RoundTrip) {
  for (const char* text : {"192.0.2.10:443/tcp", "192.0.2.10:8000-8100/udp", "[2001:db8::10]:*/tcp", "0.0.0.0:1/udp",
                           "[2001:db8::10]:65535/udp", "192.0.2.10:1-65535/tcp"})
    EXPECT_EQ(Listener::parse(text)->to_string(), text);
  EXPECT_EQ(Listener::parse("192.0.2.10:7-7/tcp")->to_string(), "192.0.2.10:7/tcp");
}

TEST(Listener, Kinds) {
  EXPECT_TRUE(Listener::parse("192.0.2.10:443/tcp")->is_exact());
  EXPECT_TRUE(Listener::parse("192.0.2.10:1-65535/tcp")->is_range());
  const Listener any = Listener::parse("192.0.2.10:*/tcp").value();
  EXPECT_TRUE(any.is_any());
  EXPECT_FALSE(any.is_range());
  EXPECT_FALSE(any.is_exact());
}

TEST(Listener, ErrorsNameTextAndRule) {
  const auto message = [](std::string_view text) { return Listener::parse(text).error().message; };
  EXPECT_EQ(message("192.0.2.10:80"), "listener '192.0.2.10:80' has no protocol: end it with /tcp or /udp");
  EXPECT_EQ(message("192.0.2.10:80/sctp"), "listener '192.0.2.10:80/sctp': protocol 'sctp' must be tcp or udp");
  EXPECT_EQ(message("192.0.2.10/tcp"),
            "listener '192.0.2.10/tcp' has no port: write 192.0.2.10:443/tcp or [2001:db8::10]:443/tcp");
  EXPECT_EQ(message("[2001:db8::10]/tcp"),
            "listener '[2001:db8::10]/tcp' has no port: write 192.0.2.10:443/tcp or [2001:db8::10]:443/tcp");
  EXPECT_EQ(message("[2001:db8::10:80/tcp"),
            "listener '[2001:db8::10:80/tcp': ']' is missing: write 192.0.2.10:443/tcp or [2001:db8::10]:443/tcp");
  EXPECT_EQ(
      message("2001:db8::10:80/tcp"),
      "listener '2001:db8::10:80/tcp': an IPv6 address with a port goes into brackets: write 192.0.2.10:443/tcp or "
      "[2001:db8::10]:443/tcp");
  EXPECT_EQ(message("[192.0.2.10]:80/tcp"),
            "listener '[192.0.2.10]:80/tcp': brackets are for IPv6: write 192.0.2.10:80");
  EXPECT_EQ(
      message("192.0.2.300:80/tcp"),
      "listener '192.0.2.300:80/tcp': '192.0.2.300' is not an IP address: write it like 192.0.2.1 or 2001:db8::1");
  for (const char* ports : {"0", "65536", "-1", "", "080", "80-", "-80", "80-90-100", "http", "1,2", "+80"})
    EXPECT_EQ(message("192.0.2.10:" + std::string(ports) + "/tcp"),
              "listener '192.0.2.10:" + std::string(ports) + "/tcp': port '" + ports +
                  "' must be 1 to 65535, a range like 8000-8100, or *");
  EXPECT_EQ(message("192.0.2.10:90-80/tcp"),
            "listener '192.0.2.10:90-80/tcp': port range '90-80' runs backwards: write 80-90");
}

TEST(Endpoint, RoundTripAndErrors) {
  EXPECT_EQ(Endpoint::parse("198.51.100.7:40000")->to_string(), "198.51.100.7:40000");
  EXPECT_EQ(Endpoint::parse("[2001:db8::7]:1")->to_string(), "[2001:db8::7]:1");
  EXPECT_EQ(Endpoint::parse("198.51.100.7:0").error().message,
            "endpoint '198.51.100.7:0': port '0' must be 1 to 65535");
  EXPECT_FALSE(Endpoint::parse("198.51.100.7"));
  EXPECT_FALSE(Endpoint::parse("2001:db8::7:40000"));
  EXPECT_FALSE(Endpoint::parse("198.51.100.7:80-90"));
}

}  // namespace
}  // namespace lb::net
