#include "machine.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "fiber.h"
#include "memory.h"
#include "shared_barrier.h"
#include "warp.h"

namespace emulator {

Now now;
Settings settings;
Counts counts;

namespace {

struct Random {  // xorshift: the order must not depend on the library
    uint64_t state;
    uint64_t next() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }
    int below(size_t limit) { return static_cast<int>(next() % limit); }
};

struct Copy {
    uint8_t * to;
    const uint8_t * from;
    uint32_t bytes;
};
struct Landing {  // copies on their way and the barrier that waits for them
    std::vector<Copy> copies;
    uint64_t * barrier;
    bool arrives;  // cp.async: arrives once; bulk copies: counts bytes
};

enum class Wait { kNone, kWarp, kMeeting, kBarrier, kCounter };

struct Lane {
    Fiber fiber;
    Wait wait = Wait::kNone;
    const void * place = nullptr;
    int value = 0;
    bool ended = false;
    std::vector<Copy> copies;  // cp.async without an arrival yet
};

struct Meeting {  // a bar.sync: how many are there, how often it was passed
    int there = 0, threads = 0, passed = 0;
};

struct Block {
    int index;
    std::vector<Lane> lanes;
    std::vector<Warp> warps;
    std::array<Meeting, 16> meetings;
    SharedBarriers barriers;
    std::vector<Landing> landings;
    std::vector<uint8_t> memory;
    uint8_t * shared;
    size_t shared_bytes;
    size_t first_stack;
    int live;
};

struct Run {
    std::vector<std::unique_ptr<Block>> blocks;  // resident
    std::vector<int> to_start;
    std::vector<size_t> free_stacks;
    Random random;
    uint64_t progress = 0;
    const std::function<void()> * entry;
    std::string error;
    int grid, threads;
    size_t shared_bytes, most_resident;
    Block * block = nullptr;  // of the lane that runs
    Lane * lane = nullptr;
};

Run * run = nullptr;
Stacks & stacks() {
    static Stacks kept;
    return kept;
}

void wait_on(Wait wait, const void * place, int value) {
    run->lane->wait = wait;
    run->lane->place = place;
    run->lane->value = value;
    run->lane->fiber.leave();
}

void lane_main() {
    (*run->entry)();
    run->lane->ended = true;
    run->block->live--;
    run->block->warps[now.thread / 32].ended |= 1u << (now.thread % 32);
    run->progress++;
    run->lane->fiber.leave();
}

bool may_go_on(Block & block, const Lane & lane) {
    switch (lane.wait) {
        case Wait::kNone: return true;
        case Wait::kWarp: return false;  // whoever completes it clears the wait
        case Wait::kMeeting:
            return static_cast<const Meeting *>(lane.place)->passed != lane.value;
        case Wait::kBarrier:
            return block.barriers.is_over(static_cast<const uint64_t *>(lane.place), lane.value);
        case Wait::kCounter: return *static_cast<const int *>(lane.place) >= lane.value;
    }
    return false;
}

// Lets each lane of a warp run as far as it can. True if any did.
bool sweep(Block & block, int warp) {
    bool ran = false;
    now.block = block.index;
    now.shared = block.shared;
    run->block = &block;
    const bool backwards = run->random.next() & 1;
    for (int i = 0; i < 32; i++) {
        const int thread = 32 * warp + (backwards ? 31 - i : i);
        Lane & lane = block.lanes[thread];
        if (lane.ended || !may_go_on(block, lane)) continue;
        ran = true;
        lane.wait = Wait::kNone;
        now.thread = thread;
        run->lane = &lane;
        lane.fiber.enter();
        run->lane = nullptr;
        if (!run->error.empty()) return true;
    }
    return ran;
}

void land(Block & block) {
    const int which = run->random.below(block.landings.size());
    std::swap(block.landings[which], block.landings.back());
    const Landing landing = std::move(block.landings.back());
    block.landings.pop_back();
    uint32_t bytes = 0;
    for (const Copy & copy : landing.copies) {
        memcpy(copy.to, copy.from, copy.bytes);
        bytes += copy.bytes;
    }
    if (landing.arrives) block.barriers.arrive(landing.barrier, 0);
    else block.barriers.complete(landing.barrier, bytes);
    run->progress++;
}

void start_block() {
    auto block = std::make_unique<Block>();
    block->index = run->to_start.back();
    run->to_start.pop_back();
    block->lanes = std::vector<Lane>(run->threads);
    block->warps.resize(run->threads / 32);
    block->memory.assign(run->shared_bytes + 256, 0xff);  // as a float or a half: NaN
    block->shared = reinterpret_cast<uint8_t *>(
        (reinterpret_cast<uintptr_t>(block->memory.data()) + 127) & ~static_cast<uintptr_t>(127));
    block->shared_bytes = run->shared_bytes;
    block->first_stack = run->free_stacks.back();
    run->free_stacks.pop_back();
    block->live = run->threads;
    for (int i = 0; i < run->threads; i++) {
        block->lanes[i].fiber.prepare(stacks().get(block->first_stack + i), Stacks::kBytes,
                                      lane_main);
    }
    counts.blocks++;
    run->blocks.push_back(std::move(block));
}

void end_block(size_t which) {
    Block & block = *run->blocks[which];
    if (!block.landings.empty()) {
        run->error = "a block ends while copies into its shared memory are on their way";
    }
    run->free_stacks.push_back(block.first_stack);
    run->blocks[which] = std::move(run->blocks.back());
    run->blocks.pop_back();
}

std::string describe_lane(Block & block, int thread) {
    const Lane & lane = block.lanes[thread];
    std::string text = "block " + std::to_string(block.index) + " thread " +
                       std::to_string(thread) + " waits ";
    switch (lane.wait) {
        case Wait::kWarp:
            return text + "for its warp at " + name_of(block.warps[thread / 32].deposits[thread % 32].kind);
        case Wait::kMeeting: {
            const auto * meeting = static_cast<const Meeting *>(lane.place);
            return text + "where " + std::to_string(meeting->there) + " of " +
                   std::to_string(meeting->threads) + " threads have come";
        }
        case Wait::kBarrier: {
            const auto & barrier = block.barriers.at(static_cast<const uint64_t *>(lane.place));
            return text + "at the barrier at byte " +
                   std::to_string(reinterpret_cast<const uint8_t *>(lane.place) - block.shared) +
                   " for parity " + std::to_string(lane.value) + "; it lacks " +
                   std::to_string(barrier.pending) + " arrivals and " +
                   std::to_string(barrier.bytes) + " bytes";
        }
        case Wait::kCounter:
            return text + "for a counter at " +
                   std::to_string(*static_cast<const int *>(lane.place)) + " to reach " +
                   std::to_string(lane.value);
        case Wait::kNone: break;
    }
    return text + "for nothing";
}

std::string describe_stuck() {
    std::string text = "no lane can go on:";
    int told = 0;
    for (auto & block : run->blocks) {
        for (size_t i = 0; i < block->lanes.size() && told < 6; i++) {
            if (block->lanes[i].ended) continue;
            if (i % 32 != 0 && block->lanes[i].place == block->lanes[i - 1].place) continue;
            text += "\n  " + describe_lane(*block, static_cast<int>(i));
            told++;
        }
    }
    return text;
}

// One step: some warp runs a while, or a copy lands, or a block starts. False if none can.
bool take_turn() {
    counts.turns++;
    Random & random = run->random;
    const bool room = run->blocks.size() < run->most_resident && !run->to_start.empty();
    if (room && (run->blocks.empty() || settings.all_resident || random.below(4) == 0)) {
        start_block();
        return true;
    }
    const size_t count = run->blocks.size(), first = random.below(count);
    for (size_t i = 0; i < count; i++) {
        const size_t which = (first + i) % count;
        Block & block = *run->blocks[which];
        if (!block.landings.empty() && random.below(3) == 0) {
            land(block);
            return true;
        }
        const int warps = static_cast<int>(block.warps.size()), start = random.below(warps);
        for (int j = 0; j < warps; j++) {
            const int warp = (start + j) % warps;
            if (!sweep(block, warp)) continue;
            // Mostly a warp goes on until it waits for others; sometimes it is held up.
            while (run->error.empty() && random.below(64) != 0 && sweep(block, warp)) {}
            if (block.live == 0) end_block(which);
            return true;
        }
    }
    for (auto & block : run->blocks) {
        if (block->landings.empty()) continue;
        land(*block);
        return true;
    }
    if (room) start_block();
    return room;
}

void work_off_all() {
    while (run->error.empty() && !(run->blocks.empty() && run->to_start.empty())) {
        if (!take_turn()) {
            run->error = describe_stuck();
            return;
        }
    }
}

void work_off() {
    try {
        work_off_all();
    } catch (const std::string & what) {  // `fail` outside any lane: a copy that landed badly
        run->error = what;
    }
}

Warp & warp_of_lane() { return run->block->warps[now.thread / 32]; }

void deposit_and_wait(const Deposit & deposit) {
    if (warp_of_lane().add(now.thread % 32, deposit)) {
        for (int i = 0; i < 32; i++) run->block->lanes[now.thread / 32 * 32 + i].wait = Wait::kNone;
        run->progress++;
        return;
    }
    wait_on(Wait::kWarp, &warp_of_lane(), 0);
}

void check_copy(const void * to, const void * from, uint32_t bytes) {
    const auto * target = static_cast<const uint8_t *>(to);
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from) | bytes) & 15) {
        fail("a copy is not aligned to 16 bytes: " + std::to_string(bytes) + " bytes");
    }
    if (target < run->block->shared ||
        target + bytes > run->block->shared + run->block->shared_bytes) {
        fail("a copy does not land in the block's shared memory");
    }
    if (!is_allocated(from, bytes)) {
        fail("a copy of " + std::to_string(bytes) + " bytes reads beyond its buffer, at " +
             describe_address(from));
    }
    memset(const_cast<uint8_t *>(target), 0xff, bytes);  // who reads too early reads NaN
    counts.copied_bytes += bytes;
    counts.copies++;
}

}  // namespace

