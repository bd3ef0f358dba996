#!/bin/sh
# Run when every package is there: $1 is the root of a virtual machine.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")
lines() { sed 's/#.*//; /^ *$/d' "$here/$1"; }

cp -R --no-preserve=ownership "$here/files/." "$root"

# Only what the preset names is started, cloud-init by a unit of ours.
rm -rf "$root"/etc/systemd/system/*.target.wants
chroot "$root" systemctl --quiet preset-all
lines masked | while read -r unit; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/system-generators"
lines masked-generators | while read -r generator; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/$generator"
done

ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/tmp/* "$root"/var/log/*.log
touch "$root/etc/.updated" "$root/var/.updated"
