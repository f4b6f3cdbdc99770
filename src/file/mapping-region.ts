/**
 * What is behind a `Mapping`: where the memory lies now, which buffer shows it, what uses it at this moment, and how it
 * is given back exactly once. The calls made on it stand in `mapping-operations.ts`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { codes, EFAULT } from "../errors/errnos.ts"
import { type CallErrors, isErrorResult } from "../errors/registry.ts"
import * as constants from "../internal/constants.ts"
import { type Description, Misuse, onThisThread, run } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { type BlockingOptions, Trampoline } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"

export const TypeId = "~effect-linux/Mapping" as const

/**
 * A piece of memory that the kernel mapped.
 *
 * `address`, `length`, `buffer` and `bytes` tell how it is at the moment: `Mapping.remap` changes them all, and while the
 * memory cannot be read and written (`Mapping.protect`) the last two are empty.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mapping {
  readonly [TypeId]: typeof TypeId
  /** Where it lies in the address space. For use beyond this moment, see `Mapping.pin`. */
  readonly address: bigint
  /** In bytes, as asked for. */
  readonly length: number
  /** The memory itself; detached when the scope closes. */
  readonly buffer: ArrayBuffer
  /** The same as bytes; of length 0 once the scope has closed. */
  readonly bytes: Uint8Array
}

// Newer runtimes let JavaScript take a buffer's memory away, and let a buffer be marked so that nobody can, which their
// detaching for addons does not survive: there the memory is first moved to a buffer that nobody else has seen.
const transfer = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "transfer")?.value

/** Makes the memory unreachable; false where it may still be reached, through a buffer that cannot be found or detached. */
const hide = (buffer: ArrayBuffer, address: bigint): boolean => {
  if (typeof transfer !== "function") return native.hide(buffer, address)
  try {
    return native.hide(transfer.call(buffer), address)
  } catch {
    return native.abandon(address)
  }
}

/** Which mapping a buffer shows, for those who are given a view of it. */
const shownBy = new WeakMap<ArrayBufferLike, Region>()

/** The mapping whose memory this is, if it is one's. */
export const regionOf = (buffer: ArrayBufferLike): Region | undefined => shownBy.get(buffer)

const nowhere = new ArrayBuffer(0)
const noBytes = new Uint8Array(nowhere)

// Memory of huge pages is given back in whole ones, and how large they are nobody needs to have said: the kernel refuses
// a length that ends within one.
const sizes: ReadonlyArray<number> = [0, 16, 19, 20, 21, 23, 24, 25, 28, 29, 30, 31, 34].map((shift) => 2 ** shift)

// To give back this many bytes takes the kernel some ms, where they were all written to: time that the event loop has not.
const many = 32 << 20

const unmap = (address: bigint, length: number): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const trampoline = fiber.getRef(Trampoline)
    if (length >= many) {
      const elsewhere = Syscall.callBlocking(Syscall.nr.munmap, address, length)
      return Effect.uninterruptible(Effect.catch(Effect.asVoid(elsewhere), () => unmapWhole(address, length)))
    }
    const result = trampoline.call(Syscall.nr.munmap, address, length)
    return isErrorResult(result) ? unmapWhole(address, length) : Exit.void
  })

const unmapWhole = (address: bigint, length: number): Effect.Effect<void> => {
  const attempt = (index: number): Effect.Effect<void> => {
    const size = sizes[index] ?? 1
    return Effect.catch(Syscall.munmap(address, Math.ceil(length / size) * size), (error) =>
      error._tag === "EINVAL" && index + 1 < sizes.length ? attempt(index + 1) : Effect.die(error)
    )
  }
  return attempt(0)
}

// Somebody moved the memory to a buffer that nobody can find, or forbade to detach it. Fresh pages go over it, so that
// the file behind it is let go and that buffer still reads something; the addresses are free when it is collected.
const cover = (address: bigint, length: number): Effect.Effect<void> => {
  const { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE } = constants
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
  return Effect.orDie(Effect.asVoid(Syscall.mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0)))
}

/** What a mapping was made of, as far as its operations must know. */
export interface Kind {
  readonly shared: boolean
  /** There is a file behind it, whose end memory must not reach past. */
  readonly file: boolean
}

export class Region implements Mapping {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly kind: Kind
  address: bigint
  /** What is shown of it. */
  length: number
  /** What is mapped. */
  extent: number
  private lastBuffer: ArrayBuffer = nowhere
  private lastBytes: Uint8Array = noBytes
  /** The first of its bytes, while nothing shows it: by it the memory ends with its thread, whose scopes may not. */
  private anchor: ArrayBuffer | undefined = undefined
  /** Whether `buffer` shows it. */
  visible = false
  /** What may be done with the pages: JavaScript sees them only while they can be read and written. */
  protection: number = constants.PROT_READ | constants.PROT_WRITE
  /** No operation may begin any more. */
  over = false
  /** It is being moved at this moment. */
  moving = false
  /** What waits in the kernel, each with the function that calls it back. */
  private readonly waiting: Set<() => void> = new Set()
  /** Told when the last of them has ended. */
  private readonly onIdle: Array<() => void> = []
  /** Those for whom the memory must stay where it is. */
  private pins = 0
  /** Gives the memory back when the last pin is gone, once its scope has closed. */
  private last: Effect.Effect<void> | undefined
  /** What is to be done while the memory can be seen for the last time. */
  readonly farewells: Set<() => void> = new Set()

  constructor(address: bigint, length: number, kind: Kind) {
    this.address = address
    this.length = length
    this.extent = length
    this.kind = kind
  }

  /** Whether any access by JavaScript is one that the pages allow. */
  get accessible(): boolean {
    const both = constants.PROT_READ | constants.PROT_WRITE
    return (this.protection & both) === both
  }

