#include "bus.h"

#include <cstring>

namespace effect_linux {

// The registers of a serial port, as src/kvm/serial.ts lays them out, and what they mean there.
struct SerialState {
  using Word = std::atomic<int32_t>;
  Word dll, dlm, ier, fcr, lcr, mcr, scr;
  Word thri;   // the interrupt that it may send is due
  Word wired;  // its interrupt line goes somewhere, so what concerns that is JavaScript's
  Word head, tail;
  Word unused[5];
  uint8_t input[4096];
};
static_assert(offsetof(SerialState, input) == 64, "src/kvm/serial.ts says so");

namespace {

constexpr int kDlab = 0x80;
constexpr int kLoop = 0x10;
constexpr int kReceiveInterrupt = 1;
constexpr int kSendInterrupt = 2;
constexpr uint32_t kInputSize = sizeof(SerialState::input);

uint32_t Waiting(const SerialState& port) {
  return static_cast<uint32_t>(port.tail.load()) - static_cast<uint32_t>(port.head.load());
}

// A byte of input, 0 where there is none.
uint8_t Pop(SerialState* port) {
  for (;;) {
    int32_t head = port->head.load();
    if (head == port->tail.load()) return 0;
    const uint8_t byte = port->input[static_cast<uint32_t>(head) % kInputSize];
    if (port->head.compare_exchange_strong(head, static_cast<int32_t>(static_cast<uint32_t>(head) + 1))) return byte;
  }
}

bool ReadSerial(SerialState* port, uint64_t index, uint8_t* value) {
  const bool divisor = (port->lcr.load() & kDlab) != 0;
  const bool wired = port->wired.load() != 0;
  int32_t read = 0;
  switch (index) {
    case 0:
      // JavaScript may have more input than there was room for; it looks when the guest has read all.
      if (!divisor && wired) return false;
      read = divisor ? port->dll.load() : Pop(port);
      break;
    case 1: read = divisor ? port->dlm.load() : port->ier.load(); break;
    case 2: {
      if (wired) return false;
      const int32_t ier = port->ier.load();
      int32_t due = 1;
      if ((ier & kReceiveInterrupt) != 0 && Waiting(*port) > 0) {
        due = 4;
      } else if ((ier & kSendInterrupt) != 0 && port->thri.exchange(0) != 0) {
        due = 2;
      }
      read = due | ((port->fcr.load() & 1) != 0 ? 0xc0 : 0);
      break;
    }
    case 3: read = port->lcr.load(); break;
    case 4: read = port->mcr.load(); break;
    case 5: read = 0x60 | (Waiting(*port) > 0 ? 1 : 0); break;
    case 6: {
      const int32_t mcr = port->mcr.load();
      read = (mcr & kLoop) == 0 ? 0xb0 : (mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4;
      break;
    }
    default: read = port->scr.load(); break;
  }
  *value = static_cast<uint8_t>(read);
  return true;
}

// What is to be done about a write to a register: nothing any more, or the byte is sent, or it is JavaScript's.
enum class Wrote { kDone, kSent, kHandler };

Wrote WriteSerial(SerialState* port, uint64_t index, uint8_t value) {
  const bool divisor = (port->lcr.load() & kDlab) != 0;
  switch (index) {
    case 0:
      if (divisor) {
        port->dll.store(value);
        return Wrote::kDone;
      }
      if ((port->mcr.load() & kLoop) != 0) return Wrote::kHandler;
      if (port->wired.load() != 0 && port->ier.load() != 0) return Wrote::kHandler;
      return Wrote::kSent;
    case 1:
      if (divisor) {
        port->dlm.store(value);
        return Wrote::kDone;
      }
      return Wrote::kHandler;
    case 3: port->lcr.store(value); return Wrote::kDone;
    case 4: port->mcr.store(value & 0x1f); return Wrote::kDone;
    case 5:
    case 6: return Wrote::kDone;
    case 7: port->scr.store(value); return Wrote::kDone;
    default: return Wrote::kHandler;
  }
}

SerialState* SerialOf(const BusRange& range) { return reinterpret_cast<SerialState*>(range.state); }

}  // namespace

const BusRange* Bus::Find(uint32_t space, uint64_t address, uint64_t size) const {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const BusRange& range = ranges[middle];
    if (range.space < space || (range.space == space && range.first <= address)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return nullptr;
  const BusRange& range = ranges[low - 1];
  const bool inside = range.space == space && address <= range.last && size - 1 <= range.last - address;
  return inside ? &range : nullptr;
}

bool Bus::PutBy(const BusRange& range, uint64_t address, uint32_t size, uint64_t value, bool* ring_bell) const {
  const uint32_t tail = ring->tail.load(std::memory_order_relaxed);
  if (tail - ring->head.load(std::memory_order_acquire) >= kBusEntries) return false;
  BusEntry& entry = ring->entries[tail % kBusEntries];
  entry.device = range.device;
  entry.size = size;
  entry.address = address;
  entry.value = value;
  // In one order with what JavaScript does: it arms, and then looks whether there is something.
  ring->tail.store(tail + 1, std::memory_order_seq_cst);
  if (ring->armed.load(std::memory_order_seq_cst) != 0 && ring->armed.exchange(0) != 0) *ring_bell = true;
  return true;
}

bool Bus::Write(const BusRange& range, uint64_t address, uint32_t size, const uint8_t* data, bool* ring_bell) const {
  uint64_t value = 0;
  memcpy(&value, data, size);
  switch (range.on_write) {
    case kPutBy: return PutBy(range, address, size, value, ring_bell);
    case kDrop: return true;
    case kSerial: {
      if (size != 1) return false;
      SerialState* port = SerialOf(range);
      switch (WriteSerial(port, address - range.first, static_cast<uint8_t>(value))) {
        case Wrote::kDone: return true;
        case Wrote::kHandler: return false;
        case Wrote::kSent:
          if (!PutBy(range, address, size, value, ring_bell)) return false;
          port->thri.store(1);
          return true;
      }
      return false;
    }
    default: return false;
  }
}

bool Bus::Read(const BusRange& range, uint64_t address, uint32_t size, uint8_t* data) const {
  switch (range.on_read) {
    case kFixed: memcpy(data, &range.value, size); return true;
    case kSerial: return size == 1 && ReadSerial(SerialOf(range), address - range.first, data);
    default: return false;
  }
}

bool Bus::Answer(kvm_run* page, bool* ring_bell) const {
  if (count == 0) return false;
  if (page->exit_reason == KVM_EXIT_MMIO) {
    const uint32_t size = page->mmio.len;
    if (size == 0 || size > sizeof page->mmio.data) return false;
    const BusRange* range = Find(kAddresses, page->mmio.phys_addr, size);
    if (range == nullptr) return false;
    return page->mmio.is_write != 0 ? Write(*range, page->mmio.phys_addr, size, page->mmio.data, ring_bell)
                                    : Read(*range, page->mmio.phys_addr, size, page->mmio.data);
  }
  if (page->exit_reason != KVM_EXIT_IO) return false;
  const uint32_t size = page->io.size;
  const uint32_t times = page->io.count;
  if (size == 0 || size > 4) return false;
  const BusRange* range = Find(kPorts, page->io.port, size);
  if (range == nullptr) return false;
  uint8_t* data = reinterpret_cast<uint8_t*>(page) + page->io.data_offset;
  if (page->io.direction == KVM_EXIT_IO_OUT) {
    // A string instruction is answered as a whole or not at all, and only with certainty: what of it went into the ring
    // cannot be taken back.
    if (times > 1 && !CanSend(*range, page->io.port, size, times)) return false;
    for (uint32_t i = 0; i < times; i++) {
      if (!Write(*range, page->io.port, size, data + i * size, ring_bell)) return false;
    }
    return true;
  }
  // What has been read cannot be put back either.
  if (times > 1 && range->on_read != kFixed) return false;
  for (uint32_t i = 0; i < times; i++) {
    if (!Read(*range, page->io.port, size, data + i * size)) return false;
  }
  return true;
}

// Whether so many writes to one place can all be answered.
bool Bus::CanSend(const BusRange& range, uint64_t address, uint32_t size, uint32_t times) const {
  if (range.on_write == kDrop) return true;
  const uint32_t used = ring->tail.load(std::memory_order_relaxed) - ring->head.load(std::memory_order_acquire);
  if (kBusEntries - used < times) return false;
  if (range.on_write == kPutBy) return true;
  if (range.on_write != kSerial || size != 1 || address != range.first) return false;
  // Nothing but sending: that is what long strings are for.
  const SerialState& port = *SerialOf(range);
  return (port.lcr.load() & kDlab) == 0 && (port.mcr.load() & kLoop) == 0 && port.wired.load() == 0;
}

}  // namespace effect_linux
