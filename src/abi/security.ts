/** Structures of tracing, filters, keys and security modules. */
export {}
