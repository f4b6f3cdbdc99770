// What a vCPU's thread answers by itself, without JavaScript: a table of ranges of I/O ports and addresses, and what a
// guest's access to each comes to. Nothing here knows of JavaScript; src/kvm/{bus,ring,serial}.ts write and read the same
// memory.
#ifndef EFFECT_LINUX_BUS_H_
#define EFFECT_LINUX_BUS_H_

#include <linux/kvm.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace effect_linux {

// A range, as JavaScript lays it out; ordered by space and address, and none overlap.
struct BusRange {
  uint64_t first;
  uint64_t last;
  uint32_t space;     // kPorts or kAddresses
  uint32_t device;    // its number, for the ring
  uint32_t on_write;  // BusAction
  uint32_t on_read;
  uint64_t value;     // what is read
  uint64_t state;     // of a serial port: the address of its SerialState
};
static_assert(sizeof(BusRange) == 48, "src/kvm/bus.ts says so");

constexpr uint32_t kPorts = 0;
constexpr uint32_t kAddresses = 1;

// What an access comes to; the same numbers in src/kvm/device.ts.
constexpr uint32_t kHandler = 0;  // JavaScript's
constexpr uint32_t kPutBy = 1;    // a write goes into the ring
constexpr uint32_t kFixed = 1;    // a read gives the value
constexpr uint32_t kDrop = 2;     // a write has no effect
constexpr uint32_t kSerial = 3;

// Writes put by, from the vCPU's thread to the JavaScript thread.
struct BusEntry {
  uint32_t device;
  uint32_t size;
  uint64_t address;
  uint64_t value;
  uint64_t unused;
};
static_assert(sizeof(BusEntry) == 32, "src/kvm/ring.ts says so");

constexpr uint32_t kBusEntries = 4096;

struct BusRing {
  alignas(64) std::atomic<uint32_t> head;   // moved by JavaScript
  alignas(64) std::atomic<uint32_t> tail;   // moved by the thread
  alignas(64) std::atomic<uint32_t> armed;  // JavaScript wants to hear of the next write
  alignas(64) BusEntry entries[kBusEntries];
};
static_assert(offsetof(BusRing, entries) == 192, "src/kvm/ring.ts says so");

struct SerialState;

class Bus {
 public:
  const BusRange* ranges = nullptr;
  size_t count = 0;
  BusRing* ring = nullptr;

  // Answers the access that the run page tells of. False: it is for JavaScript. `*ring_bell`: there is something in the
  // ring, and JavaScript wants to hear of it.
  bool Answer(kvm_run* page, bool* ring_bell) const;

 private:
  const BusRange* Find(uint32_t space, uint64_t address, uint64_t size) const;
  bool Write(const BusRange& range, uint64_t address, uint32_t size, const uint8_t* data, bool* ring_bell) const;
  bool Read(const BusRange& range, uint64_t address, uint32_t size, uint8_t* data) const;
  bool CanSend(const BusRange& range, uint64_t address, uint32_t size, uint32_t times) const;
  bool PutBy(const BusRange& range, uint64_t address, uint32_t size, uint64_t value, bool* ring_bell) const;
};

}  // namespace effect_linux

#endif  // EFFECT_LINUX_BUS_H_
