#!/bin/bash
# usage: linux-tree.sh ROOT
#
# Fills ROOT with the tree of a small Linux system that has everything an archive may lose. Run by root.
set -euo pipefail
cd "$1"

mkdir -p etc usr/bin sbin var/cache/apt/archives tmp var/log deep/er/and/deeper "odd names" dev
echo deb > var/cache/apt/archives/some.deb
echo scratch > tmp/scratch
head -c 1000000 /dev/urandom > swapfile
for number in $(seq 40); do head -c 400000 /dev/urandom > "usr/bin/tool$number"; done

# Rights, links, holes, devices.
head -c 300000 /dev/urandom > usr/bin/program
chmod 4755 usr/bin/program
setcap cap_net_raw+ep usr/bin/program
ln usr/bin/program usr/bin/hard-link
ln -s ../usr/bin/program etc/link
ln -s /nowhere etc/dangling
truncate -s 50M var/log/sparse
printf x | dd of=var/log/sparse bs=1 seek=30000000 conv=notrunc status=none
mknod dev/sda b 8 0
mknod dev/null c 1 3
mkfifo var/pipe
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("var/socket")'

# Attributes of every namespace, and access lists.
mkdir -p home/ann
echo mine > home/ann/file
chown 1234:5678 home/ann home/ann/file
chmod 700 home/ann
setfacl -m u:1000:rw,g:2000:r home/ann/file
setfacl -d -m u:1000:rwx home/ann
setfattr -n user.note -v "a note" home/ann/file
setfattr -n trusted.secret -v 0x00ff home/ann/file
# system_u:object_r:user_home_t:s0 and a NUL, as SELinux writes it.
setfattr -n security.selinux -v 0x73797374656d5f753a6f626a6563745f723a757365725f686f6d655f743a733000 home/ann/file
touch -d '2001-02-03 04:05:06.123456789' home/ann/file

# Names.
printf newline > "odd names/a
b"
printf umlaut > "odd names/grün"
printf bytes > "odd names/$(printf '\377\376')"
printf long > "odd names/$(printf 'x%.0s' $(seq 250))"
printf pattern > "odd names/[star]*"

# What tar does not know.
echo frozen > etc/frozen
chattr +i etc/frozen
echo not dumped > etc/nodump
chattr +d etc/nodump
