/**
 * Waiting again and again for one descriptor: it stays registered with an epoll instance of the addon's, so that neither
 * beginning to wait nor being told costs a system call. Every event of a turn is told in one go, and where those make new
 * ones (both ends of a connection are here, or the other end is quick) these are told in the same turn, for a while.
 *
 * A registration is by level: what is not taken is told again. What nobody waits for any more is told once in vain, and
 * then the kernel is asked not to. A descriptor that is waited for once does not come here: see `Call`.
 */
import { performance } from "node:perf_hooks"
import { codes } from "../../errors/errnos.ts"
import { lastManners } from "../attempt.ts"
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLONESHOT, POLLERR, POLLHUP } from "../constants.ts"
import { native } from "../native.ts"

/** What waits for a descriptor. */
export interface Waiter {
  /** What it has to be ready for, of poll(2). */
  readonly events: number
  /** Told once what it is ready for, or -errno. */
  readonly ready: (events: number) => void
}

/** Told without being asked for. */
const always = POLLERR | POLLHUP

const firstWord = 4
const wordsEach = 3

// A waiter that is told runs its fiber, which may do much before it waits again: after so long the loop has its turn.
const mostAtOnce = 2 // milliseconds
const betweenLooks = 16 // events
/** For how long what comes meanwhile is told in the same turn. */
const sameTurn = 1 // milliseconds
/** How many events of registrations that nobody knows are dropped, time after time, before all is registered anew. */
const mostStrays = 64

class Watches {
  readonly slots: Array<Watch | undefined> = []
  readonly free: Array<number> = []
  /** By their numbers, those that are registered. */
  private readonly byNumber: Map<number, Watch> = new Map()
  private readonly words: Int32Array | undefined
  private generation = 0
  private waiting = 0
  private isHeld = false
  private isTelling = false
  private strays = 0
  private at = 0
  private count = 0

  constructor() {
    const memory = native.openWatches((count) => this.tell(count))
    this.words = typeof memory === "number" ? undefined : new Int32Array(memory)
  }

  get isOpen(): boolean {
    return this.words !== undefined
  }

  /** A place for a watch, and what tells it from those that had the place before. */
  take(watch: Watch): readonly [slot: number, generation: number] {
    const slot = this.free.pop() ?? this.slots.length
    this.slots[slot] = watch
    this.generation = (this.generation + 1) | 0
    return [slot, this.generation]
  }

  give(slot: number): void {
    this.slots[slot] = undefined
    this.free.push(slot)
  }

  /**
   * A watch's number was registered anew. Who had it before has another file's, whose registration it would change, were
   * it told of what its own file, open elsewhere, goes on to tell.
   */
  registered(watch: Watch): void {
    const before = this.byNumber.get(watch.fd)
    this.byNumber.set(watch.fd, watch)
    if (before !== undefined && before !== watch) before.replaced()
  }

  vacated(watch: Watch): void {
    if (this.byNumber.get(watch.fd) === watch) this.byNumber.delete(watch.fd)
  }

  /** So many more wait. */
  add(more: number): void {
    this.waiting += more
    if (!this.isTelling) this.hold()
  }

  private hold(): void {
    const isWaiting = this.waiting > 0
    if (isWaiting === this.isHeld) return
    this.isHeld = isWaiting
    native.holdWatches(isWaiting)
  }

  private tell(count: number): void {
    this.at = 0
    this.count = count
    this.goOn()
  }

  private goOn(): void {
    const { words } = this
    if (words === undefined) return
    const began = performance.now()
    const { strays } = this
    let taken = 0
    let rounds = 0
    this.isTelling = true
    // Until all is told nothing new is put there.
    words[0] = 1
    for (;;) {
      while (this.at < this.count) {
        if (++taken % betweenLooks === 0 && performance.now() - began > mostAtOnce) {
          setImmediate(() => this.goOn())
          this.isTelling = false
          this.hold()
          return
        }
        const at = firstWord + wordsEach * this.at++
        this.tellOne(words[at] ?? -1, words[at + 1] ?? 0, words[at + 2] ?? 0)
      }
      words[0] = 0
      if (++rounds % 4 === 0 && performance.now() - began > sameTurn) break
      const count = native.collectWatches()
      if (count <= 0) break
      words[0] = 1
      this.at = 0
      this.count = count
    }
    this.isTelling = false
    this.hold()
    if (this.strays === strays) this.strays = 0
    else if (this.strays > mostStrays) this.renew()
  }

  private tellOne(slot: number, generation: number, events: number): void {
    const watch = this.slots[slot]
    if (watch === undefined || watch.generation !== generation) {
      // Dropped by somebody who was told before. Or its number was closed behind our back while its file is open
      // elsewhere: nothing can take such a registration out any more, and it may be told for ever.
      this.strays++
      return
    }
    try {
      watch.told(events)
    } catch (thrown) {
      // One's failure must not keep the others from hearing.
      queueMicrotask(() => {
        throw thrown
      })
    }
  }

