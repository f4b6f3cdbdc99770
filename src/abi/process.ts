/** Structures of processes, signals and scheduling. */
export {}
