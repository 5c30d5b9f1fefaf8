# A fresh Debian 12 in a folder. Runs inside a mount and PID namespace of its own (see scripts/fresh), so that every mount and
# every process of it ends with the script, however that ends.
# shellcheck shell=bash disable=SC2153

FRESH_CODENAME=bookworm
FRESH_CACHE=/var/cache/lbd-fresh

# Where this machine gets Debian from: never written down in the project, read when it is needed.
fresh_sources() {
  "$PYTHON" "$LBD_ROOT/scripts/lib/apt_sources.py" "$FRESH_CODENAME" /etc/apt "$1"
}

# fresh_make ROOT: a minimal system, from the cached tarball when that was made from the same sources this week.
fresh_make() {
  local root=$1 sources uri keyring tarball
  sources=$(fresh_sources "$root")
  [[ -n $sources ]] || { say "no entry for $FRESH_CODENAME in /etc/apt/sources.list or /etc/apt/sources.list.d"; return 1; }
  read -r uri _ < <(awk -F'\t' -v s="$FRESH_CODENAME" '$2 == s' <<<"$sources")
  keyring=$(awk -F'\t' -v s="$FRESH_CODENAME" '$2 == s && !n++ { print $4 }' <<<"$sources")
  [[ -n $uri ]] || { say "no entry for the suite $FRESH_CODENAME in the apt sources"; return 1; }
  [[ $keyring != - ]] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -r $keyring ]] || { say "the archive's keyring $keyring is not there: apt-get install debian-archive-keyring"; return 1; }
  tarball=$FRESH_CACHE/base-$(printf '%s' "$sources" | sha256sum | cut -c 1-16).tar
  find "$FRESH_CACHE" -maxdepth 1 -name 'base-*.tar' -mtime +7 -delete
  if [[ -s $tarball ]]; then
    tar -C "$root" -xf "$tarball"
  else
    debootstrap --variant=minbase --keyring="$keyring" --cache-dir="$FRESH_CACHE/archives" "$FRESH_CODENAME" "$root" "$uri"
    tar -C "$root" --one-file-system --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* --exclude='./var/cache/apt/archives/*.deb' -cf "$tarball.new" .
    mv "$tarball.new" "$tarball"
  fi
  fresh_apt "$root" "$sources"
}

# The new system's apt: this machine's sources, keys, proxies and credentials; nothing else of this machine.
fresh_apt() {
  local root=$1 uri suite components keyring
  rm -f "$root/etc/apt/sources.list"
  while IFS=$'\t' read -r uri suite components keyring; do
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n' "$uri" "$suite" "$components"
    if [[ $keyring != - ]]; then
      install -D -m 644 "$keyring" "$root/etc/apt/keyrings/${keyring##*/}"
      printf 'Signed-By: /etc/apt/keyrings/%s\n' "${keyring##*/}"
    fi
    printf '\n'
  done <<<"$2" >"$root/etc/apt/sources.list.d/debian.sources"
  cp -a /etc/apt/trusted.gpg.d/. "$root/etc/apt/trusted.gpg.d/" 2>/dev/null || true
  cp -a /etc/apt/auth.conf /etc/apt/auth.conf.d "$root/etc/apt/" 2>/dev/null || true
  { apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries)' || true; } >"$root/etc/apt/apt.conf.d/50host"
  cat >"$root/etc/apt/apt.conf.d/60fast" <<'END'
Acquire::Languages "none";
DPkg::Options { "--force-unsafe-io"; };
END
  # Pages nobody reads here are not unpacked; no service may start.
  printf 'path-exclude=/usr/share/%s/*\n' doc man locale info lintian >"$root/etc/dpkg/dpkg.cfg.d/60fast"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
}

# fresh_mount ROOT: what a running system has; the caches of packages and of the compiler.
fresh_mount() {
  local root=$1
  mount --bind "$root" "$root" # ip-netns makes / a slave mount, so / must be a mount
  mkdir -p "$FRESH_CACHE/archives/partial" "$FRESH_CACHE/ccache" "$root/root/.cache/ccache"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount --rbind /dev "$root/dev"
  mount --bind "$FRESH_CACHE/archives" "$root/var/cache/apt/archives"
  mount --bind "$FRESH_CACHE/ccache" "$root/root/.cache/ccache"
}

# fresh_copy_in ROOT: the project's files, at the path they have here, so that a build is as good outside as inside.
fresh_copy_in() {
  rm -rf "${1:?}$LBD_ROOT"
  mkdir -p "$1$LBD_ROOT"
  (cd "$LBD_ROOT" && project_files | while read -r f; do [[ -e $f || -L $f ]] && printf '%s\0' "$f"; done |
    tar --null -T - -cf -) | tar -C "$1$LBD_ROOT" -xf -
}

# fresh_run ROOT COMMAND...: as root of that machine, with an environment of its own, in the project's folder.
fresh_run() {
  local root=$1
  shift
  # shellcheck disable=SC2016 # expanded by the inner shell
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" CI="${CI:-}" LBD_JOBS="${LBD_JOBS:-}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/bash -c 'cd "$0" && exec "$@"' "$LBD_ROOT" "$@"
}
