/**
 * Changes of and access to files of whole mounts and file systems, and the right to forbid it: `fanotify`.
 *
 * Events bring descriptors: those are `File`s that belong to the stream's scope, and whatever happens to the fiber none is
 * lost. {@link forEach} closes them event by event; who takes {@link events} by himself calls {@link close}.
 *
 * Needs `CAP_SYS_ADMIN`, but for marks of single files and directories with `report: ["fid"]` and its like.
 *
 * @since 0.1.0
 */
export {
  type Answer,
  type AnswerOptions,
  close,
  type Details,
  type Event,
  type EventsOptions,
  events,
  type FileObject,
  forEach,
  type Notification,
  type Overflow,
  open,
  type Permission,
  respond
} from "./file/fanotify-events.ts"
export {
  type Change,
  type Class,
  device,
  type Fanotify,
  flush,
  type Interest,
  type Mark,
  make,
  mark,
  type Options,
  type Report,
  unmark
} from "./file/fanotify-groups.ts"
