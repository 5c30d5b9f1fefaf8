# Runs in the guest as its first process, with the host's files as its own: mounts what a system has, then obeys scripts/vm.
# A request is a line on the second serial port: "run N" or "exit". N.sh in the share is the command; N.out, N.err and, when it has
# ended, N.rc are the answer. Requests run beside each other.
# shellcheck shell=bash
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb

word() { sed -n "s/.*\\<lbd\\.$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }

mount_system() {
  mount -t sysfs sysfs /sys
  mount -t bpf bpf /sys/fs/bpf
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t tmpfs -o mode=755 run /run
  mkdir -p /dev/pts /dev/shm /dev/hugepages
  mount -t devpts -o ptmxmode=666 devpts /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t hugetlbfs hugetlbfs /dev/hugepages
  mkdir -p "$share"
  mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,access=any share "$share"
  # The kernel's modules lie in the cache; what the kernel asks for by name is found by modprobe.
  mkdir -p /lib/modules
  mount -t tmpfs modules /lib/modules
  ln -s "$(word modules)" "/lib/modules/$(uname -r)"
  hostname lbd-vm
  ip link set lo up
  ulimit -n 1048576
}

run() {
  local n=$1 rc=0
  setsid bash "$share/$n.sh" </dev/null >"$share/$n.out" 2>"$share/$n.err" || rc=$?
  echo "$rc" >"$share/$n.rc.new"
  mv "$share/$n.rc.new" "$share/$n.rc"
}

# QEMU ends with (0 + 16) << 1 | 1: nothing that goes wrong by itself ends with that.
leave() {
  sync
  printf '\x10' | dd of=/dev/port bs=1 seek=$((0xf4)) status=none
}

share=$(word share)
mount_system
stty -F /dev/ttyS1 raw -echo
exec 3</dev/ttyS1
echo ready >"$share/ready"
while true; do
  read -r request n <&3 || { sleep 0.1; continue; }
  case $request in
    run) run "$n" & ;;
    exit) leave ;;
  esac
done