void fail(const std::string & what) {
    if (run == nullptr || run->lane == nullptr) throw std::string(what);
    if (run->error.empty()) {
        run->error = "block " + std::to_string(now.block) + " thread " +
                     std::to_string(now.thread) + ": " + what;
    }
    run->lane->fiber.leave();
    __builtin_unreachable();
}

void note_progress() {
    if (run != nullptr) run->progress++;
}
int compute_capability() { return settings.compute; }

void sync_warp() {
    Deposit deposit;
    deposit.kind = Collective::kSync;
    deposit_and_wait(deposit);
}

uint32_t exchange(Collective kind, uint32_t value, int lane) {
    Deposit deposit;
    deposit.kind = kind;
    deposit.value = value;
    deposit.lane = lane;
    Warp & warp = warp_of_lane();
    const int mine = now.thread % 32;
    deposit_and_wait(deposit);
    return warp.deposits[mine].result;
}

void multiply(Collective kind, int (&c)[4], std::array<uint32_t, 4> a, std::array<uint32_t, 2> b) {
    Deposit deposit;
    deposit.kind = kind;
    deposit.a = a;
    deposit.b = b;
    deposit.c = c;
    deposit_and_wait(deposit);
}

void meet(int barrier, int threads) {
    if (barrier < 0 || barrier > 15) fail("there are barriers 0 to 15");
    Meeting & meeting = run->block->meetings[barrier];
    if (meeting.there > 0 && meeting.threads != threads) {
        fail("threads disagree about how many meet at barrier " + std::to_string(barrier));
    }
    meeting.threads = threads;
    if (++meeting.there == threads) {
        meeting.there = 0;
        meeting.passed++;
        run->progress++;
        return;
    }
    wait_on(Wait::kMeeting, &meeting, meeting.passed);
}

