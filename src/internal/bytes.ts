/** Buffers of every kind as bytes. */

/**
 * The bytes of a buffer, as a view of our own. A subclass can say anything of its place and length, and so is asked once;
 * the constructor checks what it said.
 */
export const bytesOf = (buffer: ArrayBufferView | ArrayBufferLike): Uint8Array =>
  ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer)
