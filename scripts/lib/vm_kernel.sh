# The guest's kernel: Debian's, unpacked and never installed, and an initial file system that finds the host's /.
# Kept in $VM_CACHE, a folder for each version; it may be removed at any time.
# shellcheck shell=bash disable=SC2153

VM_BOOT_MODULES=(virtio_pci 9pnet_virtio 9p overlay)

# vm_kernel: sets KERNEL_DIR (vmlinux, initrd, lib/modules/VERSION) and KERNEL_VERSION; makes what is missing.
vm_kernel() {
  install -d -m 755 "$VM_CACHE"
  KERNEL_VERSION=$(vm_kernel_cached)
  if [[ -z $KERNEL_VERSION ]]; then
    step "A kernel for the guest" \
      "no kernel could be had. Check the network and the sources in /etc/apt, then run this again." vm_kernel_fetch
    KERNEL_VERSION=$(vm_kernel_cached)
  fi
  KERNEL_DIR=$VM_CACHE/$KERNEL_VERSION
  if ! cmp -s "$LBD_ROOT/scripts/lib/vm_init.sh" "$KERNEL_DIR/init"; then
    step "Initial file system of the guest" "the initial file system could not be built; its output is above." vm_initrd
  fi
}
# The newest that is whole.
vm_kernel_cached() {
  find "$VM_CACHE" -mindepth 2 -maxdepth 2 -path '*/[0-9]*/vmlinux' | sed 's|.*/\([^/]*\)/vmlinux$|\1|' | sort -V | tail -n 1
}

# What linux-image-amd64 stands for today; lists of packages that are too old name one that is gone.
vm_kernel_package() { apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1; }
vm_kernel_fetch() {
  vm_kernel_unpack "$(vm_kernel_package)" || { apt-get -qq update && vm_kernel_unpack "$(vm_kernel_package)"; }
}

# vm_kernel_unpack PACKAGE
vm_kernel_unpack() {
  local version=${1#linux-image-} new=$VM_CACHE/new
  rm -rf "$new"
  mkdir -p "$new"
  (cd "$new" && apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$1") || return 1
  # What a virtual machine without screen and disks never loads is half of it.
  dpkg-deb --fsys-tarfile "$new"/*.deb | tar -C "$new" -x --exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/sound' \
    --exclude='*/drivers/scsi' --exclude='*/drivers/net/wireless' --exclude='*/drivers/net/ethernet' ./boot ./lib
  rm "$new"/*.deb
  depmod -b "$new" "$version"
  # Started as it is (PVH), the kernel need not unpack itself, which takes an emulated CPU five seconds.
  "$PYTHON" "$LBD_ROOT/scripts/lib/vm_vmlinux.py" "$new/boot/vmlinuz-$version" "$new/vmlinux"
  rm -rf "$new/boot"
  mv "$new" "$VM_CACHE/$version"
}

# busybox, the modules that reach the host's files, in order, and init.
vm_initrd() {
  local tree module file n=0
  tree=$(mktemp -d "${TMPDIR:-/tmp}/lbd-initrd.XXXXXX")
  mkdir -p "$tree"/{bin,modules,proc,sys,dev,low,up,new}
  cp /bin/busybox "$tree/bin/busybox"
  for module in "${VM_BOOT_MODULES[@]}"; do
    while read -r _ file; do
      [[ -z $(find "$tree/modules" -name "*-${file##*/}") ]] || continue
      cp "$file" "$tree/modules/$(printf '%02d' "$n")-${file##*/}"
      n=$((n + 1))
    done < <(modprobe -d "$KERNEL_DIR" -S "$KERNEL_VERSION" --show-depends "$module" | grep '^insmod ')
  done
  install -m 755 "$LBD_ROOT/scripts/lib/vm_init.sh" "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc) >"$KERNEL_DIR/initrd.new"
  mv "$KERNEL_DIR/initrd.new" "$KERNEL_DIR/initrd"
  cp "$LBD_ROOT/scripts/lib/vm_init.sh" "$KERNEL_DIR/init"
  rm -rf "$tree"
}
