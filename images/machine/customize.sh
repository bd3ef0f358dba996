#!/bin/sh
# Run by mmdebstrap when every package is there: $1 is the root of a virtual machine.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")
lines() { sed 's/#.*//; /^ *$/d' "$here/$1"; }

cp -R --no-preserve=ownership "$here/files/." "$root"

# The kernel goes by one name, so that the boot loader's configuration is the same for each.
mv "$root"/boot/vmlinuz-* "$root/boot/vmlinuz"
rm -f "$root"/boot/System.map-* "$root"/boot/config-* "$root"/vmlinuz* "$root"/initrd.img*
mkdir "$root/tmp/initramfs"
cp "$here"/initramfs/* "$root/tmp/initramfs"
chroot "$root" sh /tmp/initramfs/make.sh

# GRUB for machines with a BIOS: two pieces that are put in front of the first partition.
modules=/usr/lib/grub/i386-pc
chroot "$root" grub-mkimage -O i386-pc -o /boot/grub/core.img -p '(hd0,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 linux normal configfile
cp "$root$modules/boot.img" "$root/boot/grub/boot.img"

# Only what the preset names is started, cloud-init by a unit of ours.
rm -rf "$root"/etc/systemd/system/*.target.wants
chroot "$root" systemctl --quiet preset-all
lines masked | while read -r unit; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/system-generators"
lines masked-generators | while read -r generator; do
    ln -s /dev/null "$root/etc/systemd/system-generators/$generator"
done

ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/tmp/* "$root"/var/log/*.log
touch "$root/etc/.updated" "$root/var/.updated"
