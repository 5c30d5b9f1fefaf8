#pragma once

#include <string_view>

namespace lb::ctl {

inline constexpr std::string_view kVersion = LB_VERSION;  // of the build (meson.build)
inline constexpr int kProtocol = 1;                       // docs/protocol.md

}  // namespace lb::ctl