  private renew(): void {
    this.strays = 0
    native.renewWatches()
    this.isHeld = false
    for (const watch of [...this.slots]) watch?.renew()
    this.hold()
  }
}

/** Those of this thread. */
export const watches: Watches = new Watches()

/** One descriptor that may be waited for. */
export class Watch {
  readonly fd: number
  private slot = -1
  generation = 0
  /** What the kernel is to tell. */
  private armed = 0
  /** Up to when it was known that the number is that of what is registered. */
  private manners = 0
  private hasWaited = false
  private first: Waiter | undefined = undefined
  private more: Array<Waiter> | undefined = undefined

  constructor(fd: number) {
    this.fd = fd
  }

  /** Has the waiter told when the descriptor is ready; false where that is to be had in another way. */
  await(waiter: Waiter): boolean {
    if (!this.hasWaited) {
      this.hasWaited = true
      return false
    }
    // Its number may have been given to another file meanwhile: the kernel knows.
    const isSame = this.manners === lastManners()
    if ((!isSame || (this.armed & waiter.events) !== waiter.events) && !this.arm(this.armed | waiter.events))
      return false
    if (this.first === undefined) {
      this.first = waiter
    } else {
      this.more ??= []
      this.more.push(waiter)
    }
    watches.add(1)
    return true
  }

  /** It is not told any more. */
  forget(waiter: Waiter): void {
    if (this.first === waiter) {
      this.first = this.more?.shift()
    } else {
      const at = this.more?.indexOf(waiter) ?? -1
      if (at < 0) return
      this.more?.splice(at, 1)
    }
    watches.add(-1)
  }

  /** Before the number is closed. */
  drop(): void {
    if (this.slot < 0) return
    native.watch(EPOLL_CTL_DEL, this.fd, 0, 0, 0)
    this.vacate()
  }

  /** The number is not closed after all. */
  keep(): void {
    this.renew()
  }

  /** Nothing is registered any more. */
  renew(): void {
    if (this.slot >= 0) this.vacate()
    const wanted = this.wanted()
    if (wanted !== 0 && !this.arm(wanted)) this.fail(-codes.EBADF)
  }

  told(events: number): void {
    const { first } = this
    if (first === undefined) {
      this.narrow()
      return
    }
    if (this.more === undefined || this.more.length === 0) {
      const seen = events & (first.events | always)
      if (seen === 0) {
        this.narrow()
        return
      }
      this.first = undefined
      watches.add(-1)
      first.ready(seen)
      return
    }
    this.tellSome(events)
  }

  private tellSome(events: number): void {
    const all = this.all()
    const concerned = all.filter((waiter) => (events & (waiter.events | always)) !== 0)
    const others = all.filter((waiter) => !concerned.includes(waiter))
    this.first = others.shift()
    this.more = others
    watches.add(-concerned.length)
    if (concerned.length === 0) this.narrow()
    for (const waiter of concerned) waiter.ready(events & (waiter.events | always))
  }

  private all(): Array<Waiter> {
    return [...(this.first === undefined ? [] : [this.first]), ...(this.more ?? [])]
  }

  private wanted(): number {
    return this.all().reduce((events, waiter) => events | waiter.events, 0)
  }

  /** The kernel is to tell no more than is waited for. */
  private narrow(): void {
    const wanted = this.wanted()
    // Errors and hang-ups are told whether they are asked for or not: once, and then that was all.
    if (wanted === 0) {
      if (this.armed === 0) return
      if (native.watch(EPOLL_CTL_MOD, this.fd, EPOLLONESHOT, this.slot, this.generation) === 0) this.armed = 0
      else this.vacate()
    } else if (!this.arm(wanted)) {
      this.fail(-codes.EBADF)
    }
  }

  /** All that wait hear of an error. */
  private fail(error: number): void {
    const all = this.all()
    this.first = undefined
    this.more = undefined
    watches.add(-all.length)
    for (const waiter of all) waiter.ready(error)
  }

  private arm(events: number): boolean {
    if (!watches.isOpen) return false
    this.manners = lastManners()
    if (this.slot >= 0) {
      if (native.watch(EPOLL_CTL_MOD, this.fd, events, this.slot, this.generation) === 0) {
        this.armed = events
        return true
      }
      // The number was closed, and may have come back as another file.
      this.vacate()
    }
    const [slot, generation] = watches.take(this)
    if (native.watch(EPOLL_CTL_ADD, this.fd, events, slot, generation) !== 0) {
      watches.give(slot)
      return false
    }
    this.slot = slot
    this.generation = generation
    this.armed = events
    watches.registered(this)
    return true
  }

  /** The number was closed behind its back, and is another file's. */
  replaced(): void {
    this.vacate()
    // Later, as from the loop: somebody else is about to wait.
    if (this.first !== undefined) setImmediate(() => this.fail(-codes.EBADF))
  }

  private vacate(): void {
    watches.give(this.slot)
    watches.vacated(this)
    this.slot = -1
    this.armed = 0
  }
}
