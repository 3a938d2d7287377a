// The instructions of AMX for a CPU that has none: to it they are illegal, and this answers the signal that follows. So
// what runs is the very program that the compiler made for AMX, with its own setting of the tiles.
//
// Encodings and what they do: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, and volume 1,
// chapter 18.
#include <immintrin.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Configuration {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_in_row[16];
  uint8_t rows[16];
};

thread_local Configuration configuration;  // palette 0: none
alignas(64) thread_local uint32_t tiles[8][16][16];

[[noreturn]] void refuse(const char* why) {
  const char begin[] = "AMX would refuse this: ";
  if (write(STDERR_FILENO, begin, sizeof begin - 1) < 0 || write(STDERR_FILENO, why, std::strlen(why)) < 0) _exit(3);
  _exit(2);
}

void configure(const void* from) {
  std::memcpy(&configuration, from, sizeof configuration);
  const Configuration& c = configuration;
  const auto zero = [](const uint8_t* bytes, int count) {
    return std::all_of(bytes, bytes + count, [](uint8_t byte) { return byte == 0; });
  };
  if (c.palette != 1 || c.start_row != 0 || !zero(c.reserved, 14)) refuse("a wrong palette\n");
  for (int tile = 0; tile < 16; ++tile) {
    if (tile >= 8 && (c.rows[tile] || c.bytes_in_row[tile])) refuse("a ninth tile\n");
    if (c.rows[tile] > 16 || c.bytes_in_row[tile] > 64) refuse("too large a tile\n");
    if (!c.rows[tile] != !c.bytes_in_row[tile]) refuse("rows without bytes, or bytes without rows\n");
  }
  std::memset(tiles, 0, sizeof tiles);
}

uint32_t (&whole(int tile))[16][16] {
  if (configuration.palette == 0) refuse("a tile that was not set up\n");
  if (configuration.rows[tile] != 16 || configuration.bytes_in_row[tile] != 64) refuse("a tile that is not whole\n");
  return tiles[tile];
}

void multiply(int sums, int left, int right) {
  if (sums == left || sums == right || left == right) refuse("a product of a tile with itself\n");
  auto &to = whole(sums), &a = whole(left), &b = whole(right);
  for (int row = 0; row < 16; ++row) {
    __m512 sum = _mm512_load_ps(to[row]);
    for (int pair = 0; pair < 16; ++pair)
      sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a[row][pair])),
                             (__m512bh)_mm512_load_si512(b[pair]));
    _mm512_store_ps(to[row], sum);
  }
}

struct Instruction {
  const uint8_t* next;
  int prefix, opcode;  // prefix: 0 none, 1 66, 2 F3, 3 F2
  int reg, rm, vector; // rm: a tile where `memory` is false
  bool memory;
  char* address;
  int64_t stride;
};

// Instructions of three bytes of VEX in map 0F38, without W and L, as those of AMX are.
bool decode(const uint8_t* at, const greg_t* registers, Instruction& found) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  if (at[0] != 0xc4 || (at[1] & 0x1f) != 2 || (at[2] & 0x84) != 0) return false;
  const int extend_index = at[1] & 0x40 ? 0 : 8, extend_base = at[1] & 0x20 ? 0 : 8;
  const int mode = at[4] >> 6, rm = at[4] & 7;
  found = {at + 5, at[2] & 3, at[3], at[4] >> 3 & 7, rm, ~at[2] >> 3 & 15, mode != 3, nullptr, 0};
  if (mode == 3) return true;
  int64_t base = 0;
  bool far = mode == 2, relative = false;
  if (rm == 4) {
    const int scale = *found.next >> 6, index = (*found.next >> 3 & 7) + extend_index, low = *found.next & 7;
    ++found.next;
    if (index != 4) found.stride = registers[order[index]] << scale;
    if (mode == 0 && low == 5)
      far = true;
    else
      base = registers[order[low + extend_base]];
  } else if (mode == 0 && rm == 5) {
    far = relative = true;
  } else {
    base = registers[order[rm + extend_base]];
  }
  if (far) {
    int32_t offset;
    std::memcpy(&offset, found.next, sizeof offset);
    found.next += sizeof offset;
    base += offset;
  } else if (mode == 1) {
    base += static_cast<int8_t>(*found.next++);
  }
  if (relative) base += reinterpret_cast<int64_t>(found.next);
  found.address = reinterpret_cast<char*>(base);
  return true;
}

bool execute(const Instruction& i) {
  if (i.opcode == 0x49 && i.prefix == 0 && i.memory) {
    configure(i.address + i.stride);
  } else if (i.opcode == 0x49 && i.prefix == 0) {
    configuration = {};
  } else if (i.opcode == 0x49 && i.prefix == 3) {
    std::memset(whole(i.reg), 0, sizeof tiles[0]);
  } else if (i.opcode == 0x4b && i.prefix == 3) {
    auto& tile = whole(i.reg);
    for (int64_t row = 0; row < 16; ++row) std::memcpy(tile[row], i.address + row * i.stride, 64);
  } else if (i.opcode == 0x4b && i.prefix == 2) {
    auto& tile = whole(i.reg);
    for (int64_t row = 0; row < 16; ++row) std::memcpy(i.address + row * i.stride, tile[row], 64);
  } else if (i.opcode == 0x5c && i.prefix == 2) {
    multiply(i.reg, i.rm, i.vector);
  } else {
    return false;
  }
  return true;
}

void illegal(int, siginfo_t*, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  Instruction found;
  if (decode(reinterpret_cast<const uint8_t*>(registers[REG_RIP]), registers, found) && execute(found))
    registers[REG_RIP] = reinterpret_cast<greg_t>(found.next);
  else
    signal(SIGILL, SIG_DFL);  // comes again, and ends the process
}

[[gnu::constructor]] void install() {
  struct sigaction action = {};
  action.sa_sigaction = illegal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, nullptr);
}

}  // namespace
