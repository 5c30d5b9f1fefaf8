// What outlives lbd: a BPF file system of its own beside the socket, where links and maps are pinned by name, and the
// lock by which one lbd at a time has it. Control thread only.
//
//   FOLDER/link-IFNAME   of an attached program (attachment.h)
//   FOLDER/config        lb_config of the attached programs: heartbeat, pid
//   FOLDER/flows/        lines, records, header: the flow tables (flow_maps.h)
//   FOLDER/former/       the same, of an lbd with another number of workers or flows
//   FOLDER/backend_ids   whose number is what
//   FOLDER.lock          locked by the living lbd
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/result.h"
#include "xdp/bpf_util.h"

namespace lb::xdp {

using Log = std::function<void(std::string_view line)>;

// Where the lbd with this socket keeps it: "xdp" beside the socket.
std::string runtime_folder(const std::string& socket);

class Runtime {
 public:
  // Makes the folder, mounts the file system on it unless one is there, and takes the lock. ERRORS: kUnavailable
  // (another lbd has it), kPermission (somebody else's folder, no privileges), kUnsupported, kIo.
  static net::Result<Runtime> open(const std::string& folder, const Log& log);
  // What is there, without a lock and without making anything. ERRORS: kNotFound, kPermission, kIo.
  static net::Result<Runtime> find(const std::string& folder);

  const std::string& folder() const noexcept { return folder_; }
  // Whether a living lbd has it: the lock is another descriptor's.
  net::Result<bool> is_in_use() const;
  // Of one that was found. ERRORS: kUnavailable: a living lbd has it.
  net::Status claim();

  // name: of a pin, or FOLDER/NAME. No dots: see link_pin().
  net::Status pin(int fd, const std::string& name) const;  // instead of what was there, in one step
  net::Result<Fd> pinned(const std::string& name) const;   // kNotFound: there is none
  net::Status unpin(const std::string& name) const;        // not there: no error
  std::vector<std::string> names() const;                  // of all pins outside of folders, sorted
  // Of pins that belong together.
  net::Status make_folder(const std::string& name) const;
  net::Status rename_folder(const std::string& from, const std::string& to) const;
  net::Status remove_folder(const std::string& name) const;  // with the pins in it; not there: no error

 private:
  std::string folder_;
  Fd lock_;
};

// The pin of an interface's link, and back; nothing for other pins. The file system takes no dots, which names of VLAN
// interfaces have: '.' and '%' become %2E and %25.
std::string link_pin(const std::string& ifname);
std::string ifname_of_pin(std::string_view pin);  // empty: it is no link's

}  // namespace lb::xdp
