#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the smallest Debian in a directory, for docker import: root.sh SUITE DIRECTORY [MIRROR [SECURITY_MIRROR]]
# Without a mirror debootstrap takes the one that it knows; security updates then come from beside it.
# Needs root, debootstrap and debian-archive-keyring. Call it through
#   unshare --mount --pid --fork --kill-child
# so that no mount and no process of it is left behind, however it ends.
set -eu
suite=$1 root=$2 mirror=${3:-} security=${4:-}

debootstrap --arch=amd64 --variant=minbase --include=ca-certificates \
	--keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$root" ${mirror:+"$mirror"}
mirror=${mirror:-$(awk '$1 == "deb" {print $2; exit}' "$root/etc/apt/sources.list")}
security=${security:-$mirror-security}

# What Debian's own slim images leave out as well. The licences stay.
cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<END
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
END
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

# The authorities that this site adds to its machines: with them every build on top reaches the site's package indexes.
if [ -d /usr/local/share/ca-certificates ]; then
	find /usr/local/share/ca-certificates -name '*.crt' -exec cp -L {} "$root/usr/local/share/ca-certificates/" \;
	chroot "$root" update-ca-certificates
fi

cat >"$root/etc/apt/sources.list" <<END
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security $suite-security main
END
chroot "$root" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get upgrade -y && apt-get clean'

find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/man/* "$root"/var/lib/apt/lists/* \
	"$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/cache/ldconfig/aux-cache "$root"/var/log/* \
	"$root/etc/hostname"
: >"$root/etc/resolv.conf"
