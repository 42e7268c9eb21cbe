"""The stack on loopback: Redis, OpenStack Swift and the portal's own processes in one data folder.

Nothing here is needed where Redis and Swift are addresses in the environment; it is what `make run`
and the tests stand on. What must always hold:
- Everything listens on loopback or on a unix socket, and every secret is random and readable by
  its owner only.
- One data folder has one instance: `folder.DataFolder.lock` is held while any process of it lives.
- No process outlives the supervisor, however the supervisor ends.
"""
