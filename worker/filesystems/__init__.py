"""Reading the files of a Linux server: its file systems, mounted as its own fstab says.

Two processes. The job (`reading`) decides what may be mounted and takes what comes out; a child
(`child`) mounts, in a mount namespace of its own, and runs tar there. The kernel takes everything
down when the child ends, however it ends.
"""
