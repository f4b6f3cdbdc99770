/** Structures of descriptors that tell of events, of futexes, queues and rings. */
export {}
