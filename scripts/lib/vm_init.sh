#!/bin/busybox sh
# First process of the guest: the host's / (read-only, over 9p) below a file system in memory becomes its own /, then vm_guest.sh.
# On the kernel's command line: lbd.agent=PATH of that script; the rest is for it.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
fail() {
  echo "init: $*" >/dev/console
  /bin/busybox poweroff -f
}
for module in /modules/*; do /bin/busybox insmod "$module" || fail "cannot load $module"; done
for word in $(/bin/busybox cat /proc/cmdline); do
  case $word in lbd.agent=*) agent=${word#*=} ;; esac
done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /low || fail "cannot mount the host's /"
/bin/busybox mount -t tmpfs -o size=75% up /up
/bin/busybox mkdir /up/upper /up/work
/bin/busybox mount -t overlay -o lowerdir=/low,upperdir=/up/upper,workdir=/up/work root /new || fail "cannot mount the overlay"
/bin/busybox mount --move /proc /new/proc
/bin/busybox mount --move /dev /new/dev
exec /bin/busybox switch_root /new /bin/bash "$agent" || fail "cannot start $agent"
