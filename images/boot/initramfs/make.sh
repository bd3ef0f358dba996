#!/bin/sh
# Run in the root: make /boot/initrd.img from busybox, the modules listed beside this, and init.
set -eu
here=$(dirname "$0")
kernel=$(ls /lib/modules)
tree=$(mktemp -d)

mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root"
cp "$here/init" "$tree/init"
chmod 755 "$tree/init"
cp /bin/busybox "$tree/bin/busybox"
for applet in cat findfs insmod modprobe mount reboot sh sleep sort switch_root; do
    ln -s busybox "$tree/bin/$applet"
done

sed 's/#.*//' "$here/modules" | while read -r module; do
    [ -z "$module" ] || modprobe --set-version "$kernel" --show-depends "$module"
done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    mkdir -p "$tree$(dirname "$file")"
    case $file in
    *.xz) xz --decompress --stdout "$file" >"$tree${file%.xz}" ;;
    *) cp "$file" "$tree$file" ;;
    esac
done
cp "/lib/modules/$kernel/modules.builtin" "/lib/modules/$kernel/modules.order" \
    "$tree/lib/modules/$kernel/"
depmod -b "$tree" "$kernel"

cd "$tree"
find . | cpio --quiet -o -H newc | zstd -q -19 >/boot/initrd.img
rm -rf "$tree"
