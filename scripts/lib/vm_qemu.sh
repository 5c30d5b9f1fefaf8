# QEMU: its command line, its wires, start and stop.
# shellcheck shell=bash disable=SC2153

# The wires: a bridge with a tap for each of its NICs, in a namespace where there is nothing else.
vm_wires_up() {
  local nic wire name queues _
  ip netns add "$VM_NS"
  ip netns exec "$VM_NS" sysctl -q -w net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1
  {
    # A hub: it learns nothing, so that a frame always comes out at the other end.
    for wire in "${VM_WIRES[@]}"; do echo "link add $wire type bridge stp_state 0 forward_delay 0 mcast_snooping 0 ageing_time 0"; done
    for nic in "${VM_NICS[@]}"; do
      read -r name _ _ wire queues _ <<<"$nic"
      echo "tuntap add dev t-$name mode tap vnet_hdr $([[ $queues -eq 1 ]] || echo multi_queue)"
      echo "link set t-$name master $wire mtu $VM_MTU up"
    done
    for wire in "${VM_WIRES[@]}"; do echo "link set $wire up"; done
  } | ip -n "$VM_NS" -batch -
}

# vm_nic_arguments: a line an argument.
vm_nic_arguments() {
  local nic name slot mac queues rss more
  for nic in "${VM_NICS[@]}"; do
    read -r name slot mac _ queues rss <<<"$nic"
    if [[ $queues -gt 1 ]]; then
      # 2 vectors a queue pair, one for control and one for changes of configuration. The largest queues that there are: a packet that
      # QEMU's RSS moves to a full queue stops, for ever, the tap's queue that it came by (QEMU 7.2 waits for the wrong one's kick).
      more=",mq=on,vectors=$((2 * queues + 2)),rx_queue_size=1024,rss=$rss,hash=$rss"
    else
      # A far end sends whole packets with whole checksums, as what arrives from afar does.
      more=,csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off
    fi
    printf '%s\n' -netdev "tap,id=$name,ifname=t-$name,script=no,downscript=no,vhost=off$([[ $queues -eq 1 ]] || echo ",queues=$queues")" \
      -device "virtio-net-pci,netdev=$name,addr=0x$slot,mac=$mac,disable-legacy=on,iommu_platform=on,romfile=,host_mtu=$VM_MTU$more"
  done
}

# Whether /dev/kvm runs a guest: some that are there never do. This one has no root file system: it panics, asks for a reboot, and
# -no-reboot ends QEMU in order. `timeout` has a shell of its own, which does not tell of the kill.
vm_kvm_works() {
  [[ -w /dev/kvm ]] || return 1
  (timeout -s KILL 6 qemu-system-x86_64 -nodefaults -display none -no-reboot -accel kvm -cpu host -m 256 \
    -kernel "$KERNEL_DIR/vmlinux" -append "panic=-1 mitigations=off nokaslr"; exit) >/dev/null 2>&1
}

vm_accel() {
  case $VM_ACCEL in
    tcg) printf '%s\n' -accel tcg,thread=multi -cpu max ;;
    kvm) printf '%s\n' -accel kvm -cpu host ;;
    count) printf '%s\n' -accel tcg,thread=single -cpu max -icount shift=0,sleep=off ;;
  esac
}

# An emulated guest measures the pace of its time stamp counter as it boots; on a busy host it was four times off, and with it every
# time limit. The timer of ACPI has a pace that is written down. When instructions are counted, all pace is theirs.
vm_clock() { [[ $VM_ACCEL != tcg ]] || printf ' clocksource=acpi_pm'; }

