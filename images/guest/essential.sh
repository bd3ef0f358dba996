#!/bin/sh
# Run by mmdebstrap when the essential packages are there and nothing else is: $1 is the root.
set -eu
root=$1
here=$(dirname "$(readlink -f "$0")")

# The packages' own scripts would take the next free numbers; they leave accounts alone that exist.
sed '/^#/d; /^$/d' "$here/accounts" | while read -r name number home; do
    echo "$name:x:$number:$number::$home:/usr/sbin/nologin" >>"$root/etc/passwd"
    echo "$name:x:$number:" >>"$root/etc/group"
    echo "$name:!:20000::::::" >>"$root/etc/shadow"
done
