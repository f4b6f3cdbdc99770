/** Structures of mounts, file systems and quotas. */
export {}
