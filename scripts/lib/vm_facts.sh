# The VM in one place: where it lives, its NICs, how its guest sees them. Everything else reads it from here.
# shellcheck shell=bash disable=SC2034
#
#   guest, root namespace        host, namespace $VM_NS        guest, to be given to namespaces
#   0000:00:10.0 (wan) ========== wire wan: a bridge ========== 0000:00:11.0 (far end of wan)
#   0000:00:12.0 (lan) ========== wire lan: a bridge ========== 0000:00:13.0 (far end of lan)
#   0000:00:14.0 (aux) ========== wire aux: a bridge ========== 0000:00:15.0 (far end of aux)
#
# Nothing of it touches an interface of the host: taps and bridges are in a namespace of their own, QEMU is too.

VM_NAME=${LBD_VM:-}
VM_DIR=/run/lbd-vm${VM_NAME:+-$VM_NAME}
VM_NS=lbd-vm${VM_NAME:+-$VM_NAME}
VM_CACHE=/var/cache/lbd-vm
VM_ACCEL=${LBD_VM_ACCEL:-auto}
# Bytes of IP on every wire: room for an outer header.
VM_MTU=1600
# One VM that was forgotten does not run for ever.
VM_LIFETIME_S=14400
# All of tests/vm; they take some two minutes of an emulated CPU on a machine that does nothing else.
VM_TEST_S=900
# An emulated CPU under other load takes long to start.
VM_BOOT_S=180
# QEMU ends with (value << 1) | 1 of what the guest wrote to its exit port: value = rc + 16.
VM_EXIT_PORT=0xf4
VM_ORDERLY=33

# NAME SLOT MAC WIRE QUEUES RSS: every NIC is a virtio device behind the virtual IOMMU, and the first of a wire is for DPDK. One has
# several queues and no RSS: QEMU spreads what comes in as it likes.
VM_NICS=(
  'wan 10 02:1b:d1:00:01:01 wan 2 on'
  'wan-far 11 02:1b:d1:00:01:02 wan 1 off'
  'lan 12 02:1b:d1:00:02:01 lan 2 on'
  'lan-far 13 02:1b:d1:00:02:02 lan 1 off'
  'aux 14 02:1b:d1:00:03:01 aux 2 off'
  'aux-far 15 02:1b:d1:00:03:02 aux 1 off'
)
VM_WIRES=(wan lan aux)
