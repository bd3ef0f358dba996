#!/bin/sh
# Run by mmdebstrap when every package is there: $1 is the root.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")

# Databases that the packages made; an instance's own is on its volume.
rm -rf "$root"/var/lib/mysql/* "$root/var/lib/postgresql/17" "$root/etc/postgresql/17"

for template in "$here"/templates/*.sh; do
    name=$(basename "$template" .sh)
    mkdir -p "$root/usr/share/dbaas/templates/$name"
    cp "$template" "$root/tmp/make-template"
    chroot "$root" /bin/sh -eu /tmp/make-template "/usr/share/dbaas/templates/$name"
    rm -f "$root/tmp/make-template"
done

mkdir -p "$root/var/lib/dbaas/volume" "$root/etc/dbaas" "$root/opt/dbaas"

# What is a guest's own, or the build's.
: >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"
rm -rf "$root/var/lib/dbus/machine-id" "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d" \
    "$root"/etc/ssl/private/* "$root"/var/log/*.log "$root"/var/log/*/* "$root"/tmp/*
# A guest uses the device nodes that are here: only those which do no harm.
rm -f "$root/dev/console" "$root/dev/ptmx"
ln -s pts/ptmx "$root/dev/ptmx"
