/* What bench/kvm.ts is held against: the same ioctls, made by a C program. It reads commands, "out 1000\n" for one, and
 * answers each with the nanoseconds that all of it took. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SIZE 0x4000

static int kvm;
static size_t page_size;

struct machine {
  int vm, vcpu;
  unsigned char *memory;
  struct kvm_run *run;
};

static void check(int good, const char *what) {
  if (good) return;
  perror(what);
  exit(1);
}

static struct machine make(const unsigned char *code, size_t length) {
  struct machine m;
  struct kvm_sregs sregs;
  struct kvm_regs regs;
  m.vm = ioctl(kvm, KVM_CREATE_VM, 0);
  check(m.vm >= 0, "KVM_CREATE_VM");
  m.memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(m.memory != MAP_FAILED, "mmap");
  memcpy(m.memory, code, length);
  struct kvm_userspace_memory_region region = {0, 0, 0x1000, SIZE, (unsigned long)m.memory};
  check(ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
  m.vcpu = ioctl(m.vm, KVM_CREATE_VCPU, 0);
  check(m.vcpu >= 0, "KVM_CREATE_VCPU");
  m.run = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, m.vcpu, 0);
  check(m.run != MAP_FAILED, "mmap of the vCPU");
  check(ioctl(m.vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  check(ioctl(m.vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
  check(ioctl(m.vcpu, KVM_GET_REGS, &regs) == 0, "KVM_GET_REGS");
  regs.rip = 0x1000;
  regs.rflags = 2;
  check(ioctl(m.vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
  return m;
}

static void destroy(struct machine m) {
  struct kvm_userspace_memory_region none = {0, 0, 0x1000, 0, 0};
  munmap(m.run, page_size);
  close(m.vcpu);
  ioctl(m.vm, KVM_SET_USER_MEMORY_REGION, &none);
  munmap(m.memory, SIZE);
  close(m.vm);
}

/* next: inc cx; mov ax, cx; out 0x10, ax; jmp next */
static const unsigned char counter[] = {0x41, 0x89, 0xc8, 0xe7, 0x10, 0xeb, 0xf9};
static const unsigned char halt[] = {0xf4};

static unsigned long sum;

static void out(struct machine m, long times) {
  for (long i = 0; i < times; i++) {
    check(ioctl(m.vcpu, KVM_RUN, 0) == 0 && m.run->exit_reason == KVM_EXIT_IO, "KVM_RUN");
    check(m.run->io.direction == KVM_EXIT_IO_OUT && m.run->io.port == 0x10 && m.run->io.size == 2, "the guest");
    sum += *(unsigned short *)((char *)m.run + m.run->io.data_offset);
  }
}

static void life(long times) {
  for (long i = 0; i < times; i++) {
    struct machine m = make(halt, sizeof halt);
    check(ioctl(m.vcpu, KVM_RUN, 0) == 0 && m.run->exit_reason == KVM_EXIT_HLT, "KVM_RUN");
    destroy(m);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
  char what[16];
  long times;
  kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  check(kvm >= 0, "/dev/kvm");
  page_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct machine m = make(counter, sizeof counter);
  while (scanf("%15s %ld", what, &times) == 2) {
    double from = now();
    if (what[0] == 'o') out(m, times);
    else life(times);
    printf("%.0f\n", now() - from);
    fflush(stdout);
  }
  return 0;
}
