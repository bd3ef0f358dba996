#!/bin/sh
# Run when every package is there: $1 is the root of a virtual machine, which is to start from it.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")

cp -R --no-preserve=ownership "$here/files/." "$root"

# The kernel goes by one name, so that the boot loader's configuration is the same for each.
mv "$root"/boot/vmlinuz-* "$root/boot/vmlinuz"
rm -f "$root"/boot/System.map-* "$root"/boot/config-* "$root"/vmlinuz* "$root"/initrd.img*
mkdir "$root/tmp/initramfs"
cp "$here"/initramfs/* "$root/tmp/initramfs"
chroot "$root" sh /tmp/initramfs/make.sh
rm -rf "$root/tmp/initramfs"

# GRUB for machines with a BIOS: two pieces that are put in front of the first partition.
modules=/usr/lib/grub/i386-pc
chroot "$root" grub-mkimage -O i386-pc -o /boot/grub/core.img -p '(hd0,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 linux normal configfile
cp "$root$modules/boot.img" "$root/boot/grub/boot.img"
