/**
 * What requests to files and file systems fail with; part of `filesystem.ts`.
 */
import { errorsOf } from "../errors/registry.ts"

const errors = errorsOf("ioctl", [
  "EBADF",
  "EACCES",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EFBIG",
  "EINTR",
  "EINVAL",
  "EIO",
  "EISDIR",
  "ENOMEM",
  "ENOSPC",
  "ENOTTY",
  "EOPNOTSUPP",
  "EPERM",
  "EROFS",
  "ETXTBSY",
  "EXDEV"
])

export const options = (name: string, waits = false) => ({ name, waits, errors })
