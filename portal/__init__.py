"""The portal: what a snapshot is. Records, the store, the pages and the commands; needs no Rust."""
