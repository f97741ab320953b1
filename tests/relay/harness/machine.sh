#!/usr/bin/env bash
# Boots this machine's own systemd as process 1 of namespaces of its own: over a copy-on-write view of this machine's
# root, with its own processes, cgroups and mounts, and this machine's network. Ended by SIGKILL to what it becomes.
#
#   machine.sh FOLDER BINARY REPOSITORY
#
# FOLDER is empty and becomes the mount point; BINARY and REPOSITORY are seen inside as /release and /repository.
set -euo pipefail

if [ "${4-}" != inside ]; then
  # A cgroup of its own first, so that what systemd does with "all" cgroups is done below it.
  hierarchy=$(mktemp -d)
  mount -t cgroup2 cgroup2 "$hierarchy"
  mkdir "$hierarchy/wiza-relay-test-$$"
  echo $$ > "$hierarchy/wiza-relay-test-$$/cgroup.procs"
  umount "$hierarchy" && rmdir "$hierarchy"
  exec unshare --pid --fork --kill-child --mount --cgroup --uts --ipc "$0" "$1" "$2" "$3" inside
fi

mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mkdir -p release repository
mount --bind "$(dirname "$2")" release
mount --bind "$3" repository
mount -o remount,bind,ro release
mount -o remount,bind,ro repository
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run dev; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mount -t tmpfs -o mode=1777 tmpfs tmp
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts dev/mqueue dev/hugepages
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx

# Of this machine's services none but the journal; /var is a disk's, as anywhere.
rm -rf etc/systemd/system/* etc/sysusers.d usr/lib/systemd/system/*.wants
mkdir -p etc/systemd/system
printf '[Unit]\nWants=systemd-journald.socket systemd-journald.service\n' > etc/systemd/system/test.target
echo 0123456789abcdef0123456789abcdef > etc/machine-id

mkdir old
pivot_root . old
umount -l old
# As systemd finds it when it boots a machine: what it mounts for a service is to be seen by the service.
mount --make-rshared /
export container=test
exec /lib/systemd/systemd --system --unit=test.target --log-target=journal --log-level=info --show-status=no
