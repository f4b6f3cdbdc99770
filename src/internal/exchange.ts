/**
 * One buffer to or from whom a socket is connected to: the most frequent calls of a server, and so they make few objects,
 * ask the kernel no more than they must, and are otherwise what `run` makes of their description.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Buffer } from "./arguments.ts"
import { exchangeNow, lastManners, lastStatus, notTried, Status, Trait } from "./attempt.ts"
import { MSG_NOSIGNAL, POLLIN } from "./constants.ts"
import { type Descriptor, runOn, type Waiting } from "./descriptor.ts"
import { dismiss, enlist, type Waits } from "./engine/elsewhere.ts"
import type { Waiter, Watch } from "./engine/watches.ts"
import {
  charge,
  closedMeanwhile,
  continued,
  type Description,
  evaluatedDirectly,
  type Fiber,
  Primitive,
  succeedWith,
  trampolineOf
} from "./invoke.ts"
import { nr } from "./nr.ts"
import { Kernel } from "./trampoline.ts"

export interface ExchangeKind<out E> {
  readonly nr: number
  readonly describe: (fd: number, buffer: Buffer, flags: number) => Description<number, E>
}

/** More than the kernel transfers at once. */
const mostAtOnce = 0x7fffffff

/** The effect of such a call. */
export class Exchange<E> extends Primitive<number, E> {
  readonly kind: ExchangeKind<E>
  readonly self: Descriptor
  readonly buffer: Buffer
  readonly flags: number

  constructor(kind: ExchangeKind<E>, self: Descriptor, buffer: Buffer, flags: number) {
    super()
    this.kind = kind
    this.self = self
    this.buffer = buffer
    this.flags = flags
  }

  evaluate(fiber: Fiber): Effect.Effect<number, E> {
    const first = this.now(fiber)
    return typeof first === "number" ? succeedWith(fiber, first) : first
  }

  describe(): Description<number, E> {
    return this.kind.describe(this.self.fd, this.buffer, this.flags)
  }

  /** The number of bytes, where they are there at once. */
  now(fiber: Fiber): number | Effect.Effect<number, E> {
    const { buffer, flags, kind, self } = this
    const kernel = trampolineOf(fiber)
    const isPlain =
      (flags === 0 || flags === MSG_NOSIGNAL) && buffer instanceof Uint8Array && buffer.length <= mostAtOnce
    if (!isPlain || self.closed || !(kernel instanceof Kernel)) return runOn(self, this.describe())
    const { traits } = self
    if (kind.nr === nr.recvfrom && (traits.bits & Trait.emptied) !== 0 && traits.manners === lastManners()) {
      // The last one took all that there was. Should something have come since, whoever waits for it is told.
      traits.bits &= ~Trait.emptied
      return this.later(kernel, buffer, self.watched)
    }
    const count = exchangeNow(kind.nr, self.fd, buffer, buffer.length, flags, traits)
    const status = lastStatus()
    if (status === Status.answered && count >= 0) {
      charge(fiber, count)
      return count
    }
    if (status === notTried) return runOn(self, this.describe())
    if (status === Status.notReady && kind.nr === nr.recvfrom) return this.later(kernel, buffer, self.watched)
    return continued(kernel, this.describe(), self, status, count)
  }

  private later(kernel: Kernel, bytes: Uint8Array, watch: Watch | undefined): Effect.Effect<number, E> {
    if (watch === undefined) return continued(kernel, this.describe(), this.self, Status.notReady, 0)
    return Effect.callback<number, E>((resume) => new Receiving(this, bytes, kernel, watch, resume).begin())
  }
}

evaluatedDirectly(Exchange)

/**
 * A receive that waits until there is something. It is also the effect that gives it up, for when its fiber is interrupted.
 */
class Receiving<E> extends Primitive<void, never> implements Waits, Waiter, Waiting {
  readonly nr = nr.recvfrom
  readonly events = POLLIN
  before: Waits | undefined = undefined
  after: Waits | undefined = undefined
  private readonly exchange: Exchange<E>
  private readonly bytes: Uint8Array
  private readonly kernel: Kernel
  private readonly watch: Watch
  private readonly resume: (effect: Effect.Effect<number, E>) => void
  private isOver = false

  constructor(
    exchange: Exchange<E>,
    bytes: Uint8Array,
    kernel: Kernel,
    watch: Watch,
    resume: (effect: Effect.Effect<number, E>) => void
  ) {
    super()
    this.exchange = exchange
    this.bytes = bytes
    this.kernel = kernel
    this.watch = watch
    this.resume = resume
  }

  get args(): readonly [fd: number] {
    return [this.exchange.self.fd]
  }

  begin(): Effect.Effect<void> | undefined {
    const { exchange, kernel, watch } = this
    // This runs some time after the call was attempted.
    if (exchange.self.closed) {
      this.resume(closedMeanwhile(exchange.describe(), exchange.self))
    } else if (!watch.await(this)) {
      this.resume(continued(kernel, exchange.describe(), exchange.self, Status.notReady, 0))
    } else {
      enlist(this)
      exchange.self.begun(this)
      return this
    }
    return undefined
  }

  private over(): void {
    this.isOver = true
    dismiss(this)
    this.exchange.self.ended(this)
  }

  ready(): void {
    this.over()
    const { bytes, exchange, kernel } = this
    const { flags, self } = exchange
    if (self.closed) {
      this.resume(closedMeanwhile(exchange.describe(), self))
      return
    }
    const count = exchangeNow(nr.recvfrom, self.fd, bytes, bytes.length, flags, self.traits)
    const status = lastStatus()
    if (status === Status.answered && count >= 0) this.resume(Exit.succeed(count))
    // Told in vain, or told of an error: the longer way knows what to do, also where waiting is of no use.
    else if (status === Status.answered) this.resume(continued(kernel, exchange.describe(), self, status, count))
    else this.resume(runOn(self, exchange.describe()))
  }

  /** The file is closed. */
  readonly cancel = (): void => {
    if (this.isOver) return
    this.watch.forget(this)
    this.over()
    this.resume(closedMeanwhile(this.exchange.describe(), this.exchange.self))
  }

  /** Its fiber is interrupted. */
  evaluate(): Effect.Effect<void> {
    if (!this.isOver) {
      this.watch.forget(this)
      this.over()
    }
    return Exit.void
  }
}
