// Huge pages for packet buffers: what is there, and what is said when there are too few.
#pragma once

#include <cstdint>
#include <string>

namespace lb::host {

// Reserved by the kernel and used by nobody.
uint64_t free_huge_mb(const std::string& sysfs = "/sys");
// What running processes called `lbd` have, and give back when they end.
uint64_t huge_mb_of_lbd(const std::string& proc = "/proc");

// huge-pages: on, and not enough of them.
std::string too_few_huge_pages(uint64_t needed_mb, uint64_t free_mb);
// huge-pages: auto with NICs, and not enough of them.
std::string nics_without_huge_pages(uint64_t needed_mb);

}  // namespace lb::host
