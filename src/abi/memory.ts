/** Structures of the calls on the address space. */
export {}
