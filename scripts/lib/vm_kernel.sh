# The guest's kernel: Debian's, unpacked and never installed, and an initial file system that finds the host's /.
# Kept in $VM_CACHE, a folder for each version; it may be removed at any time.
# shellcheck shell=bash disable=SC2153

VM_BOOT_MODULES=(virtio_pci 9pnet_virtio 9p overlay)

# vm_kernel: sets KERNEL_DIR (vmlinux, initrd, lib/modules/VERSION) and KERNEL_VERSION; makes what is missing.
vm_kernel() {
  local package
  package=$(vm_kernel_package)
  KERNEL_VERSION=${package#linux-image-}
  KERNEL_DIR=$VM_CACHE/$KERNEL_VERSION
  install -d -m 755 "$VM_CACHE"
  if [[ ! -e $KERNEL_DIR/vmlinux ]]; then
    step "Kernel $KERNEL_VERSION of the guest" \
      "the package $package could not be had. Check the network and the sources in /etc/apt, run 'apt-get update', then this again." \
      vm_kernel_unpack "$package"
  fi
  if ! cmp -s "$LBD_ROOT/scripts/lib/vm_init.sh" "$KERNEL_DIR/init"; then
    step "Initial file system of the guest" "the initial file system could not be built; its output is above." vm_initrd
  fi
}

# What linux-image-amd64 stands for today. Without a network the newest that is in the cache.
vm_kernel_package() {
  local package
  package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
  [[ -n $package ]] || package=$(find "$VM_CACHE" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf 'linux-image-%f\n' 2>/dev/null | sort -V | tail -n 1)
  [[ -n $package ]] || die "apt knows no linux-image-amd64. Run: apt-get update"
  printf '%s' "$package"
}

vm_kernel_unpack() {
  local new=$KERNEL_DIR.new
  rm -rf "$new"
  mkdir -p "$new"
  (cd "$new" && apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$1")
  # What a virtual machine without screen and disks never loads is half of it.
  dpkg-deb --fsys-tarfile "$new"/*.deb | tar -C "$new" -x --exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/sound' \
    --exclude='*/drivers/scsi' --exclude='*/drivers/net/wireless' --exclude='*/drivers/net/ethernet' ./boot ./lib
  rm "$new"/*.deb
  depmod -b "$new" "$KERNEL_VERSION"
  # Started as it is (PVH), the kernel need not unpack itself, which takes an emulated CPU five seconds.
  "$PYTHON" "$LBD_ROOT/scripts/lib/vm_vmlinux.py" "$new/boot/vmlinuz-$KERNEL_VERSION" "$new/vmlinux"
  rm -rf "$new/boot" "$KERNEL_DIR"
  mv "$new" "$KERNEL_DIR"
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
