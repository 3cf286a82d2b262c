#include "warp.h"

namespace emulator {
namespace {

// Fragments as the PTX manual lays them out for m16n8k32 and m16n8k16 with 8-bit values: lane
// 4g + t holds rows g and g + 8 of A, column g of B, and columns 2t, 2t + 1 of C.
void multiply_fragments(std::array<Deposit, 32> & lanes, int depth) {
    alignas(64) int8_t a[16][32], b[8][32];
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane / 4, part = lane % 4;
        for (int reg = 0; reg < depth / 8; reg++) {
            const int row = group + 8 * (reg % 2), first = 16 * (reg / 2) + 4 * part;
            for (int i = 0; i < 4; i++) {
                a[row][first + i] = static_cast<int8_t>(lanes[lane].a[reg] >> (8 * i));
            }
        }
        for (int reg = 0; reg < depth / 16; reg++) {
            for (int i = 0; i < 4; i++) {
                b[group][16 * reg + 4 * part + i] =
                    static_cast<int8_t>(lanes[lane].b[reg] >> (8 * i));
            }
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            const int8_t * row = a[lane / 4 + 8 * (i / 2)];
            const int8_t * column = b[2 * (lane % 4) + i % 2];
            int sum = 0;
            for (int k = 0; k < depth; k++) sum += row[k] * column[k];
            lanes[lane].c[i] += sum;
        }
    }
    counts.multiplications++;
}

void finish(std::array<Deposit, 32> & lanes) {
    switch (lanes[0].kind) {
        case Collective::kShuffle:
            for (auto & lane : lanes) lane.result = lanes[lane.lane].value;
            break;
        case Collective::kBallot:
        case Collective::kMatch:
            for (auto & lane : lanes) {
                lane.result = 0;
                for (int i = 0; i < 32; i++) {
                    const bool set = lane.kind == Collective::kBallot
                                         ? lanes[i].value != 0
                                         : lanes[i].value == lane.value;
                    lane.result |= static_cast<uint32_t>(set) << i;
                }
            }
            break;
        case Collective::kMma32: multiply_fragments(lanes, 32); break;
        case Collective::kMma16: multiply_fragments(lanes, 16); break;
        default: break;
    }
}

}  // namespace

const char * name_of(Collective kind) {
    switch (kind) {
        case Collective::kSync: return "a barrier of the warp";
        case Collective::kShuffle: return "a shuffle";
        case Collective::kBallot: return "a ballot";
        case Collective::kMatch: return "a match";
        case Collective::kMma32: return "mma k32";
        case Collective::kMma16: return "mma k16";
        default: return "nothing";
    }
}

bool Warp::add(int lane, const Deposit & deposit) {
    if (ended != 0) {
        fail(std::string("a lane reaches ") + name_of(deposit.kind) +
             " after others of its warp have ended");
    }
    for (int i = 0; i < 32 && waiting > 0; i++) {
        const auto kind = deposits[i].kind;
        if (kind == Collective::kNone || kind == deposit.kind) continue;
        fail(std::string("lanes of one warp disagree: one is at ") + name_of(kind) +
             ", another at " + name_of(deposit.kind));
    }
    deposits[lane] = deposit;
    if (++waiting < 32) return false;
    finish(deposits);
    for (auto & each : deposits) each.kind = Collective::kNone;
    waiting = 0;
    return true;
}

}  // namespace emulator
