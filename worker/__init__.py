"""The worker: how a snapshot is made. Runs on the host that has the disks."""