vm_command_line() {
  vm_accel
  printf '%s\n' -machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,device-iotlb=on -nodefaults -display none -no-reboot \
    -m "$1" -smp "$2" -kernel "$KERNEL_DIR/vmlinux" -initrd "$KERNEL_DIR/initrd" -pidfile "$VM_DIR/qemu.pid-only" \
    -append "console=ttyS0 panic=-1 quiet loglevel=4 intel_iommu=on iommu=pt cryptomgr.notests tsc=reliable mitigations=off nokaslr no_timer_check$(vm_clock) hugepages=$3 lbd.agent=$LBD_ROOT/scripts/lib/vm_guest.sh lbd.share=$VM_DIR lbd.modules=$KERNEL_DIR/lib/modules/$KERNEL_VERSION" \
    -serial "file:$VM_DIR/serial.log" -chardev "pipe,id=requests,path=$VM_DIR/requests" -serial chardev:requests \
    -device "isa-debug-exit,iobase=$VM_EXIT_PORT,iosize=1" -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
    -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap -device virtio-9p-pci,fsdev=root,mount_tag=root \
    -fsdev "local,id=share,path=$VM_DIR,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=share
}

# vm_boot MEMORY_MB CPUS HUGE_PAGES SECONDS: starts QEMU, returns when the guest obeys. `timeout` ends it after SECONDS at the latest.
vm_boot() {
  local arguments
  mkfifo "$VM_DIR/requests.in" "$VM_DIR/requests.out"
  mapfile -t arguments < <(vm_command_line "$1" "$2" "$3")
  [[ $VM_ACCEL == count ]] || mapfile -t -O "${#arguments[@]}" arguments < <(vm_nic_arguments)
  (
    vm_close_files
    rc=0
    ip netns exec "$VM_NS" timeout -s KILL "$4" qemu-system-x86_64 "${arguments[@]}" </dev/null >"$VM_DIR/qemu.log" 2>&1 &
    process_write "$VM_DIR/starter.pid" $!
    wait $! || rc=$?
    echo "$rc" >"$VM_DIR/qemu.rc"
  ) &
  disown
  wait_until 10 vm_pid_known || { vm_tail; return 1; }
  process_write "$VM_DIR/qemu.pid" "$(<"$VM_DIR/qemu.pid-only")"
  wait_until "$VM_BOOT_S" vm_settled || true
  [[ -e $VM_DIR/ready ]] || { vm_tail; return 1; }
}
# A lock that whoever called this holds is not held on by a VM that stays.
vm_close_files() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    if [[ $fd -gt 2 ]]; then exec {fd}>&-; fi
  done
}
vm_pid_known() { [[ -s $VM_DIR/qemu.pid-only || -e $VM_DIR/qemu.rc ]]; }
vm_settled() { [[ -e $VM_DIR/ready || -e $VM_DIR/qemu.rc ]]; }
vm_runs() { process_alive "$VM_DIR/qemu.pid"; }

vm_tail() {
  local log
  for log in qemu.log serial.log; do
    [[ ! -s $VM_DIR/$log ]] || { say "The end of $VM_DIR/$log:"; tail -n 30 "$VM_DIR/$log" | tr -d '\r' | sed 's/^/    /'; }
  done >&2
}

# The guest ends QEMU itself, in order; one that does not is killed, and said so.
vm_stop() {
  if vm_runs; then
    timeout 5 bash -c 'echo exit >"$0/requests.in"' "$VM_DIR" || true
    wait_until 20 process_gone "$VM_DIR/qemu.pid" || warn "the guest does not end"
    process_stop "$VM_DIR/qemu.pid" QEMU
    wait_until 5 test -e "$VM_DIR/qemu.rc" || true
  fi
  # One that has not written down its PID, by `timeout`, which passes it on.
  if process_alive "$VM_DIR/starter.pid"; then
    process_stop "$VM_DIR/starter.pid" QEMU
    wait_until 5 test -e "$VM_DIR/qemu.rc" || true
  fi
  [[ ! -e $VM_DIR/qemu.rc || $(<"$VM_DIR/qemu.rc") -eq $VM_ORDERLY ]] || { warn "the VM ended with exit code $(<"$VM_DIR/qemu.rc")"; vm_tail; }
}