  /**
   * It is shown when somebody looks. A buffer counts as garbage to come of its whole length, and the runtime begins to
   * collect at once for some dozen MiB: memory that only a guest ever touches must not cost that.
   */
  get isLazy(): boolean {
    return this.anchor !== undefined && this.accessible && !this.over
  }

  /** The buffer that shows it, or the one that last did. */
  get buffer(): ArrayBuffer {
    if (this.isLazy) this.show()
    return this.lastBuffer
  }

  get bytes(): Uint8Array {
    if (this.isLazy) this.show()
    return this.lastBytes
  }

  /** Shows the memory when somebody looks, and not before it can be read and written. */
  showLater(): void {
    this.anchor = native.show(this.address, 1, this.extent)
  }

  private dropAnchor(): void {
    if (this.anchor === undefined) return
    hide(this.anchor, this.address)
    this.anchor = undefined
  }

  /** Shows the memory to JavaScript; throws where the runtime can make no buffer of this length. */
  show(): void {
    this.dropAnchor()
    this.lastBuffer = native.show(this.address, this.length, this.extent)
    this.lastBytes = new Uint8Array(this.lastBuffer)
    this.visible = true
    shownBy.set(this.lastBuffer, this)
  }

  /** Takes it out of JavaScript's sight. False: somebody gave it away, and it must not be touched in any other way. */
  conceal(): boolean {
    this.dropAnchor()
    if (!this.visible) return true
    this.visible = false
    return hide(this.lastBuffer, this.address)
  }

  /** Whether anybody needs the memory where it is and as it is. */
  get busy(): boolean {
    return this.moving || this.pins > 0 || this.waiting.size > 0 || this.farewells.size > 0
  }

  /** The options of a call on it, so that its release reaches the call. */
  optionsFor(options: BlockingOptions): BlockingOptions {
    return options === onThisThread ? options : { ...options, onWaiting: this.onWaiting, isOver: this.isOver }
  }

  readonly onWaiting = (cancel: () => void): (() => void) => {
    this.waiting.add(cancel)
    return () => {
      this.waiting.delete(cancel)
      if (this.waiting.size === 0) for (const told of this.onIdle.splice(0)) told()
    }
  }

  readonly isOver = (): boolean => this.over

  /** Calls back what waits, and waits until it has ended. */
  private readonly idle: Effect.Effect<void> = Effect.suspend(() => {
    if (this.waiting.size === 0) return Exit.void
    return Effect.callback<void>((resume) => {
      this.onIdle.push(() => resume(Exit.void))
      for (const cancel of this.waiting) cancel()
    })
  })

  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    if (this.over) return Exit.void
    this.over = true
    this.dropAnchor()
    for (const farewell of this.farewells) farewell()
    this.farewells.clear()
    return this.waiting.size === 0
      ? this.giveBack()
      : Effect.andThen(
          this.idle,
          Effect.suspend(() => this.giveBack())
        )
  })

  private giveBack(): Effect.Effect<void> {
    const { address, extent } = this
    const isHidden = this.conceal()
    const last = isHidden ? unmap(address, extent) : cover(address, extent)
    if (this.pins === 0) return last
    if (isHidden) this.showLater()
    this.last = Effect.suspend(() => {
      this.dropAnchor()
      return last
    })
    return Exit.void
  }

  /** The memory is not ours to move or change any more: `conceal` said so. What is left to do is what the scope would. */
  readonly forsake: Effect.Effect<void> = Effect.suspend(() => {
    this.over = true
    return cover(this.address, this.extent)
  })

  /** Keeps the memory mapped where it is while a scope is open. */
  readonly pin: Effect.Effect<bigint, EFAULT, Scope.Scope> = Effect.uninterruptible(
    Effect.suspend(() => {
      if (this.over) return Exit.fail(new EFAULT({ detail: released }))
      this.pins++
      return Effect.as(
        Effect.addFinalizer(() => {
          this.pins--
          return this.pins === 0 && this.last !== undefined ? this.last : Effect.void
        }),
        this.address
      )
    })
  )

  toString(): string {
    return `Mapping(0x${this.address.toString(16)}, ${this.length}${this.over ? ", released" : ""})`
  }

  toJSON(): unknown {
    return { _id: "Mapping", address: this.address.toString(), length: this.length, released: this.over }
  }
}

export const isRegion = (u: unknown): u is Region => u instanceof Region

/**
 * Whether a value is a `Mapping`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isMapping: (u: unknown) => u is Mapping = isRegion

/** What is behind the public face. */
export const own = (mapping: unknown): Region => {
  if (isRegion(mapping)) return mapping
  throw new TypeError("mapping: expected a Mapping")
}

export const released = "the mapping is released"

/**
 * Runs a call on a mapping's memory. With a mapping that is released, or is meanwhile, it fails like the kernel does of
 * addresses where nothing is mapped: with `gone`.
 */
export const runIn = <A, E>(
  region: Region,
  description: Description<A, E>,
  gone: number,
  whileWaiting?: <B, E2>(wait: Effect.Effect<B, E2>) => Effect.Effect<B, E2>
): Effect.Effect<A, E> => {
  const { errors, options, prepare } = description
  const own: CallErrors<E> = {
    ...errors,
    make: (code, path, fd, detail) =>
      region.over && (code === codes.EINTR || code === codes.EBADF)
        ? errors.make(gone, path, fd, "the mapping was released meanwhile")
        : errors.make(code, path, fd, detail)
  }
  return run(
    {
      ...description,
      errors: own,
      options: region.optionsFor(options),
      prepare: () => {
        if (region.over) throw new Misuse(gone, released)
        return prepare()
      }
    },
    whileWaiting
  )
}
