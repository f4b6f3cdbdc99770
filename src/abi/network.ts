/** Structures of sockets: addresses, messages. */
export {}