void wait_for_counter(const int * counter, int value) {
    if (*counter < value) wait_on(Wait::kCounter, counter, value);
}

void barrier_init(uint64_t * barrier, int arrivals) {
    run->block->barriers.init(barrier, arrivals);
}
void barrier_arrive(uint64_t * barrier, uint32_t expected_bytes) {
    if (expected_bytes != 0 && settings.compute < 900) fail("this device has no byte counts");
    run->block->barriers.arrive(barrier, expected_bytes);
}
void barrier_wait(uint64_t * barrier, int parity) {
    if (!run->block->barriers.is_over(barrier, parity)) wait_on(Wait::kBarrier, barrier, parity);
}

void copy_bulk(void * to, const void * from, uint32_t bytes, uint64_t * barrier) {
    if (settings.compute < 900) fail("this device has no bulk copies");
    if (bytes == 0) fail("a bulk copy of nothing");
    check_copy(to, from, bytes);
    run->block->landings.push_back(
        {{{static_cast<uint8_t *>(to), static_cast<const uint8_t *>(from), bytes}}, barrier, false});
}

void copy_async(void * to, const void * from) {
    check_copy(to, from, 16);
    run->lane->copies.push_back(
        {static_cast<uint8_t *>(to), static_cast<const uint8_t *>(from), 16});
}

void arrive_after_copies(uint64_t * barrier) {
    run->block->landings.push_back({std::move(run->lane->copies), barrier, true});
    run->lane->copies.clear();
    run->progress++;
}

std::string launch(int grid, int threads, size_t shared_bytes, const std::function<void()> & lane) {
    if (grid <= 0 || threads <= 0 || threads % 32 != 0 || threads > 1024) {
        return "a launch of " + std::to_string(grid) + " blocks of " + std::to_string(threads) +
               " threads is not possible";
    }
    if (shared_bytes > static_cast<size_t>(settings.shared_limit)) {
        return "a block wants " + std::to_string(shared_bytes) + " bytes of shared memory";
    }
    Run mine;
    mine.random.state = settings.seed * 0x9e3779b97f4a7c15 + 0x632be59bd9b4e019;
    mine.entry = &lane;
    mine.grid = grid;
    mine.threads = threads;
    mine.shared_bytes = shared_bytes;
    mine.most_resident = settings.all_resident ? grid : 1 + mine.random.below(3);
    for (int i = 0; i < grid; i++) mine.to_start.push_back(grid - 1 - i);
    for (int i = grid - 1; i > 0; i--) {  // blocks start in any order
        std::swap(mine.to_start[i], mine.to_start[mine.random.below(i + 1)]);
    }
    for (size_t i = 0; i < mine.most_resident; i++) mine.free_stacks.push_back(i * threads);
    now.block_size = threads;
    now.grid_size = grid;
    counts.launches++;
    run = &mine;
    {
        FaultTrap trap;
        if (sigsetjmp(trap.target, 1) == 0) work_off();
        else {
            mine.error = "block " + std::to_string(now.block) + " thread " +
                         std::to_string(now.thread) + ": a memory fault at " +
                         describe_address(trap.fault_address);
        }
    }
    run = nullptr;
    return mine.error;
}

}  // namespace emulator
